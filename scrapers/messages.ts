/**
 * Every message that crosses the boundary between a scraper thread and the thread that started it. Both ends are of
 * one build, so there are no versions. No transferables: the table's memory is shared, all else is small and copied.
 * @module
 */
import type { EngineConfig, ScalarSpec } from "./engines/engine.ts";
import type { Aggregation } from "./scan-metrics.ts";

/** TLS of `https` scrapes; PEM texts, already read from their files. */
export interface ScrapeTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Takes any certificate. Default: true without `ca` (pods have self-signed ones), else false. */
  readonly insecureSkipVerify?: boolean;
  /** Name to verify and to send as SNI; default: none, the certificate must name the address. */
  readonly serverName?: string;
}

/** What all endpoints have in common. */
export interface ScrapeConfig {
  readonly intervalMs: number;
  readonly scheme: "http" | "https";
  /** null = `/metrics`, and `/prometheus/metrics` where that one has no metrics. */
  readonly path: string | null;
  readonly tls: ScrapeTls;
  readonly aggregation: Aggregation;
  readonly engineConfigs: readonly EngineConfig[];
  readonly defaultEngine: string;
  /** Attributes to read from the page of every engine. */
  readonly scalars?: readonly ScalarSpec[];
}

/** One endpoint to scrape. */
export interface ScrapeTarget {
  readonly slot: number;
  readonly generation: number;
  /** IPv4 or IPv6 literal (no brackets) or host name. */
  readonly address: string;
  readonly port: number;
  /** Value of the engine label, "" when there is none. */
  readonly engineLabel: string;
}

/** What a new thread is given (`workerData`). */
export interface ScraperInit {
  readonly table: SharedArrayBuffer;
  readonly config: ScrapeConfig;
  /** Scrape a server of its own making first, to have the code compiled. */
  readonly practices: boolean;
}

export type ToScraper =
  | { readonly type: "add"; readonly target: ScrapeTarget }
  | { readonly type: "remove"; readonly slot: number }
  | { readonly type: "configure"; readonly config: ScrapeConfig }
  | { readonly type: "stop" };

/** Why a scrape failed; in the order of `FAILURE_REASONS`. */
export const FAILURE_REASONS = [
  /** Nobody listens at the port. */
  "refused",
  /** No route, or no such host. */
  "unreachable",
  /** The connection broke before the answer was whole. */
  "reset",
  /** No whole answer in time: hanging, dripping, black hole. */
  "timeout",
  /** TLS handshake or certificate. */
  "tls",
  /** Not HTTP/1.1, or headers that are too long. */
  "malformed",
  /** Any status but 200. */
  "status",
  /** Page above the byte cap. */
  "too-large",
  /** A page without one fact of the engine. */
  "no-facts",
] as const;

export type FailureReason = (typeof FAILURE_REASONS)[number];

/** Counters of one thread since it started. */
export interface ScrapeCounters {
  scrapesOk: number;
  readonly scrapesFailed: Record<FailureReason, number>;
  /** Due times that passed while the scrape before was still under way. */
  scrapesSkipped: number;
  /** Bytes of good pages. */
  pageBytes: number;
  /** Endpoints being scraped. */
  endpoints: number;
}

export type WarningKind =
  /** The engine label names no engine; detail = the label. */
  | "unknown-engine"
  /** The page decided which engine it is; detail = the engine. */
  | "engine-detected"
  /** KV utilization is reported in percent. */
  | "kv-percent"
  /** A label that should hold an integer does not. */
  | "label-integer";

/** Told once per endpoint and kind. */
export interface ScrapeWarning {
  readonly kind: WarningKind;
  readonly slot: number;
  readonly generation: number;
  readonly detail: string;
}

export type FromScraper =
  /** Every BEAT_INTERVAL_MS while the event loop turns; the first one says that the thread is up. */
  | { readonly type: "beat"; readonly counters: ScrapeCounters }
  /** A name not sent before by this thread, or not lately. */
  | { readonly type: "adapter"; readonly lo: number; readonly hi: number; readonly name: string }
  | { readonly type: "warning"; readonly warning: ScrapeWarning };

/** How often a thread shows that it lives. */
export const BEAT_INTERVAL_MS = 250;

export function createCounters(): ScrapeCounters {
  const scrapesFailed = {} as Record<FailureReason, number>;
  for (const reason of FAILURE_REASONS) scrapesFailed[reason] = 0;
  return { scrapesOk: 0, scrapesFailed, scrapesSkipped: 0, pageBytes: 0, endpoints: 0 };
}
