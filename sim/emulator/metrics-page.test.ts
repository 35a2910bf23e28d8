import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { vllm } from "../../scrapers/engines/vllm.ts";
import { PageFacts } from "../../scrapers/page-facts.ts";
import { PageScanner } from "../../scrapers/scan-metrics.ts";
import { histogramOf, parseExposition, type Sample, sumOf } from "../../test/support/exposition.ts";
import { LoggedEngine, promptOf } from "../../test/support/sim-requests.ts";
import { float, metricsPage, TtftHistogram } from "./metrics-page.ts";

/** A page recorded from a real server. */
const RECORDED = parseExposition(
  readFileSync(new URL("../../test/fixtures/metrics/vllm-v1-lora.prom", import.meta.url), "utf8"),
);

function pageOf(world: LoggedEngine, model = "base", ttft = new TtftHistogram()): string {
  return metricsPage({
    model,
    engine: world.engine,
    ttft,
    finished: { length: 3, abort: 1 },
    nowSeconds: 1_700_000_000.25,
  });
}

function scan(page: string): PageFacts {
  const facts = new PageFacts();
  const scanner = new PageScanner(vllm);
  scanner.scan(Buffer.from(page), scanner.createHints(), facts);
  return facts;
}

/** One request runs on adapter a, one waits for b, which has no slot. */
function busyEngine(): LoggedEngine {
  const world = new LoggedEngine({ adapterSlots: 1, adapterLoadMs: 0 });
  world.submit(promptOf([1, 2, 3], 5, "a"));
  world.submit(promptOf([1, 2, 3], 5, "a"));
  world.submit(promptOf([4], 5, "b"));
  world.step();
  return world;
}

test("our scanner reads from it what the engine knows", () => {
  const facts = scan(pageOf(busyEngine()));
  expect(facts).toMatchObject({
    waiting: 1,
    running: 2,
    kvUtilization: 0.05, // three blocks shared by both and one of each, of 100
    maxAdapters: 1,
    cacheBlockSize: 4,
    cacheBlocks: 100,
    remarks: 0,
  });
  expect([facts.activeAdapters.count, facts.waitingAdapters.count]).toEqual([1, 1]);
  expect([facts.activeAdapters.nameAt(0), facts.waitingAdapters.nameAt(0)]).toEqual(["a", "b"]);
});

test("families, labels and types are those of a real page", () => {
  const world = busyEngine();
  const page = pageOf(world);
  const own = parseExposition(page).filter(({ name }) => !name.startsWith("emulator:"));
  const recordedOf = (name: string): Sample[] => RECORDED.filter((sample) => sample.name === name);
  for (const sample of own) {
    const real = recordedOf(sample.name);
    expect(real, sample.name).not.toEqual([]);
    const labels = Object.keys(real[0]!.labels);
    expect(labels, sample.name).toEqual(expect.arrayContaining(Object.keys(sample.labels)));
    const { le } = sample.labels;
    if (le !== undefined) expect(real.map((one) => one.labels["le"])).toContain(le);
  }
  const types = new Map([...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, n, t]) => [n!, t!]));
  const bases = own.map(({ name }) => name.replace(/_(bucket|count|sum)$/, ""));
  expect(new Set(types.keys())).toEqual(new Set([...bases, "emulator:lora_loads_total"]));
  for (const [name, type] of types) {
    expect(type, name).toBe(
      name.endsWith("_total")
        ? "counter"
        : name.endsWith("_first_token_seconds")
          ? "histogram"
          : "gauge",
    );
  }
});

test("counters are the engine's", () => {
  const world = busyEngine();
  world.drain();
  const samples = parseExposition(pageOf(world));
  const value = (name: string): number | null => sumOf(samples, name);
  expect(value("vllm:prefix_cache_queries_total")).toBe(13 + 13 + 5);
  expect(value("vllm:prefix_cache_hits_total")).toBe(12);
  expect(value("vllm:prompt_tokens_total")).toBe(31);
  expect(value("vllm:generation_tokens_total")).toBe(15);
  expect(value("vllm:num_preemptions_total")).toBe(0);
  expect(value("emulator:lora_loads_total")).toBe(2);
  const success = (reason: string): number | null =>
    sumOf(samples, "vllm:request_success_total", { finished_reason: reason });
  expect([success("length"), success("abort")]).toEqual([3, 1]);
});

test("an engine without LoRA has no LoRA family, as a server that was started without it", () => {
  const page = pageOf(new LoggedEngine({ adapterSlots: 0 }));
  expect(page).not.toContain("lora_requests_info");
  expect(scan(page).cacheBlocks).toBe(100);
});

test("names from outside can not break the page", () => {
  const hostile = 'x"} 1\nvllm:num_requests_running 99\\';
  const world = new LoggedEngine();
  world.submit(promptOf([1], 1, hostile));
  const page = pageOf(world, hostile);
  const facts = scan(page);
  expect(facts.running).toBe(1);
  expect(facts.activeAdapters.nameAt(0)).toBe(hostile);
  const running = parseExposition(page).filter(({ name }) => name === "vllm:num_requests_running");
  expect(running.map(({ labels }) => labels["model_name"])).toEqual([hostile]);
});

describe("time to first token", () => {
  test("buckets are cumulative, bounds belong to the bucket below, and all is in +Inf", () => {
    const ttft = new TtftHistogram();
    for (const seconds of [0.0005, 0.001, 0.0011, 0.3, 2560, 1e9]) ttft.observe(seconds);
    const samples = parseExposition(ttft.render("t", 'engine="0"'));
    const histogram = histogramOf(samples, "t", { engine: "0" })!;
    expect([histogram.count, histogram.sum]).toEqual([6, 1_000_002_560.3026]);
    const counts = new Map(histogram.buckets);
    const at = (bound: number): number | undefined => counts.get(bound);
    expect([at(0.001), at(0.005), at(0.25), at(0.5), at(640), at(2560)]).toEqual([
      2, 3, 3, 4, 4, 5,
    ]);
    expect(at(Number.POSITIVE_INFINITY)).toBe(6);
  });

  test("is a full family before the first request", () => {
    const samples = parseExposition(new TtftHistogram().render("t", 'engine="0"'));
    expect(histogramOf(samples, "t")).toMatchObject({ count: 0, sum: 0 });
  });
});

test("numbers look like Python's", () => {
  expect([0, 23, 0.6182, 1_763_904_012.118, 1e16, -2].map(float)).toEqual([
    "0.0",
    "23.0",
    "0.6182",
    "1763904012.118",
    "1e+16",
    "-2.0",
  ]);
});
