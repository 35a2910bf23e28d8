/**
 * Pool gauges, computed when somebody scrapes: a picture of the endpoints as the scheduler sees them.
 * @module
 */
import type { EndpointPool, Scheduler } from "../../scheduler/index.ts";
import type { ScraperStats } from "../../scrapers/index.ts";
import type { DiscoveryStats } from "../control/file-discovery.ts";
import type { Metrics } from "./metrics.ts";
import type { Family } from "./registry.ts";

export interface PoolPicture {
  readonly poolName: string;
  readonly pool: EndpointPool;
  /** Endpoints whose newest good scrape is older do not count as ready, ms. */
  readonly stalenessMs: number;
  readonly nowMs: number;
  readonly refresh: () => void;
  readonly scrapers: ScraperStats;
  readonly scheduler: Scheduler;
  readonly discovery: DiscoveryStats;
}

/**
 * Means and sample standard deviations are over fresh endpoints and rounded to two decimals, as upstream does; with no
 * fresh endpoint they keep the last value.
 */
export function collectPoolMetrics(metrics: Metrics, picture: PoolPicture): void {
  picture.refresh();
  const { families } = metrics;
  const { pool, poolName } = picture;
  const { columns } = pool;
  families.perEndpointQueueSize.clear();
  for (let i = 0; i < pool.liveCount; i++) {
    const slot = pool.live[i]!;
    const queue = families.perEndpointQueueSize.row(poolName, pool.metadata(slot).id);
    families.perEndpointQueueSize.set(queue, columns.waiting[slot]!);
  }
  const fresh = freshSlots(picture);
  families.readyEndpoints.set(families.readyEndpoints.row(poolName), fresh.length);
  if (fresh.length > 0) {
    const set = (mean: Family, deviation: Family, column: ArrayLike<number>): void => {
      const values = fresh.map((slot) => column[slot]!);
      mean.set(mean.row(poolName), rounded(meanOf(values)));
      deviation.set(deviation.row(poolName), rounded(deviationOf(values)));
    };
    set(families.averageQueueSize, families.stdDevQueueSize, columns.waiting);
    set(families.averageRunningRequests, families.stdDevRunningRequests, columns.running);
    set(
      families.averageKvCacheUtilization,
      families.stdDevKvCacheUtilization,
      columns.kvUtilization,
    );
  }
  collectScrapers(metrics, picture.scrapers);
  const { scheduler, discovery } = picture;
  families.accountingRepairs.set(0, scheduler.stats().accountingRepairs);
  for (const { name, type, state } of Object.values(scheduler.pluginsState())) {
    const size = state["size"];
    if (size === undefined) continue;
    families.prefixIndexerSize.set(families.prefixIndexerSize.row(name, type), size);
  }
  const { discoveryLastSuccess, discoveryReloads } = families;
  discoveryReloads.set(discoveryReloads.row("ok"), discovery.reloadsOk);
  discoveryReloads.set(discoveryReloads.row("failed"), discovery.reloadsFailed);
  discoveryLastSuccess.set(0, discovery.lastSuccessMs / 1000);
}

/** Slots whose newest good scrape is young enough. */
function freshSlots({ nowMs, pool, stalenessMs }: PoolPicture): number[] {
  const fresh: number[] = [];
  for (let i = 0; i < pool.liveCount; i++) {
    const slot = pool.live[i]!;
    const scrapedAtMs = pool.columns.scrapedAtMs[slot]!;
    if (scrapedAtMs !== 0 && nowMs - scrapedAtMs <= stalenessMs) fresh.push(slot);
  }
  return fresh;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Divided by n - 1, of one value by 1. */
function deviationOf(values: readonly number[]): number {
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / Math.max(values.length - 1, 1));
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

function collectScrapers(metrics: Metrics, stats: ScraperStats): void {
  const { scrapes, pollErrors, scraperRestarts } = metrics.families;
  scrapes.set(scrapes.row("ok"), stats.scrapesOk);
  let failed = 0;
  for (const [reason, count] of Object.entries(stats.scrapesFailed)) {
    scrapes.set(scrapes.row(reason), count);
    failed += count;
  }
  pollErrors.set(pollErrors.row("metrics-data-source"), failed);
  scraperRestarts.set(0, stats.threadsRestarted);
}
