/**
 * Emulated model servers in a process of their own, on free ports.
 * @module
 */
import type { StepProfileName } from "../../sim/step-time.ts";
import { startChild } from "./child.ts";
import { within } from "./deadline.ts";
import { builtScript } from "./paths.ts";

const START_TIMEOUT_MS = 10_000;

export interface ServerAddress {
  /** As in the x-served-by header of its answers. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** `ip:port`. */
  readonly address: string;
}

export interface EmulatedServers {
  readonly servers: readonly ServerAddress[];
  alive(): boolean;
  stop(): Promise<void>;
}

interface ReadyLine {
  readonly ready: true;
  readonly servers: readonly {
    readonly name: string;
    readonly address: string;
    readonly port: number;
  }[];
}

/**
 * Starts servers with cold caches.
 *
 * @param model base model; @param adapters that every server can load; @param profile how long steps take
 */
export async function startEmulatedServers(
  count: number,
  model: string,
  adapters: readonly string[] = [],
  profile: StepProfileName = "demo",
): Promise<EmulatedServers> {
  const child = startChild(process.execPath, [
    builtScript("sim", "emulator", "main.js"),
    `--count=${count}`,
    `--model=${model}`,
    `--adapters=${adapters.join(",")}`,
    `--profile=${profile}`,
  ]);
  try {
    const ready = await within(
      new Promise<ReadyLine>((resolve, reject) => {
        child.onLine((line) => {
          if (line.startsWith("{")) resolve(JSON.parse(line) as ReadyLine);
        });
        void child.exited.then(() => reject(new Error(`emulator ended:\n${child.output()}`)));
      }),
      START_TIMEOUT_MS,
      "start of the emulated servers",
    );
    return {
      servers: ready.servers.map(({ name, address, port }) => ({
        name,
        host: address,
        port,
        address: `${address}:${port}`,
      })),
      alive: child.alive,
      stop: () => child.kill(),
    };
  } catch (error) {
    await child.kill();
    throw error;
  }
}
