import { describe, expect, test } from "vitest";
import type { ScraperStats } from "../../scrapers/index.ts";
import { type Labels, parseExposition, sumOf } from "../../test/support/exposition.ts";
import {
  endpointMetadata,
  type ScrapedFacts,
  START_MS,
  schedulerOf,
  scrape,
} from "../../test/support/scheduler-setup.ts";
import { Metrics } from "./metrics.ts";
import { collectPoolMetrics } from "./pool-metrics.ts";

const NO_SCRAPES: ScraperStats = {
  scrapesOk: 0,
  scrapesFailed: {
    refused: 0,
    unreachable: 0,
    reset: 0,
    timeout: 0,
    tls: 0,
    malformed: 0,
    status: 0,
    "too-large": 0,
    "no-facts": 0,
  },
  scrapesSkipped: 0,
  pageBytes: 0,
  endpoints: 0,
  threadsRestarted: 0,
  threadsUp: 0,
};

function setup() {
  const { pool, scheduler } = schedulerOf();
  const metrics = new Metrics();
  const collect = (nowMs: number, scrapers = NO_SCRAPES, refresh = () => {}): void =>
    collectPoolMetrics(metrics, {
      poolName: "pool",
      pool,
      stalenessMs: 2000,
      nowMs,
      refresh,
      scrapers,
      scheduler,
      discovery: { reloadsOk: 2, reloadsFailed: 1, lastSuccessMs: 5000 },
    });
  return {
    pool,
    scheduler,
    collect,
    add: (index: number, facts: ScrapedFacts, atMs: number) => {
      const slot = pool.upsert(endpointMetadata(index));
      if (atMs > 0) scrape(pool, slot, facts, atMs);
    },
    value: async (name: string, labels: Labels = {}) =>
      sumOf(parseExposition(await metrics.render()), name, labels),
  };
}

describe("over fresh endpoints", () => {
  test("means and sample deviations have two decimals", async () => {
    const { add, collect, value } = setup();
    add(0, { waiting: 1, running: 10, kvUtilization: 0.1 }, START_MS);
    add(1, { waiting: 2, running: 20, kvUtilization: 0.2 }, START_MS);
    add(2, { waiting: 5, running: 40, kvUtilization: 0.6 }, START_MS);
    collect(START_MS);
    const pool = { name: "pool" };
    expect(await value("llm_d_epp_ready_endpoints", pool)).toBe(3);
    expect(await value("inference_pool_ready_pods", pool)).toBe(3);
    expect(await value("llm_d_epp_average_queue_size", pool)).toBe(2.67);
    expect(await value("llm_d_epp_average_running_requests", pool)).toBe(23.33);
    expect(await value("llm_d_epp_average_kv_cache_utilization", pool)).toBe(0.3);
    expect(await value("inference_pool_average_kv_cache_utilization", pool)).toBe(0.3);
    expect(await value("llm_d_epp_std_dev_queue_size", pool)).toBe(2.08);
    expect(await value("llm_d_epp_std_dev_running_requests", pool)).toBe(15.28);
    expect(await value("llm_d_epp_std_dev_kv_cache_utilization", pool)).toBe(0.26);
  });

  test("one endpoint has no deviation", async () => {
    const { add, collect, value } = setup();
    add(0, { waiting: 7 }, START_MS);
    collect(START_MS);
    expect(await value("llm_d_epp_average_queue_size")).toBe(7);
    expect(await value("llm_d_epp_std_dev_queue_size")).toBe(0);
  });

  test("an endpoint is fresh up to the threshold, and never without a scrape", async () => {
    const { add, collect, value } = setup();
    add(0, { waiting: 4 }, START_MS);
    add(1, { waiting: 100 }, START_MS - 1);
    add(2, {}, 0);
    collect(START_MS + 2000);
    expect(await value("llm_d_epp_ready_endpoints")).toBe(1);
    expect(await value("llm_d_epp_average_queue_size")).toBe(4);
  });

  test("with none of them left the means keep their last value", async () => {
    const { add, collect, value } = setup();
    collect(START_MS);
    expect(await value("llm_d_epp_average_queue_size")).toBeNull();
    add(0, { waiting: 4 }, START_MS);
    collect(START_MS);
    collect(START_MS + 10_000);
    expect(await value("llm_d_epp_ready_endpoints")).toBe(0);
    expect(await value("llm_d_epp_average_queue_size")).toBe(4);
  });
});

test("each endpoint has its queue, stale or not, for as long as it is in the pool", async () => {
  const { add, collect, pool, value } = setup();
  add(0, { waiting: 3 }, START_MS - 60_000);
  add(1, { waiting: 5 }, START_MS);
  collect(START_MS);
  const name = "llm_d_epp_per_endpoint_queue_size";
  expect(await value(name, { name: "pool", model_server_endpoint: "default/p0" })).toBe(3);
  expect(await value("inference_pool_per_pod_queue_size", { model_server_pod: "default/p1" })).toBe(
    5,
  );
  pool.remove("default/p0");
  collect(START_MS);
  expect(await value(name, { model_server_endpoint: "default/p0" })).toBeNull();
});

test("scraped rows are taken over first", async () => {
  const { add, collect, value } = setup();
  collect(START_MS, NO_SCRAPES, () => add(0, { waiting: 3 }, START_MS));
  expect(await value("llm_d_epp_ready_endpoints")).toBe(1);
});

test("scrapes are told by result, and failures once more as upstream's poll errors", async () => {
  const { collect, value } = setup();
  const scrapesFailed = { ...NO_SCRAPES.scrapesFailed, refused: 3, "too-large": 4 };
  collect(START_MS, { ...NO_SCRAPES, scrapesOk: 10, scrapesFailed, threadsRestarted: 2 });
  const name = "endpoint_picker_scrapes_total";
  expect(await value(name, { result: "ok" })).toBe(10);
  expect(await value(name, { result: "refused" })).toBe(3);
  expect(await value(name, { result: "too-large" })).toBe(4);
  expect(await value(name, { result: "timeout" })).toBe(0);
  const source = { source_type: "metrics-data-source" };
  expect(await value("llm_d_epp_datalayer_poll_errors_total", source)).toBe(7);
  expect(await value("endpoint_picker_scraper_thread_restarts_total")).toBe(2);
});

test("discovery tells its reloads and the time of the last good one", async () => {
  const { collect, value } = setup();
  collect(START_MS);
  const name = "endpoint_picker_discovery_reloads_total";
  expect(await value(name, { result: "ok" })).toBe(2);
  expect(await value(name, { result: "failed" })).toBe(1);
  expect(await value("endpoint_picker_discovery_last_success_timestamp_seconds")).toBe(5);
});

test("the prefix index tells its size under the plugin, and under the deprecated name", async () => {
  const { collect, value } = setup();
  collect(START_MS);
  const type = "approx-prefix-cache-producer";
  const labels = { plugin_name: type, plugin_type: type };
  expect(await value("llm_d_epp_prefix_indexer_size", labels)).toBe(0);
  expect(await value("inference_extension_prefix_indexer_size")).toBe(0);
});
