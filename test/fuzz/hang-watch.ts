/**
 * A thread that ends the process when one input takes for ever, and says which: the main thread can not do so itself.
 *
 *   shared   [executions i32][length i32][bytes of the input]
 * @module
 */
import { writeSync } from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const HEAD_BYTES = 8;
const INPUT_BYTES_MAX = 2 << 20;
const PATIENCE_MS = 20_000;

export class HangWatch {
  readonly #shared = new SharedArrayBuffer(HEAD_BYTES + INPUT_BYTES_MAX);
  readonly #head = new Int32Array(this.#shared, 0, 2);
  readonly #input = new Uint8Array(this.#shared, HEAD_BYTES);
  readonly #worker: Worker;

  constructor() {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: this.#shared });
    this.#worker.unref();
  }

  begin(input: Buffer): void {
    this.#input.set(input.subarray(0, INPUT_BYTES_MAX));
    this.#head[1] = Math.min(input.length, INPUT_BYTES_MAX);
    Atomics.add(this.#head, 0, 1);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

function watch(shared: SharedArrayBuffer): void {
  const head = new Int32Array(shared, 0, 2);
  let seen = -1;
  setInterval(() => {
    const executions = Atomics.load(head, 0);
    if (executions === seen) {
      const input = Buffer.from(new Uint8Array(shared, HEAD_BYTES, head[1]));
      writeSync(2, `no end within ${PATIENCE_MS} ms\ninput ${input.toString("hex")}\n`);
      // The main thread is busy and takes no message: only a signal ends it.
      process.kill(process.pid, "SIGKILL");
    }
    seen = executions;
  }, PATIENCE_MS);
}

if (!isMainThread && workerData instanceof SharedArrayBuffer) watch(workerData);
