/**
 * CPU profile of the main thread of another Node process, taken through its inspector (`--inspect=127.0.0.1:0`).
 * @module
 */
import { WebSocket } from "undici";
import { within } from "./deadline.ts";

const REPLY_MS = 30_000;
const US_PER_MS = 1000;

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Time in which a function itself ran, without those that it called. */
export interface SelfTime {
  /** Name, file and line. */
  readonly where: string;
  readonly ms: number;
}

/** Self times of all functions of a profile, the longest first. */
export function selfTimes({ nodes, samples, timeDeltas }: Profile): SelfTime[] {
  const names = new Map<number, string>();
  for (const { id, callFrame } of nodes) {
    const file = callFrame.url.split("/").slice(-2).join("/");
    const place = file === "" ? "" : ` ${file}:${callFrame.lineNumber + 1}`;
    names.set(id, `${callFrame.functionName || "(anonymous)"}${place}`);
  }
  const us = new Map<string, number>();
  samples.forEach((id, i) => {
    const name = names.get(id)!;
    us.set(name, (us.get(name) ?? 0) + timeDeltas[i]!);
  });
  return [...us]
    .map(([where, time]) => ({ where, ms: time / US_PER_MS }))
    .sort((a, b) => b.ms - a.ms);
}

export class CpuProfiler {
  readonly #socket: WebSocket;
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** Begins a profile. @param output of the process, in which the inspector's address stands */
  static async start(output: string): Promise<CpuProfiler> {
    const url = /Debugger listening on (ws:\S+)/.exec(output)?.[1];
    if (url === undefined) throw new Error("the process was not started with --inspect");
    const socket = new WebSocket(url);
    await within(
      new Promise<void>((resolve, reject) => {
        socket.addEventListener("open", () => resolve());
        socket.addEventListener("error", () => reject(new Error(`no inspector at ${url}`)));
      }),
      REPLY_MS,
      "inspector",
    );
    const profiler = new CpuProfiler(socket);
    await profiler.#call("Profiler.enable");
    await profiler.#call("Profiler.start");
    return profiler;
  }

  async stop(): Promise<SelfTime[]> {
    const { profile } = (await this.#call("Profiler.stop")) as { profile: Profile };
    this.#socket.close();
    return selfTimes(profile);
  }

  #call(method: string): Promise<unknown> {
    const id = ++this.#lastId;
    const reply = new Promise<unknown>((resolve) => {
      const onMessage = ({ data }: { data: string }): void => {
        const message = JSON.parse(data) as { id?: number; result?: unknown };
        if (message.id !== id) return;
        this.#socket.removeEventListener("message", onMessage);
        resolve(message.result);
      };
      this.#socket.addEventListener("message", onMessage);
    });
    this.#socket.send(JSON.stringify({ id, method }));
    return within(reply, REPLY_MS, method);
  }
}
