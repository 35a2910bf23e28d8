/**
 * API boundary of the scrapers: worker threads that read the metrics pages of model servers and write what they say
 * into shared memory. They never decide anything; the scheduler takes the facts over through the reader.
 * @module
 */
import type { EndpointMetadata } from "../scheduler/index.ts";
import { AdapterNames } from "./adapter-names.ts";
import { connectionSettings } from "./connection.ts";
import { EndpointTable } from "./endpoint-table.ts";
import { EndpointTableReader } from "./endpoint-table-reader.ts";
import type { EngineConfig, ScalarSpec } from "./engines/engine.ts";
import { DEFAULT_ENGINE, ENGINE_LABEL, EngineRegistry, engineLabelOf } from "./engines/registry.ts";
import type { ScrapeConfig, ScrapeCounters, ScrapeTls, ScrapeWarning } from "./messages.ts";
import type { Aggregation } from "./scan-metrics.ts";
import { spawnInProcess, spawnWorker } from "./spawn.ts";
import { ScraperSupervisor } from "./supervisor.ts";

export { EndpointRow, EndpointTable } from "./endpoint-table.ts";
export { EndpointTableReader } from "./endpoint-table-reader.ts";
export type { EngineConfig, MetricSpec, ScalarSpec } from "./engines/engine.ts";
export type { ScrapeTls, ScrapeWarning } from "./messages.ts";
export type { Aggregation } from "./scan-metrics.ts";

/** Shortest interval, and the default; upstream's base tick. */
export const SCRAPE_INTERVAL_MS_MIN = 50;
/** Longest interval that is accepted. */
export const SCRAPE_INTERVAL_MS_MAX = 3_600_000;
/** Threads that may be asked for; one serves some 5,000 scrapes a second. */
export const SCRAPER_THREADS_MAX = 16;

export interface ScraperOptions {
  /** Worker threads, 0 .. SCRAPER_THREADS_MAX, default 1. 0 = on the calling thread's event loop. */
  readonly threads?: number;
  /** Time between two scrapes of an endpoint, default and least SCRAPE_INTERVAL_MS_MIN (less is raised to it). */
  readonly intervalMs?: number;
  /** Default `http`. */
  readonly scheme?: "http" | "https";
  /** Default: `/metrics`, and `/prometheus/metrics` of a server that has no metrics there. */
  readonly path?: string;
  /** Port to scrape at every address; default: the endpoint's own. Not for pools with several ports a pod. */
  readonly port?: number;
  readonly tls?: ScrapeTls;
  /** How data-parallel ranks of one page are combined; default `sum`. */
  readonly aggregation?: Aggregation;
  /** Engines of the user; one with a built-in name replaces that one. */
  readonly engineConfigs?: readonly EngineConfig[];
  /** Attributes to read from the page of every engine, besides those of `engineConfigs`. */
  readonly scalars?: readonly ScalarSpec[];
  /** Label that names the engine of an endpoint; default ENGINE_LABEL, with LEGACY_ENGINE_LABEL behind it. */
  readonly engineLabelKey?: string;
  /** Engine of an endpoint without that label; default DEFAULT_ENGINE. */
  readonly defaultEngine?: string;
  /** Threads scrape a server of their own making at their start, to have the code compiled; default false. */
  readonly practices?: boolean;
  /** Told once per endpoint and kind. */
  readonly onWarning?: (warning: ScrapeWarning) => void;
  /** A thread ended unasked and is started anew after `restartMs`. */
  readonly onThreadDied?: (index: number, cause: string, restartMs: number) => void;
}

/** What may change while running. */
export type ScraperChanges = Pick<
  ScraperOptions,
  "intervalMs" | "scheme" | "path" | "tls" | "aggregation" | "engineConfigs" | "defaultEngine"
>;

/** Counters since the start; those of threads are at most a quarter of a second old. */
export interface ScraperStats extends Readonly<ScrapeCounters> {
  /** Threads that died or hung and were started anew. */
  readonly threadsRestarted: number;
  /** Threads that are up (with `threads: 0`, the one loop). */
  readonly threadsUp: number;
}

export interface ScraperHandle {
  readonly table: EndpointTable;
  /** One consumer only: the thread that owns the pool. */
  readonly reader: EndpointTableReader;
  /** Scrapes an endpoint from now on. `generation` is that of its slot; rows carry it. */
  add(slot: number, generation: number, metadata: EndpointMetadata): void;
  /** Ends the scrapes of a slot. */
  remove(slot: number): void;
  /**
   * Replaces the named options, as when a certificate is renewed; connections are made anew.
   *
   * @throws {Error} as startScrapers; all old options stay then
   */
  configure(changes: ScraperChanges): void;
  stats(): ScraperStats;
  /** Name of an adapter by its hash, if a page has shown it. */
  adapterName(lo: number, hi: number): string | undefined;
  /** Ends all threads and closes all sockets. */
  stop(): Promise<void>;
  /** Ends a thread as a crash would. */
  killThreadForTest(index: number): void;
}

/**
 * Starts scraping. There are no endpoints at first.
 *
 * @throws {RangeError} when an option is out of range, naming it
 * @throws {Error} when `defaultEngine` is unknown, a PEM text is unreadable, or threads can not be started
 */
export function startScrapers(options: ScraperOptions = {}): ScraperHandle {
  const { threads = 1 } = options;
  checkInteger("threads", threads, 0, SCRAPER_THREADS_MAX);
  const table = EndpointTable.create();
  const names = new AdapterNames();
  let current = options;
  const supervisor = new ScraperSupervisor(
    Math.max(threads, 1),
    {
      table: table.buffer,
      config: scrapeConfig(options),
      practices: options.practices ?? false,
    },
    threads === 0 ? spawnInProcess : spawnWorker,
    {
      message: (message) => {
        if (message.type === "adapter") names.set(message.lo, message.hi, message.name);
        else options.onWarning?.(message.warning);
      },
      died: (index, cause, restartMs) => options.onThreadDied?.(index, cause, restartMs),
    },
  );
  return {
    table,
    reader: new EndpointTableReader(table),
    add: (slot, generation, metadata) =>
      supervisor.add({
        slot,
        generation,
        address: metadata.address,
        port: options.port ?? metadata.port,
        engineLabel: engineLabelOf(metadata.labels, options.engineLabelKey ?? ENGINE_LABEL),
      }),
    remove: (slot) => supervisor.remove(slot),
    configure: (changes) => {
      const changed = { ...current, ...changes };
      supervisor.configure(scrapeConfig(changed));
      current = changed;
    },
    stats: () => ({
      ...supervisor.counters(),
      threadsRestarted: supervisor.restarts,
      threadsUp: supervisor.up,
    }),
    adapterName: (lo, hi) => names.get(lo, hi),
    stop: () => supervisor.stop(),
    killThreadForTest: (index) => supervisor.kill(index),
  };
}

/** Bytes that a request target may have: printable ASCII but the blank. */
const REQUEST_PATH = /^\/[\x21-\x7e]*$/;

function scrapeConfig(options: ScraperOptions): ScrapeConfig {
  const { intervalMs = SCRAPE_INTERVAL_MS_MIN, path, port, scheme = "http", tls = {} } = options;
  if (!(intervalMs > 0 && intervalMs <= SCRAPE_INTERVAL_MS_MAX)) {
    throw new RangeError(
      `scrapers: intervalMs must be above 0 and at most ${SCRAPE_INTERVAL_MS_MAX}, got ${intervalMs}`,
    );
  }
  if (port !== undefined) checkInteger("port", port, 1, 65_535);
  if (path !== undefined && !REQUEST_PATH.test(path)) {
    throw new RangeError(`scrapers: path must begin with / and have no blanks, got "${path}"`);
  }
  const { engineConfigs = [], defaultEngine = DEFAULT_ENGINE } = options;
  // Whatever a thread would stumble over is found here, before anything runs.
  connectionSettings(scheme, tls);
  new EngineRegistry(engineConfigs, defaultEngine);
  return {
    intervalMs: Math.max(intervalMs, SCRAPE_INTERVAL_MS_MIN),
    scheme,
    path: path ?? null,
    tls,
    aggregation: options.aggregation ?? "sum",
    engineConfigs,
    defaultEngine,
    scalars: options.scalars ?? [],
  };
}

function checkInteger(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`scrapers: ${name} must be an integer from ${min} to ${max}, got ${value}`);
}
