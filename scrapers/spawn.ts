/**
 * The two ways to run a scraper: in a worker thread, or on the calling thread's own event loop.
 * @module
 */
import { Worker } from "node:worker_threads";
import type { FromScraper, ScraperInit, ToScraper } from "./messages.ts";
import { runScraper } from "./run-scraper.ts";

/** What the supervisor hears from a scraper. */
export interface ScraperEvents {
  message(message: FromScraper): void;
  /** The scraper is gone; told once, whatever the cause. */
  exit(cause: string): void;
}

/** A running scraper. */
export interface Scraper {
  post(message: ToScraper): void;
  /** Ends it without asking it. */
  kill(): void;
}

/** Starts a scraper; messages may be posted at once. */
export type SpawnScraper = (index: number, init: ScraperInit, events: ScraperEvents) => Scraper;

/** Heap of a thread: 4,096 connections and their parsers stay far below. */
const OLD_GENERATION_MB = 512;

/**
 * Runs it in a worker thread.
 *
 * @throws {Error} from sources: a worker can not load TypeScript on Node 20
 */
export const spawnWorker: SpawnScraper = (index, init, events) => {
  if (import.meta.url.endsWith(".ts")) {
    throw new Error("scraper threads need the compiled package; from sources use threads: 0");
  }
  const worker = new Worker(new URL("./thread.js", import.meta.url), {
    workerData: init,
    name: `scraper-${index}`,
    resourceLimits: { maxOldGenerationSizeMb: OLD_GENERATION_MB },
  });
  let cause = "";
  worker.on("message", (message: FromScraper) => events.message(message));
  worker.on("error", (error: Error) => {
    cause = `: ${error.message}`;
  });
  worker.on("exit", (code) => events.exit(`exit code ${code}${cause}`));
  return {
    post: (message) => worker.postMessage(message),
    kill: () => {
      // Resolves always; the exit event tells.
      worker.terminate().catch(() => undefined);
    },
  };
};

/** Runs it on the calling thread: for tests, debuggers and `threads: 0`. */
export const spawnInProcess: SpawnScraper = (_index, init, events) => {
  let running = true;
  const exit = (cause: string): void => {
    if (!running) return;
    running = false;
    queueMicrotask(() => events.exit(cause));
  };
  const receive = runScraper(
    init,
    (message) => events.message(message),
    () => exit("stopped"),
  );
  return {
    post: (message) => {
      if (running) receive(message);
    },
    kill: () => {
      if (running) receive({ type: "stop" });
      exit("killed");
    },
  };
};
