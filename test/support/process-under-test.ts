/**
 * The compiled process with its files in a temporary folder and every port chosen by the system; its log lines are read
 * back, so that tests wait for what it says and not for time to pass.
 * @module
 */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningChild, startChild } from "./child.ts";
import { until, within } from "./deadline.ts";
import { withFileDiscovery } from "./endpoint-picker.ts";
import { type Labels, parseExposition, sumOf } from "./exposition.ts";
import { builtScript } from "./paths.ts";

const WITHIN_MS = 20_000;

/** One line of the process's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

export interface ProcessFiles {
  readonly folder: string;
  readonly configPath: string;
  readonly endpointsPath: string;
  /** Writes beside and renames, as an editor or a mounted ConfigMap does. */
  replace(path: string, content: string): Promise<void>;
  remove(): Promise<void>;
}

export interface ProcessUnderTest {
  readonly child: RunningChild;
  readonly files: ProcessFiles;
  readonly ports: { readonly grpc: number; readonly health: number; readonly metrics: number };
  /** `host:port` of ext_proc, and of the health service. */
  readonly address: string;
  readonly healthAddress: string;
  /** The first line with this message, now or later. */
  line(msg: string): Promise<LogLine>;
  get(path: string): Promise<Response>;
  /** Sum of the samples of a name that have these labels; null when there is none. */
  metric(name: string, labels?: Labels): Promise<number | null>;
  /** Waits until that sum fulfills a condition. */
  metricWhere(name: string, labels: Labels, isMet: (sum: number) => boolean): Promise<void>;
  /** SIGKILL, and its files removed. */
  end(): Promise<void>;
}

/** An endpoints file with an entry per port of 127.0.0.1, named e0, e1, … */
export function endpointsAt(...ports: readonly number[]): string {
  const endpoints = ports.map((port, i) => ({
    name: `e${i}`,
    address: "127.0.0.1",
    port: String(port),
  }));
  return JSON.stringify({ endpoints });
}

const EMPTY_CONFIG = { apiVersion: "llm-d.ai/v1alpha1", kind: "EndpointPickerConfig" };
const PLAIN_CONFIG = { ...EMPTY_CONFIG, plugins: [{ type: "random-picker" }] };

/** @param config a document that file-discovery is added to, or the text of a file as it stands */
export async function processFiles(
  endpoints: string,
  config: Readonly<Record<string, unknown>> | string = PLAIN_CONFIG,
): Promise<ProcessFiles> {
  const folder = await mkdtemp(join(tmpdir(), "endpoint-picker-"));
  const endpointsPath = join(folder, "endpoints.yaml");
  const configPath = join(folder, "config.yaml");
  await writeFile(endpointsPath, endpoints);
  const text =
    typeof config === "string" ? config : JSON.stringify(withFileDiscovery(config, endpointsPath));
  await writeFile(configPath, text);
  return {
    folder,
    configPath,
    endpointsPath,
    replace: async (path, content) => {
      await writeFile(`${path}.next`, content);
      await rename(`${path}.next`, path);
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

function spawnPicker(args: readonly string[], env: Record<string, string> = {}): RunningChild {
  return startChild(process.execPath, [builtScript("src", "main.js"), ...args], { env });
}

const PORTS = ["--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0"];

/** Runs a process that is expected to end by itself. */
export async function runToEnd(
  args: readonly string[],
): Promise<{ code: number | null; output: string }> {
  const child = spawnPicker(args);
  try {
    const { code } = await within(child.exited, WITHIN_MS, "end of the process");
    return { code, output: child.output() };
  } finally {
    await child.kill();
  }
}

/** The arguments of a process over these files. */
export function argumentsFor(files: ProcessFiles, ...flags: readonly string[]): string[] {
  const common = ["--pool-name=pool", "--warm-up=false", `--config-file=${files.configPath}`];
  return [...common, ...PORTS, ...flags];
}

/** Starts a process over these files and waits until it serves. The files are removed with it. */
export async function startProcess(
  files: ProcessFiles,
  ...flags: readonly string[]
): Promise<ProcessUnderTest> {
  const child = spawnPicker(argumentsFor(files, ...flags));
  const lines: LogLine[] = [];
  const listeners = new Set<() => void>();
  child.onLine((text) => {
    if (!text.startsWith("{")) return;
    lines.push(JSON.parse(text) as LogLine);
    for (const listener of listeners) listener();
  });
  const line = async (msg: string): Promise<LogLine> => {
    const found = new Promise<LogLine>((resolve, reject) => {
      const look = (): void => {
        const match = lines.find((one) => one.msg === msg);
        if (match === undefined) return;
        listeners.delete(look);
        resolve(match);
      };
      listeners.add(look);
      look();
      void child.exited.then(() => {
        look(); // the last lines come before the end
        reject(new Error(`the process ended without the line "${msg}":\n${child.output()}`));
      });
    });
    return within(found, WITHIN_MS, `log line "${msg}"`);
  };
  const end = async (): Promise<void> => {
    await child.kill();
    await files.remove();
  };
  let ports: ProcessUnderTest["ports"];
  try {
    ports = (await line("serving")) as unknown as ProcessUnderTest["ports"];
  } catch (error) {
    await end();
    throw error;
  }
  const get = (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${ports.metrics}${path}`, { signal: AbortSignal.timeout(WITHIN_MS) });
  const metric = async (name: string, labels: Labels = {}): Promise<number | null> =>
    sumOf(parseExposition(await (await get("/metrics")).text()), name, labels);
  return {
    child,
    files,
    ports,
    address: `127.0.0.1:${ports.grpc}`,
    healthAddress: `127.0.0.1:${ports.health}`,
    line,
    get,
    metric,
    metricWhere: async (name, labels, isMet) => {
      await until(
        async () => {
          const sum = await metric(name, labels);
          return sum !== null && isMet(sum) ? true : null;
        },
        WITHIN_MS,
        `metric ${name}${JSON.stringify(labels)}`,
      );
    },
    end,
  };
}
