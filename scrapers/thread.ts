/**
 * Entry of a scraper thread.
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { processClock } from "./clock.ts";
import type { ScraperInit, ToScraper } from "./messages.ts";
import { practiceScrapes } from "./practice.ts";
import { runScraper } from "./run-scraper.ts";

if (parentPort === null) throw new Error("scrapers/thread is the entry of a worker thread");
const port = parentPort;

// Closing the port is what lets the thread end: it has no timer and no socket left then.
const init = workerData as ScraperInit;
const receive = runScraper(
  init,
  (message) => port.postMessage(message),
  () => port.close(),
);
port.on("message", (message: ToScraper) => receive(message));
if (init.practices) await practiceScrapes(init.config, processClock);
