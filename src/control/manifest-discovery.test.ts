import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../../test/support/deadline.ts";
import { createLogger } from "../log.ts";
import { ResourceStore } from "../request/inference-resources.ts";
import { ManifestDiscovery, manifestFolderLimits } from "./manifest-discovery.ts";

const WITHIN_MS = 10_000;
const SCOPE = { group: "inference.networking.k8s.io", namespace: "default", name: "pool" };

const objective = (name: string, priority: number | string): string => `
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: ${name}}
spec: {priority: ${priority}, poolRef: {name: pool}}
---
`;

describe("manifests", () => {
  let parent = "";
  let folder = "";
  let lines: Record<string, unknown>[] = [];
  let discovery: ManifestDiscovery | null = null;
  let store = new ResourceStore(SCOPE);

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
    folder = join(parent, "manifests");
    mkdirSync(folder);
    lines = [];
    store = new ResourceStore(SCOPE);
  });

  afterEach(() => {
    discovery?.stop();
    rmSync(parent, { recursive: true });
  });

  const put = (name: string, text: string | Uint8Array): void =>
    writeFileSync(join(folder, name), text);

  async function start(path = folder, pollIntervalMs?: number): Promise<ManifestDiscovery> {
    const log = createLogger("info", {
      write: (line: string) => void lines.push(JSON.parse(line)),
    });
    discovery = new ManifestDiscovery({
      path,
      log,
      ...(pollIntervalMs === undefined ? {} : { pollIntervalMs }),
    });
    await discovery.start((resources) => store.replace(resources));
    return discovery;
  }

  const untilPriorities = (...priorities: number[]) =>
    until(
      () => (store.priorities().join() === priorities.join() ? true : null),
      WITHIN_MS,
      `priorities ${priorities.join()}`,
    );
  const untilFailed = (count: number) =>
    until(() => (discovery!.stats.reloadsFailed >= count ? true : null), WITHIN_MS, "a problem");
  const problemsTold = () =>
    lines
      .filter(({ level }) => level === "error")
      .flatMap(({ problems, reason }) => (problems ?? [reason]) as string[]);

  test("of a folder are read at the start, those of its folders and hidden ones are not", async () => {
    put("a.yaml", objective("a", 1) + objective("b", 2));
    put("b.json", JSON.stringify({ apiVersion: "v1", kind: "List", items: [] }));
    put("c.YML", objective("c", 3));
    put(".hidden.yaml", objective("d", 4));
    put("notes.txt", "not: [yaml");
    mkdirSync(join(folder, "sub.yaml"));
    const { stats } = await start();
    expect(store.priorities()).toEqual([3, 2, 1]);
    expect(stats).toEqual({ reloadsOk: 0, reloadsFailed: 0, problems: 0 });
  });

  test("may be one file, which is watched too", async () => {
    put("a.yaml", objective("a", 1));
    await start(join(folder, "a.yaml"));
    expect(store.priorities()).toEqual([1]);
    for (const priority of [2, 3]) {
      put("next", objective("a", priority));
      renameSync(join(folder, "next"), join(folder, "a.yaml"));
      await untilPriorities(priority);
    }
  });

  test("that can not be read at all end the start", async () => {
    await expect(start(join(folder, "none"))).rejects.toThrow(
      `manifests ${join(folder, "none")}: ENOENT`,
    );
  });

  test("that are wrong at the start are told about and left out", async () => {
    put("a.yaml", objective("a", "high") + objective("b", 2));
    const { stats } = await start();
    expect(store.priorities()).toEqual([2]);
    expect(stats.problems).toBe(1);
    expect(problemsTold()).toEqual([
      'a.yaml, document 1, spec.priority: expected an integer from -2147483648 to 2147483647, got "high"',
    ]);
  });

  test("are taken over when files are written, added, renamed and removed", async () => {
    put("a.yaml", objective("a", 1));
    const { stats } = await start();
    put("a.yaml", objective("a", 2));
    await untilPriorities(2);
    put("b.yaml", objective("b", 5));
    await untilPriorities(5, 2);
    renameSync(join(folder, "b.yaml"), join(folder, "b.off"));
    await untilPriorities(2);
    unlinkSync(join(folder, "a.yaml"));
    await untilPriorities();
    expect(stats).toMatchObject({ reloadsFailed: 0, problems: 0 });
  });

  test("that turn wrong leave in use what stood there, until they are right", async () => {
    put("a.yaml", objective("a", 1) + objective("b", 2));
    put("b.yaml", objective("c", 3));
    const { stats } = await start();
    put("a.yaml", "a: [}");
    put("b.yaml", objective("c", 4));
    await untilPriorities(4, 2, 1);
    await untilFailed(1);
    expect(problemsTold().join()).toContain("a.yaml, document 1, line 1, column ");
    put("a.yaml", objective("a", 7));
    await untilPriorities(7, 4);
    await until(() => (stats.problems === 0 ? true : null), WITHIN_MS, "no problem");
  });

  test.each([
    ["is not UTF-8", Buffer.from([0x65, 0xc3]), "not valid"],
    ["is too large", "x".repeat(manifestFolderLimits.fileBytesMax + 1), "is larger than"],
  ])("in a file that %s stay as they were", async (_what, content, why) => {
    put("a.yaml", objective("a", 1));
    await start();
    put("a.yaml", content);
    await untilFailed(1);
    expect(problemsTold()[0]).toContain(`a.yaml, (file): `);
    expect(problemsTold()[0]).toContain(why);
    expect(store.priorities()).toEqual([1]);
  });

  test("stay when the folder is gone, and the folder that comes in its place is watched", async () => {
    put("a.yaml", objective("a", 1));
    await start();
    renameSync(folder, `${folder}.old`);
    await untilFailed(1);
    expect(store.priorities()).toEqual([1]);
    mkdirSync(folder);
    put("a.yaml", objective("a", 2));
    await untilPriorities(2);
    put("a.yaml", objective("a", 3));
    await untilPriorities(3);
  });

  test("are taken over when a ConfigMap's ..data link is swapped", async () => {
    const version = (name: string, priority: number): void => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "a.yaml"), objective("a", priority));
    };
    version("..2026_1", 1);
    symlinkSync("..2026_1", join(folder, "..data"));
    symlinkSync(join("..data", "a.yaml"), join(folder, "a.yaml"));
    await start();
    for (const priority of [2, 3]) {
      version(`..2026_${priority}`, priority);
      symlinkSync(`..2026_${priority}`, join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
      await untilPriorities(priority);
    }
  });

  test("of more files than the limit are not taken", async () => {
    put("a.yaml", objective("a", 1));
    await start();
    for (let i = 0; i < manifestFolderLimits.filesMax; i++) put(`${i}.yaml`, "");
    await until(
      () => (problemsTold().some((one) => one.includes("has more than 1000")) ? true : null),
      WITHIN_MS,
      "the limit",
    );
    expect(store.priorities()).toEqual([1]);
  });

  test("are read again when asked for, and not after stop", async () => {
    put("a.yaml", objective("a", 1));
    const running = await start();
    await running.reload();
    expect(running.stats.reloadsOk).toBe(1);
    running.stop();
    put("a.yaml", objective("a", 2));
    await running.reload();
    expect(store.priorities()).toEqual([1]);
  });

  test("of other pools are none of ours", async () => {
    put("a.yaml", objective("a", 1) + objective("b", 2).replace("name: pool", "name: other"));
    await start();
    expect(store.priorities()).toEqual([1]);
    expect(lines.at(-1)).toMatchObject({ resources: 2, foreign: 1 });
  });
});
