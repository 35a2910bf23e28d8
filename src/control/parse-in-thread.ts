/**
 * Reads the text of an endpoints file in a thread of its own: half a second for a full pool, and many for brackets without
 * end, in which no pick would be made here.
 * @module
 */
import { Worker } from "node:worker_threads";
import { type ParsedEndpoints, parseEndpoints, refused, WHOLE_FILE } from "./endpoints-file.ts";

/** Twenty times what a full pool takes. */
const DEADLINE_MS = 10_000;
/** Heap of the thread: a file of 1 MiB stays far below. */
const OLD_GENERATION_MB = 512;

/** Never fails: what goes wrong with the thread is a problem of the text. From sources it runs in this thread. */
export function parseInThread(text: string): Promise<ParsedEndpoints> {
  // A worker can not load TypeScript on Node 20.
  if (import.meta.url.endsWith(".ts")) return Promise.resolve(parseEndpoints(text));
  return new Promise((resolve) => {
    const worker = new Worker(new URL("./parse-thread.js", import.meta.url), {
      workerData: text,
      name: "endpoints-file",
      resourceLimits: { maxOldGenerationSizeMb: OLD_GENERATION_MB },
    });
    const settle = (parsed: ParsedEndpoints): void => {
      clearTimeout(timer);
      resolve(parsed);
      void worker.terminate();
    };
    const give = (message: string): void => settle(refused([{ path: WHOLE_FILE, message }]));
    const timer = setTimeout(() => give(`takes more than ${DEADLINE_MS} ms to read`), DEADLINE_MS);
    worker.once("message", settle);
    worker.once("error", (error: Error) => give(error.message));
    worker.once("exit", () => give("its reader ended without a result"));
  });
}
