/**
 * Pool gauges, computed when somebody scrapes: a picture of the endpoints as the scheduler sees them.
 * @module
 */
import type { EndpointPool, Scheduler } from "../../scheduler/index.ts";
import type { ScraperStats } from "../../scrapers/index.ts";
import type { DiscoveryStats } from "../control/file-discovery.ts";
import type { Metrics } from "./metrics.ts";

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

/** Means are rounded to two decimals, as upstream does; with no fresh endpoint they keep the last value. */
export function collectPoolMetrics(metrics: Metrics, picture: PoolPicture): void {
  picture.refresh();
  const { families } = metrics;
  const { pool, poolName, nowMs, stalenessMs } = picture;
  const { columns } = pool;
  families.perEndpointQueueSize.clear();
  let fresh = 0;
  let waiting = 0;
  let running = 0;
  let kv = 0;
  for (let i = 0; i < pool.liveCount; i++) {
    const slot = pool.live[i]!;
    const queue = families.perEndpointQueueSize.row(poolName, pool.metadata(slot).id);
    families.perEndpointQueueSize.set(queue, columns.waiting[slot]!);
    const scrapedAtMs = columns.scrapedAtMs[slot]!;
    if (scrapedAtMs === 0 || nowMs - scrapedAtMs > stalenessMs) continue;
    fresh++;
    waiting += columns.waiting[slot]!;
    running += columns.running[slot]!;
    kv += columns.kvUtilization[slot]!;
  }
  families.readyEndpoints.set(families.readyEndpoints.row(poolName), fresh);
  if (fresh > 0) {
    const mean = (sum: number): number => Math.round((sum / fresh) * 100) / 100;
    families.averageQueueSize.set(families.averageQueueSize.row(poolName), mean(waiting));
    families.averageRunningRequests.set(
      families.averageRunningRequests.row(poolName),
      mean(running),
    );
    families.averageKvCacheUtilization.set(
      families.averageKvCacheUtilization.row(poolName),
      mean(kv),
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
  const { discoveryReloads } = families;
  discoveryReloads.set(discoveryReloads.row("ok"), discovery.reloadsOk);
  discoveryReloads.set(discoveryReloads.row("failed"), discovery.reloadsFailed);
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
