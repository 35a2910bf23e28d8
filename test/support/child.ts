/**
 * Child processes of tests and the demo: started with their output kept, ended by pid, never left behind.
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { within } from "./deadline.ts";

/** Bytes of output kept per stream: enough for the reason of a failed start. */
const KEPT_OUTPUT_BYTES = 64 * 1024;
/** A process that ignores SIGTERM for this long is killed. */
const STOP_GRACE_MS = 5_000;

export interface RunningChild {
  readonly pid: number;
  /** The last 64 KiB of stdout and stderr together. */
  output(): string;
  /** Resolves when the process is gone, with what ended it. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** False once the process is gone. */
  alive(): boolean;
  /** Calls back for each complete line of stdout from now on. */
  onLine(listener: (line: string) => void): void;
  /** SIGTERM, then SIGKILL after 5 s; resolves when the process is gone. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

const running = new Set<ChildProcess>();
let exitHookInstalled = false;

function killAllOnExit(): void {
  if (exitHookInstalled) return;
  exitHookInstalled = true;
  process.on("exit", () => {
    for (const child of running) child.kill("SIGKILL");
  });
}

/** Starts a command; its stdin is closed and its output is kept, not shown. */
export function startChild(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): RunningChild {
  killAllOnExit();
  const child = spawn(command, [...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  running.add(child);
  let kept = "";
  let line = "";
  const listeners: ((line: string) => void)[] = [];
  const keep = (text: string): void => {
    kept = (kept + text).slice(-KEPT_OUTPUT_BYTES);
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    keep(text);
    if (listeners.length === 0) return;
    line += text;
    const lines = line.split("\n");
    line = (lines.pop() ?? "").slice(-KEPT_OUTPUT_BYTES);
    for (const complete of lines) for (const listener of listeners) listener(complete);
  });
  child.stderr.setEncoding("utf8").on("data", keep);

  let gone = false;
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      gone = true;
      running.delete(child);
      resolve({ code, signal });
    };
    child.once("exit", end);
    child.once("error", (error) => {
      keep(`cannot start ${command}: ${error.message}\n`);
      end(null, null);
    });
  });

  return {
    pid: child.pid ?? -1,
    output: () => kept,
    exited,
    alive: () => !gone,
    onLine: (listener) => {
      listeners.push(listener);
    },
    stop: async () => {
      if (gone) return;
      child.kill("SIGTERM");
      try {
        await within(exited, STOP_GRACE_MS, "end of the process");
      } catch {
        child.kill("SIGKILL");
        await exited;
      }
    },
    kill: async () => {
      if (!gone) child.kill("SIGKILL");
      await exited;
    },
  };
}
