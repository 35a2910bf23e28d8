import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InflightLoad, LatencyPrediction, PrefixMatch, UncachedRequestTokens } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import {
  keepSticky,
  prefillTtftMs,
  prefixCacheAffinityFilter,
} from "./prefix-cache-affinity-filter.ts";

interface Endpoint {
  /** Blocks held of 10. */
  readonly held?: number;
  readonly inflight?: number;
  readonly uncached?: number;
  readonly ttft?: number;
}

function kept(endpoints: readonly Endpoint[], parameters: object = {}, draws: number[] = []) {
  const n = endpoints.length;
  const match = new PrefixMatch();
  const load = new InflightLoad();
  const uncached = new UncachedRequestTokens();
  const latency = new LatencyPrediction();
  for (const data of [match, load, uncached, latency]) data.ensure(n);
  endpoints.forEach((endpoint, slot) => {
    match.matchBlocks[slot] = endpoint.held ?? 0;
    match.totalBlocks[slot] = endpoint.held === undefined ? -1 : 10;
    load.tokens[slot] = endpoint.inflight ?? 0;
    uncached.tokens[slot] = endpoint.uncached ?? 0;
    latency.ttftMs[slot] = endpoint.ttft ?? Number.NaN;
  });
  const { handle, candidates } = pluginSetup(
    n,
    {
      "prefix-match": match,
      "inflight-load": load,
      "uncached-request-tokens": uncached,
      "latency-prediction": latency,
    },
    draws,
  );
  const { filter } = prefixCacheAffinityFilter.create(
    prefixCacheAffinityFilter.parameters.parse(parameters),
    handle,
  );
  filter!.filter(new InferenceRequest({}), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}

describe("narrowing", () => {
  test("keeps the endpoints whose share reaches the threshold, in their order", () => {
    expect(
      kept([{ held: 8, inflight: 1000 }, { held: 7 }, { held: 9, inflight: 500 }, { held: 0 }]),
    ).toEqual([0, 2]);
  });

  test("keeps all when nobody reaches it, when nothing is known, and when it is switched off", () => {
    expect(kept([{ held: 7 }, { held: 0 }])).toEqual([0, 1]);
    expect(kept([{}, {}])).toEqual([0, 1]);
    expect(kept([{ held: 10 }, { held: 0 }], { affinityThreshold: 0 })).toEqual([0, 1]);
  });

  test("a single candidate and none pass", () => {
    expect(kept([{ held: 0 }])).toEqual([0]);
    expect(kept([])).toEqual([]);
  });

  test("explores as often as it is told, and draws only then", () => {
    const endpoints = [{ held: 10 }, { held: 0 }];
    expect(kept(endpoints, { explorationProbability: 0.1 }, [0.05])).toEqual([0, 1]);
    expect(kept(endpoints, { explorationProbability: 0.1 }, [0.1])).toEqual([0]);
  });
});

describe("the load gate", () => {
  test("opens when the best sticky endpoint is later by more than the penalty", () => {
    const busy = [{ held: 10, inflight: 300_000 }, { held: 0 }, { held: 0, inflight: 20_000 }];
    expect(kept(busy)).toEqual([0, 1, 2]);
    expect(kept([{ held: 10, inflight: 286_704 }, { held: 0 }])).toEqual([0]); // 18,000 ms exactly
    expect(kept([{ held: 10, inflight: 286_705 }, { held: 0 }])).toEqual([0, 1]);
  });

  test("a penalty of 0 keeps sticky endpoints however loaded", () => {
    const parameters = { maxTTFTPenaltyMs: 0 };
    expect(kept([{ held: 10, inflight: 900_000 }, { held: 1 }], parameters)).toEqual([0]);
  });

  test("counts what this request adds on each side, upstream does not", () => {
    const endpoints = [
      { held: 9, inflight: 290_000, uncached: 1000 },
      { held: 0, uncached: 10_000 },
    ];
    expect(kept(endpoints)).toEqual([0]);
    expect(kept(endpoints, { compat: "upstream" })).toEqual([0, 1]);
  });

  test("compares predictions when told to, and a missing one is the worst", () => {
    const parameters = { ttftSource: "latencyPredictor", maxTTFTPenaltyMs: 5000 };
    expect(
      kept(
        [
          { held: 10, ttft: 9000 },
          { held: 1, ttft: 3000 },
        ],
        parameters,
      ),
    ).toEqual([0, 1]);
    expect(
      kept(
        [
          { held: 10, ttft: 8000 },
          { held: 1, ttft: 3000 },
        ],
        parameters,
      ),
    ).toEqual([0]);
    expect(kept([{ held: 10 }, { held: 1, ttft: 3000 }], parameters)).toEqual([0, 1]);
    expect(kept([{ held: 10, ttft: 9000 }, { held: 1 }], parameters)).toEqual([0]);
    expect(kept([{ held: 10 }, { held: 1 }], parameters)).toEqual([0]);
  });

  test("asks for the time to first token of each candidate once, and of none when it does not compare", () => {
    const { candidates } = pluginSetup(3);
    const match = new PrefixMatch();
    match.ensure(3);
    match.totalBlocks.fill(10);
    match.matchBlocks[1] = 10;
    const asked: number[] = [];
    keepSticky(candidates, match, 0.8, 100, (slot) => asked.push(slot));
    expect(asked).toEqual([0, 1, 2]);
    expect([candidates.count, candidates.slots[0]]).toEqual([1, 1]);
    candidates.reset(0);
    keepSticky(candidates, match, 0.8, 0, null);
    expect([candidates.count, candidates.slots[0]]).toEqual([1, 1]);
  });

  test("tokens over throughput are the time to first token", () => {
    expect(prefillTtftMs(300_000, 0, 15_928)).toBeCloseTo(18_834.8, 1);
    expect(prefillTtftMs(500, 500, 1000)).toBe(1000);
  });
});

test("the result is never empty, and a part of the input in its order", () => {
  const endpoint = fc.record({
    held: fc.nat(10),
    inflight: fc.nat(600_000),
    uncached: fc.nat(9000),
  });
  fc.assert(
    fc.property(
      fc.array(endpoint, { minLength: 1, maxLength: 20 }),
      fc.nat(30_000),
      (endpoints, penalty) => {
        const result = kept(endpoints, { maxTTFTPenaltyMs: penalty });
        expect(result.length).toBeGreaterThan(0);
        expect(result).toEqual([...result].sort((a, b) => a - b));
      },
    ),
  );
});

describe("configuration", () => {
  test("consumes the load only where it compares, predictions optionally", () => {
    const consumes = (raw: object) =>
      prefixCacheAffinityFilter.consumes!(prefixCacheAffinityFilter.parameters.parse(raw)).map(
        ({ type, required }) => `${type}${required ? "" : "?"}`,
      );
    expect(consumes({})).toEqual(["prefix-match", "inflight-load", "uncached-request-tokens?"]);
    expect(consumes({ maxTTFTPenaltyMs: 0 })).toEqual(["prefix-match"]);
    expect(consumes({ ttftSource: "latencyPredictor" })).toEqual([
      "prefix-match",
      "latency-prediction?",
    ]);
  });

  test("without a predictor it says that the gate can not open, and keeps sticky endpoints", () => {
    const { handle, warnings } = pluginSetup(2, { "prefix-match": new PrefixMatch() });
    const parameters = prefixCacheAffinityFilter.parameters.parse({
      ttftSource: "latencyPredictor",
    });
    prefixCacheAffinityFilter.create(parameters, handle);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/predicted-latency-producer/);
  });

  test.each([
    [{ affinityThreshold: 1.01 }, "affinityThreshold"],
    [{ explorationProbability: -0.1 }, "explorationProbability"],
    [{ explorationProbability: 1.1 }, "explorationProbability"],
    [{ maxTTFTPenaltyMs: -1 }, "maxTTFTPenaltyMs"],
    [{ ttftSource: "guess" }, "ttftSource"],
    [{ peakPrefillThroughput: 0 }, "peakPrefillThroughput"],
    [{ peakPrefillThroughput: -1, maxTTFTPenaltyMs: 0 }, "peakPrefillThroughput"],
  ])("%o is refused at %s", (raw, path) => {
    const { error } = prefixCacheAffinityFilter.parameters.safeParse(raw);
    expect(error!.issues.map((issue) => issue.path.join("."))).toContain(path);
  });

  test("a throughput of 0 is fine where it is not used", () => {
    for (const raw of [{ maxTTFTPenaltyMs: 0 }, { ttftSource: "latencyPredictor" }]) {
      const parsed = prefixCacheAffinityFilter.parameters.safeParse({
        ...raw,
        peakPrefillThroughput: 0,
      });
      expect(parsed.success).toBe(true);
    }
  });
});
