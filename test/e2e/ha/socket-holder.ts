/**
 * A parent that opens a listening socket, never accepts from it, and starts processes that inherit it, as systemd does.
 *
 * It is a shell: a Node process that holds a listening socket accepts from it, whether it wants to or not.
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { RunningChild } from "../../support/child.ts";
import { within } from "../../support/deadline.ts";

const START_MS = 5_000;
const STOP_GRACE_MS = 10_000;

type Exit = Awaited<RunningChild["exited"]>;

export interface SocketHolder {
  /** Port of the socket at 127.0.0.1. */
  readonly port: number;
  /** Starts a command that finds the socket as descriptor 3, named `grpc`. */
  launch(command: string, args: readonly string[]): Promise<RunningChild>;
  close(): void;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Opens the socket in this process and passes it on to a shell before this process can accept from it. */
function shellWithSocket(): Promise<{ shell: ChildProcess; port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      // Node has no public name for the descriptor of a listening socket.
      const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
      const shell = spawn("sh", [], { stdio: ["pipe", "pipe", "inherit", fd] });
      server.close();
      resolve({ shell, port });
    });
  });
}

export async function holdSocket(): Promise<SocketHolder> {
  const { shell, port } = await shellWithSocket();
  const folder = mkdtempSync(join(tmpdir(), "socket-holder-"));
  const onPid = new Map<number, (pid: number) => void>();
  const onExit = new Map<number, (code: number) => void>();
  createInterface({ input: shell.stdout! }).on("line", (line) => {
    const [what, index, value] = line.split(" ");
    const listeners = what === "pid" ? onPid : onExit;
    listeners.get(Number(index))?.(Number(value));
  });
  const pids = new Set<number>();
  const killAll = (): void => {
    for (const pid of pids) process.kill(pid, "SIGKILL");
  };
  process.once("exit", killAll);
  let count = 0;

  return {
    port,
    launch: async (command, args) => {
      const index = count++;
      const log = join(folder, `${index}.log`);
      const started = new Promise<number>((resolve) => onPid.set(index, resolve));
      let gone = false;
      const exited = new Promise<Exit>((resolve) => {
        onExit.set(index, (code) => {
          gone = true;
          pids.delete(pid);
          resolve({ code, signal: null });
        });
      });
      // The pid is known only to the process that becomes the command.
      const script = `echo "pid ${index} $$"; LISTEN_PID=$$ exec "$@" >${quoted(log)} 2>&1`;
      const words = ["sh", "-c", script, "sh", command, ...args].map(quoted).join(" ");
      shell.stdin!.write(
        `( LISTEN_FDS=1 LISTEN_FDNAMES=grpc ${words}; echo "exit ${index} $?" ) 2>/dev/null &\n`,
      );
      const pid = await within(started, START_MS, "start of a process with the socket");
      pids.add(pid);
      const signal = (name: NodeJS.Signals): void => {
        if (!gone) process.kill(pid, name);
      };
      return {
        pid,
        output: () => readFileSync(log, "utf8"),
        exited,
        alive: () => !gone,
        onLine: () => {
          throw new Error("lines of a process with the socket go to its log");
        },
        stop: async () => {
          signal("SIGTERM");
          await within(exited, STOP_GRACE_MS, "end of a process with the socket");
        },
        kill: async () => {
          signal("SIGKILL");
          await exited;
        },
      };
    },
    close: () => {
      killAll();
      process.off("exit", killAll);
      shell.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
