import {
  appendFileSync,
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
import type { EndpointMetadata } from "../../scheduler/index.ts";
import { until } from "../../test/support/deadline.ts";
import { createLogger } from "../log.ts";
import {
  ENDPOINTS_FILE_BYTES_MAX,
  FileDiscovery,
  type FileDiscoveryOptions,
} from "./file-discovery.ts";

const WITHIN_MS = 10_000;

describe("a discovered file", () => {
  let folder = "";
  let path = "";
  let discovery: FileDiscovery | null = null;
  let lines: Record<string, unknown>[] = [];
  const applied: string[][] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
    path = join(folder, "endpoints.yaml");
    lines = [];
    applied.length = 0;
  });

  afterEach(() => {
    discovery?.stop();
    rmSync(folder, { recursive: true });
  });

  const log = () =>
    createLogger("info", { write: (line: string) => void lines.push(JSON.parse(line)) });

  async function start(options: Partial<FileDiscoveryOptions> = {}): Promise<FileDiscovery> {
    discovery = new FileDiscovery({ path, watchFile: true, log: log(), ...options });
    await discovery.start((endpoints: readonly EndpointMetadata[]) => {
      applied.push(endpoints.map(({ name, port }) => `${name}:${port}`));
    });
    return discovery;
  }

  const listOf = (...names: string[]): string =>
    names.map((name) => `- {name: ${name}, address: 10.0.0.1, port: "8000"}\n`).join("");
  const fileOf = (...names: string[]): string => `endpoints:\n${listOf(...names)}`;
  const untilApplied = (...names: string[]) =>
    until(
      () => (applied.at(-1)?.join() === names.map((name) => `${name}:8000`).join() ? true : null),
      WITHIN_MS,
      `endpoints ${names.join()}`,
    );
  const untilFailed = (count: number) =>
    until(() => (discovery!.stats.reloadsFailed >= count ? true : null), WITHIN_MS, "refusal");
  const reasons = () =>
    lines.filter(({ level }) => level === "error").map(({ reason }) => String(reason));

  test("is loaded at the start", async () => {
    writeFileSync(path, fileOf("a", "b"));
    const { stats } = await start();
    expect(applied).toEqual([["a:8000", "b:8000"]]);
    expect(stats).toEqual({ reloadsOk: 0, reloadsFailed: 0, lastSuccessMs: expect.any(Number) });
    expect(stats.lastSuccessMs).toBeGreaterThan(0);
  });

  test("fails the start when it is missing, wrong, too large or no file, naming it", async () => {
    await expect(start()).rejects.toThrow(`endpoints file ${path}: (file): ENOENT`);
    writeFileSync(path, "endpoints: [{name: a}]");
    await expect(start()).rejects.toThrow(
      `endpoints file ${path}: endpoints[0].address: Invalid input: expected string, received undefined; ` +
        "endpoints[0].port: Invalid input",
    );
    writeFileSync(path, "endpoints: []".padEnd(ENDPOINTS_FILE_BYTES_MAX + 1));
    await expect(start()).rejects.toThrow("(file): is larger than 1048576 bytes (1048577)");
    await expect(start({ path: folder })).rejects.toThrow("(file): is not a regular file");
    expect(applied).toEqual([]);
  });

  test("may have 1 MiB", async () => {
    writeFileSync(path, fileOf("a").padEnd(ENDPOINTS_FILE_BYTES_MAX));
    await start();
    expect(applied).toEqual([["a:8000"]]);
  });

  test("that is a device fails the start instead of being read without end", async () => {
    await expect(start({ path: "/dev/zero" })).rejects.toThrow("(file): is not a regular file");
  });

  test("tells a few of many problems, and how many there are", async () => {
    const endpoints = Array.from({ length: 50 }, () => ({ name: "a", port: "1" }));
    writeFileSync(path, JSON.stringify({ endpoints }));
    await expect(start()).rejects.toThrow(/endpoints\[19\].*; and 30 more$/);
  });

  test("logs a few of many warnings, and how many there are", async () => {
    const endpoints = Array.from({ length: 50 }, (_, i) => ({
      name: `n${i}`,
      address: "10.0.0.1",
      port: "1",
      weight: 1,
    }));
    writeFileSync(path, JSON.stringify({ endpoints }));
    await start();
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)?.["warning"]).toBe("and 30 more");
  });

  describe("that is watched", () => {
    beforeEach(() => writeFileSync(path, fileOf("a")));

    test("is taken over when it is written in place", async () => {
      const { stats } = await start();
      writeFileSync(path, fileOf("a", "b"));
      await untilApplied("a", "b");
      expect(stats.reloadsOk).toBe(1);
    });

    test("is taken over when it is replaced by a rename, again and again", async () => {
      await start();
      for (const name of ["b", "c", "d"]) {
        writeFileSync(`${path}.next`, fileOf(name));
        renameSync(`${path}.next`, path);
        await untilApplied(name);
      }
    });

    test("is taken over when it is removed and written anew", async () => {
      await start();
      unlinkSync(path);
      await untilFailed(1);
      expect(reasons()[0]).toContain(`endpoints file ${path}: (file): ENOENT`);
      expect(applied).toHaveLength(1);
      writeFileSync(path, fileOf("b"));
      await untilApplied("b");
    });

    test("is taken over when a ConfigMap's ..data link is swapped", async () => {
      const mount = join(folder, "mount");
      const version = (name: string, content: string): void => {
        mkdirSync(join(mount, name));
        writeFileSync(join(mount, name, "endpoints.yaml"), content);
      };
      mkdirSync(mount);
      version("..2026_1", fileOf("a"));
      symlinkSync("..2026_1", join(mount, "..data"));
      symlinkSync(join("..data", "endpoints.yaml"), join(mount, "endpoints.yaml"));
      await start({ path: join(mount, "endpoints.yaml") });
      for (const [i, name] of ["b", "c"].entries()) {
        version(`..2026_${i + 2}`, fileOf(name));
        symlinkSync(`..2026_${i + 2}`, join(mount, "..data_tmp"));
        renameSync(join(mount, "..data_tmp"), join(mount, "..data"));
        await untilApplied(name);
      }
    });

    test("is taken over however often it changes at the same size", async () => {
      await start();
      for (const name of ["b", "c", "d", "e", "f"]) {
        writeFileSync(path, fileOf(name));
        await untilApplied(name);
      }
    });

    test("is taken over while other files of its folder come and go without a pause", async () => {
      await start();
      let count = 0;
      const noise = setInterval(() => writeFileSync(join(folder, `${count++ % 10}`), ""), 5);
      try {
        writeFileSync(path, fileOf("b"));
        await untilApplied("b");
      } finally {
        clearInterval(noise);
      }
    });

    test("can be emptied of endpoints", async () => {
      await start();
      writeFileSync(path, "endpoints: []\n");
      await untilApplied();
    });

    test.each([
      ["emptied", "", "is empty"],
      ["garbled", "endpoints: [}}", "line 1, column 13"],
      ["half written", fileOf("b").slice(0, -12), "line"],
      ["cut within a letter", Buffer.from([0x65, 0xc3]), "not valid"],
      ["grown above 1 MiB", "x".repeat(ENDPOINTS_FILE_BYTES_MAX + 1), "is larger than"],
      ["wrong in one of its entries", `${fileOf("b", "c")}- {name: d}\n`, "endpoints[2].address"],
    ])("keeps the endpoints in use when it is %s, and says why", async (_what, content, why) => {
      const { stats } = await start();
      const { lastSuccessMs } = stats;
      writeFileSync(path, content);
      await untilFailed(1);
      expect(reasons()[0]).toContain(why);
      expect(reasons()[0]).toContain(path);
      expect(applied).toEqual([["a:8000"]]);
      expect(stats).toEqual({ reloadsOk: 0, reloadsFailed: 1, lastSuccessMs });
      writeFileSync(path, fileOf("good"));
      await untilApplied("good");
    });

    test("is told about once, not at each event around it", async () => {
      const running = await start();
      writeFileSync(path, "garbage");
      await untilFailed(1);
      for (let i = 0; i < 5; i++) {
        writeFileSync(join(folder, `other${i}`), "");
        writeFileSync(path, "garbage");
      }
      writeFileSync(path, fileOf("b"));
      await untilApplied("b");
      expect(running.stats).toMatchObject({ reloadsOk: 1, reloadsFailed: 1 });
    });

    test("is polled where no event comes: behind a link into another folder", async () => {
      const target = join(folder, "elsewhere");
      mkdirSync(target);
      mkdirSync(join(folder, "here"));
      writeFileSync(join(target, "e.yaml"), fileOf("a"));
      symlinkSync(join(target, "e.yaml"), join(folder, "here", "e.yaml"));
      await start({ path: join(folder, "here", "e.yaml"), pollIntervalMs: 20 });
      appendFileSync(join(target, "e.yaml"), listOf("b"));
      await untilApplied("a", "b");
    });

    test("is not looked at any more after stop", async () => {
      const running = await start({ pollIntervalMs: 1 });
      running.stop();
      writeFileSync(path, fileOf("b"));
      await running.reload();
      expect(applied).toEqual([["a:8000"]]);
      expect(running.stats.reloadsOk).toBe(0);
    });
  });

  describe("that is not watched", () => {
    test("is read again when asked for, changed or not", async () => {
      writeFileSync(path, fileOf("a"));
      const running = await start({ watchFile: false });
      await running.reload();
      expect(running.stats.reloadsOk).toBe(1);
      writeFileSync(path, fileOf("b"));
      await running.reload();
      expect(applied.at(-1)).toEqual(["b:8000"]);
      unlinkSync(path);
      await running.reload();
      expect(running.stats.reloadsFailed).toBe(1);
      expect(applied).toHaveLength(3);
    });
  });
});
