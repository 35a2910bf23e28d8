import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InflightLoad } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { concurrencyDetector } from "./concurrency-detector.ts";

type Load = readonly [requests: number, tokens?: number];

function setupOf(loads: readonly Load[], parameters: object = {}) {
  const load = new InflightLoad();
  load.ensure(Math.max(1, loads.length));
  loads.forEach(([requests, tokens = 0], slot) => {
    load.requests[slot] = requests;
    load.tokens[slot] = tokens;
  });
  const { candidates, consumed, handle } = pluginSetup(loads.length, { "inflight-load": load });
  const parsed = concurrencyDetector.parameters.parse(parameters);
  const { filter, saturationDetector } = concurrencyDetector.create(parsed, handle);
  const kept = (): number[] => {
    filter!.filter(new InferenceRequest({}), candidates);
    return [...candidates.slots.subarray(0, candidates.count)];
  };
  return { candidates, consumed, detector: saturationDetector!, kept };
}

const saturationOf = (loads: readonly Load[], parameters: object = {}): number => {
  const { candidates, detector } = setupOf(loads, parameters);
  return detector.saturation(candidates);
};

const LIMITS = { maxConcurrency: 10, maxTokenConcurrency: 1000 };
const TOKENS = { ...LIMITS, concurrencyMode: "tokens" };
const HYBRID = { ...LIMITS, concurrencyMode: "hybrid" };

describe("saturation", () => {
  test.each<[string, readonly Load[], object, number]>([
    ["an empty pool is full", [], LIMITS, 1],
    ["requests of all over the limits of all", [[5], [15]], LIMITS, 1],
    [
      "tokens likewise",
      [
        [99, 500],
        [99, 100],
      ],
      TOKENS,
      0.3,
    ],
    [
      "hybrid: the mean of the fuller ratios",
      [
        [5, 100],
        [1, 900],
      ],
      HYBRID,
      0.7,
    ],
    ["more than full", [[40]], LIMITS, 4],
    ["idle", [[0], [0]], LIMITS, 0],
    ["the least, where it is asked for", [[9], [2]], { ...LIMITS, aggregation: "min" }, 0.2],
    [
      "slots likewise",
      [
        [9, 0],
        [2, 950],
      ],
      { ...HYBRID, aggregation: "slots" },
      0.9,
    ],
    ["the default limit", [[50]], {}, 0.5],
  ])("%s", (_, loads, parameters, expected) => {
    expect(saturationOf(loads, parameters)).toBeCloseTo(expected, 12);
  });

  test("hybrid is never below either of its parts", () => {
    const load = fc.tuple(fc.nat(30), fc.nat(3000));
    fc.assert(
      fc.property(fc.array(load, { minLength: 1, maxLength: 9 }), (loads) => {
        const hybrid = saturationOf(loads, HYBRID);
        expect(hybrid).toBeGreaterThanOrEqual(saturationOf(loads, LIMITS) - 1e-9);
        expect(hybrid).toBeGreaterThanOrEqual(saturationOf(loads, TOKENS) - 1e-9);
      }),
    );
  });

  test("moves with every pick: it reads no scrapes", () => {
    const { detector } = setupOf([[1]]);
    expect(detector.readsScrapes).toBe(false);
    expect(detector.staleEndpoints).toBeUndefined();
  });
});

describe("as a filter", () => {
  test("keeps those below the limit of the mode", () => {
    const loads: Load[] = [
      [9, 1000],
      [10, 999],
      [9, 999],
    ];
    expect(setupOf(loads, LIMITS).kept()).toEqual([0, 2]);
    expect(setupOf(loads, TOKENS).kept()).toEqual([1, 2]);
    expect(setupOf(loads, HYBRID).kept()).toEqual([2]);
  });

  test("headroom counts in whole requests, rounded down", () => {
    const loads: Load[] = [[10], [11], [12]];
    expect(setupOf(loads, { ...LIMITS, headroom: 0.19 }).kept()).toEqual([0]);
    expect(setupOf(loads, { ...LIMITS, headroom: 0.2 }).kept()).toEqual([0, 1]);
  });

  test("leaves nobody when all are full", () => {
    expect(setupOf([[10], [12]], LIMITS).kept()).toEqual([]);
  });
});

test("reads the load of the producer that is named", () => {
  expect(setupOf([[1]]).consumed).toEqual(["inflight-load from inflight-load-producer"]);
  const named = { inFlightLoadProducerName: "mine" };
  expect(setupOf([[1]], named).consumed).toEqual(["inflight-load from mine"]);
  const parsed = concurrencyDetector.parameters.parse(named);
  expect(concurrencyDetector.consumes!(parsed)).toEqual([
    { type: "inflight-load", producer: "mine", required: true },
  ]);
});

test("limits above 0, known modes", () => {
  for (const wrong of [
    { maxConcurrency: 0 },
    { maxTokenConcurrency: 0 },
    { concurrencyMode: "both" },
    { headroom: -1 },
  ]) {
    expect(concurrencyDetector.parameters.safeParse(wrong).success).toBe(false);
  }
});
