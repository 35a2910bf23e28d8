import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { type ScrapedFacts, scrape } from "../../test/support/scheduler-setup.ts";
import { ManualClock } from "../clock.ts";
import { InferenceRequest } from "../request.ts";
import { utilizationDetector } from "./utilization-detector.ts";

const NOW_MS = 100_000;

type Facts = ScrapedFacts & {
  /** null = never scraped. */
  readonly ageMs?: number | null;
};

function setupOf(endpoints: readonly Facts[], parameters: object = {}, scrapeIntervalMs?: number) {
  const { candidates, handle, pool, warnings } = pluginSetup(endpoints.length);
  endpoints.forEach(({ ageMs = 0, ...facts }, slot) => {
    if (ageMs !== null) scrape(pool, slot, facts, NOW_MS - ageMs);
  });
  candidates.nowMs = NOW_MS;
  const parsed = utilizationDetector.parameters.parse(parameters);
  const instance = utilizationDetector.create(parsed, {
    ...handle,
    clock: new ManualClock(NOW_MS + 2),
    scrapeIntervalMs,
  });
  const detector = instance.saturationDetector!;
  const kept = (): number[] => {
    instance.filter!.filter(new InferenceRequest({}), candidates);
    return [...candidates.slots.subarray(0, candidates.count)];
  };
  return { candidates, detector, instance, kept, pool, warnings };
}

const saturationOf = (endpoints: readonly Facts[], parameters: object = {}): number => {
  const { candidates, detector } = setupOf(endpoints, parameters);
  return detector.saturation(candidates);
};

const IDLE: Facts = {};
const STALE: Facts = { ageMs: 201 };
const NEVER: Facts = { ageMs: null };

describe("saturation", () => {
  test.each<[string, readonly Facts[], number]>([
    ["an empty pool is full", [], 1],
    ["idle", [IDLE], 0],
    ["the queue", [{ waiting: 5 }], 1],
    ["the cache", [{ kvUtilization: 0.4 }], 0.5],
    ["the fuller of the two", [{ waiting: 1, kvUtilization: 0.4 }], 0.5],
    ["more than full", [{ waiting: 20 }], 4],
    ["the mean", [{ waiting: 5 }, IDLE, IDLE, IDLE], 0.25],
    ["never scraped is full", [NEVER, IDLE], 0.5],
    ["stale is full", [STALE, IDLE], 0.5],
    ["200 ms is not stale", [{ ageMs: 200 }, IDLE], 0],
    ["all stale is full", [STALE, STALE], 1],
  ])("%s", (_, endpoints, expected) => {
    expect(saturationOf(endpoints)).toBeCloseTo(expected, 12);
  });

  test("min and slots take the least", () => {
    for (const aggregation of ["min", "slots"]) {
      expect(saturationOf([{ waiting: 20 }, { waiting: 2 }, STALE], { aggregation })).toBe(0.4);
      expect(saturationOf([STALE, STALE], { aggregation })).toBe(1);
      expect(saturationOf([], { aggregation })).toBe(1);
    }
  });

  test("never falls when a queue grows", () => {
    const facts = fc.record({
      waiting: fc.nat(50),
      kvUtilization: fc.double({ min: 0, max: 1, noNaN: true }),
      ageMs: fc.option(fc.nat(400)),
    });
    fc.assert(
      fc.property(
        fc.array(facts, { minLength: 1, maxLength: 9 }),
        fc.constantFrom("mean", "min", "slots"),
        fc.constantFrom("saturated", "ignore", "last-known"),
        (endpoints, aggregation, stalenessPolicy) => {
          const parameters = { aggregation, stalenessPolicy };
          const before = saturationOf(endpoints, parameters);
          const grown = endpoints.map((each) => ({ ...each, waiting: each.waiting + 3 }));
          expect(saturationOf(grown, parameters)).toBeGreaterThanOrEqual(before);
          expect(before).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });
});

describe("staleness", () => {
  test("ignore leaves stale ones out; with everybody stale nothing speaks against dispatching", () => {
    const parameters = { stalenessPolicy: "ignore" };
    expect(saturationOf([STALE, { waiting: 3 }], parameters)).toBeCloseTo(0.6, 12);
    expect(saturationOf([STALE, NEVER], parameters)).toBe(0);
  });

  test("ignore tells when the next one goes stale, the others have nothing to tell", () => {
    const { candidates, detector } = setupOf([{ ageMs: 50 }, { ageMs: 150 }], {
      stalenessPolicy: "ignore",
    });
    detector.saturation(candidates);
    expect(detector.changesAtMs).toBe(NOW_MS + 51);
    const other = setupOf([{ ageMs: 50 }]);
    other.detector.saturation(other.candidates);
    expect(other.detector.changesAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("last-known keeps the value for ten seconds", () => {
    const parameters = { stalenessPolicy: "last-known" };
    const at = (ageMs: number) => saturationOf([{ waiting: 2, ageMs }, IDLE], parameters);
    expect(at(201)).toBeCloseTo(0.2, 12);
    expect(at(10_000)).toBeCloseTo(0.2, 12);
    expect(at(10_001)).toBeCloseTo(0.5, 12);
    expect(saturationOf([NEVER], parameters)).toBe(1);
  });

  test("a pool of one keeps the last value by default, unless it is to be as upstream", () => {
    expect(saturationOf([{ waiting: 1, ageMs: 5000 }])).toBeCloseTo(0.2, 12);
    expect(saturationOf([{ waiting: 1, ageMs: 5000 }], { compat: "upstream" })).toBe(1);
    expect(saturationOf([{ waiting: 1, ageMs: 5000 }], { stalenessPolicy: "saturated" })).toBe(1);
  });

  test("begins at four scrape intervals, 200 ms at the least, or where it is told to", () => {
    const staleAt = (ageMs: number, intervalMs?: number, parameters: object = {}) => {
      const { candidates, detector } = setupOf([{ ageMs }, IDLE], parameters, intervalMs);
      return detector.staleEndpoints!(candidates) === 1;
    };
    expect([staleAt(200), staleAt(201), staleAt(201, 50)]).toEqual([false, true, true]);
    expect([staleAt(4000, 1000), staleAt(4001, 1000)]).toEqual([false, true]);
    const told = { metricsStalenessThreshold: "1s" };
    expect([staleAt(1000, 50, told), staleAt(1001, 50, told)]).toEqual([false, true]);
  });

  test("is counted over all, never scraped ones too, and is 0 for an empty pool", () => {
    const { candidates, detector } = setupOf([STALE, NEVER, IDLE]);
    expect(detector.staleEndpoints!(candidates)).toBe(2);
    candidates.count = 0;
    expect(detector.staleEndpoints!(candidates)).toBe(0);
  });
});

describe("as a filter", () => {
  test("keeps those below both thresholds, in their order", () => {
    const endpoints = [
      { waiting: 5 },
      { waiting: 4 },
      { kvUtilization: 0.8 },
      { kvUtilization: 0.79 },
      STALE,
    ];
    expect(setupOf(endpoints).kept()).toEqual([1, 3]);
  });

  test("headroom relaxes both", () => {
    const endpoints = [{ waiting: 5 }, { waiting: 6 }, { kvUtilization: 0.95 }];
    expect(setupOf(endpoints, { headroom: 0.2 }).kept()).toEqual([0, 2]);
  });

  test("keeps all when nobody has room, but with slots nobody", () => {
    const endpoints = [{ waiting: 5 }, { waiting: 9 }];
    expect(setupOf(endpoints).kept()).toEqual([0, 1]);
    expect(setupOf(endpoints, { aggregation: "min" }).kept()).toEqual([0, 1]);
    expect(setupOf(endpoints, { aggregation: "slots" }).kept()).toEqual([]);
    expect(setupOf(endpoints).instance.filter!.rejects).toBe("filtered-by-load");
  });
});

describe("own dispatches", () => {
  const flights = (parameters: object) => setupOf([{ waiting: 2 }], parameters).instance.producer;

  test("are counted by default, and not when they are not to be", () => {
    expect(flights({})).toBeDefined();
    expect(flights({ inFlightCredit: false })).toBeUndefined();
    expect(flights({ compat: "upstream" })).toBeUndefined();
  });

  test("add to the queue of gate and filter; ends lower it, to 0 at the least", () => {
    const { candidates, detector, instance, kept } = setupOf([{ waiting: 3 }, { waiting: 4 }]);
    const producer = instance.producer!;
    const charge = { slot: 0, generation: 1, profile: "default", tokens: 0, requests: 1 };
    const flight = { charges: [charge], pickedAtMs: NOW_MS + 1 } as never;
    producer.account!(flight);
    producer.account!(flight);
    expect(detector.saturation(candidates)).toBeCloseTo((5 / 5 + 4 / 5) / 2, 12);
    expect(kept()).toEqual([1]);
    const seen = { charges: [charge], pickedAtMs: 1 } as never;
    for (let ends = 0; ends < 9; ends++) producer.complete!(seen, "natural", true);
    candidates.reset(NOW_MS);
    expect(detector.saturation(candidates)).toBeCloseTo(0.4, 12);
  });
});

test("doubtful headroom is remarked on, other values are refused", () => {
  expect(setupOf([], { headroom: 20 }).warnings).toEqual([
    "parameters.headroom: 20 is a fraction, not a percentage; is it meant?",
  ]);
  expect(setupOf([], { headroom: 1 }).warnings).toEqual([]);
  const isValid = (parameters: object) =>
    utilizationDetector.parameters.safeParse(parameters).success;
  for (const wrong of [
    { queueDepthThreshold: 0 },
    { queueDepthThreshold: 1.5 },
    { kvCacheUtilThreshold: 0 },
    { kvCacheUtilThreshold: 1.1 },
    { headroom: -0.1 },
    { metricsStalenessThreshold: "0s" },
    { metricsStalenessThreshold: 200 },
    { stalenessPolicy: "fresh" },
    { aggregation: "max" },
    { other: 1 },
  ]) {
    expect(isValid(wrong), JSON.stringify(wrong)).toBe(false);
  }
});
