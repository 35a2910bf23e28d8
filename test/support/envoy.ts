/**
 * A real Envoy for the e2e suite and the demo: finds the binary, writes a bootstrap, starts it on free ports and
 * reads its statistics.
 *
 * Envoy asks for SIGTERM when its parent dies, so it must be started from a thread that lives as long as it.
 * @module
 */
import { accessSync, constants, readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { startChild } from "./child.ts";
import { until } from "./deadline.ts";
import { type EnvoyBootstrapOptions, envoyBootstrap, LISTENER_NAME } from "./envoy-bootstrap.ts";
import { inPackage } from "./paths.ts";

/** Start to ready takes under half a second on an idle machine. */
const READY_TIMEOUT_MS = 20_000;

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of an Envoy binary: ENVOY_BIN, else PATH, else .cache/envoy-<version>/; null when there is none. */
export function findEnvoy(): string | null {
  const named = process.env["ENVOY_BIN"];
  if (named !== undefined && named !== "") return isExecutable(named) ? named : null;
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "envoy");
    if (folder !== "" && isExecutable(path)) return path;
  }
  const cache = inPackage(".cache");
  try {
    for (const folder of readdirSync(cache).sort().reverse()) {
      const path = join(cache, folder, "envoy");
      if (folder.startsWith("envoy-") && isExecutable(path)) return path;
    }
  } catch {
    // No cache folder: nothing was fetched.
  }
  return null;
}

/** What to print where Envoy is needed and absent. */
export const NO_ENVOY_REASON =
  "no Envoy binary: set ENVOY_BIN, put envoy on the PATH, or run test/support/fetch-envoy.sh";

export interface RunningEnvoy {
  /** `http://127.0.0.1:port` of the data listener. */
  readonly url: string;
  readonly pid: number;
  alive(): boolean;
  /** Its log so far, the last 64 KiB. */
  output(): string;
  /** All counters and gauges whose name matches, by name. */
  stats(filter: RegExp): Promise<Map<string, number>>;
  stop(): Promise<void>;
}

interface ListenersReport {
  listener_statuses?: {
    name: string;
    local_address: { socket_address: { port_value: number } };
  }[];
}

interface StatsReport {
  stats: { name?: string; value?: number }[];
}

/** Starts Envoy with the bootstrap of the given variant and waits until it is ready. */
export function startEnvoy(binary: string, options: EnvoyBootstrapOptions): Promise<RunningEnvoy> {
  return startEnvoyWith(binary, envoyBootstrap(options));
}

/**
 * Starts Envoy and waits until it is ready.
 *
 * @param bootstrap its admin port and that of the listener named {@link LISTENER_NAME} may be 0
 */
export async function startEnvoyWith(binary: string, bootstrap: object): Promise<RunningEnvoy> {
  const folder = await mkdtemp(join(tmpdir(), "envoy-"));
  const config = join(folder, "envoy.json");
  const adminFile = join(folder, "admin.txt");
  await writeFile(config, JSON.stringify(bootstrap));
  const child = startChild(binary, [
    "-c",
    config,
    "--concurrency",
    "1",
    "--use-dynamic-base-id",
    "-l",
    "warn",
    "--admin-address-path",
    adminFile,
  ]);
  const alive = (): void => {
    if (!child.alive()) throw new Error(`Envoy ended:\n${child.output()}`);
  };
  try {
    const admin = await until(
      async () => {
        alive();
        const address = await readFile(adminFile, "utf8").catch(() => "");
        if (address === "") return null;
        const ready = await fetch(`http://${address}/ready`).catch(() => null);
        return ready?.status === 200 ? `http://${address}` : null;
      },
      READY_TIMEOUT_MS,
      "Envoy ready",
    );
    const listeners = (await (
      await fetch(`${admin}/listeners?format=json`)
    ).json()) as ListenersReport;
    const listener = listeners.listener_statuses?.find(({ name }) => name === LISTENER_NAME);
    if (listener === undefined) throw new Error("Envoy reports no listener");
    return {
      url: `http://127.0.0.1:${listener.local_address.socket_address.port_value}`,
      pid: child.pid,
      alive: child.alive,
      output: child.output,
      stats: async (filter) => {
        const response = await fetch(
          `${admin}/stats?format=json&filter=${encodeURIComponent(filter.source)}`,
        );
        const report = (await response.json()) as StatsReport;
        const values = new Map<string, number>();
        for (const { name, value } of report.stats) {
          if (name !== undefined && value !== undefined) values.set(name, value);
        }
        return values;
      },
      stop: async () => {
        await child.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await child.kill();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
