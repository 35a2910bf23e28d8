import fc from "fast-check";
import { expect, test } from "vitest";
import { addEndpoint, flightOf, noResults, pluginSetup } from "../../test/support/plugin-setup.ts";
import { PrefixMatch } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { noHitLruScorer } from "./no-hit-lru-scorer.ts";

function lruOver(endpoints: number, parameters: object = {}) {
  const match = new PrefixMatch();
  match.ensure(16);
  match.totalBlocks.fill(4);
  const setup = pluginSetup(endpoints, { "prefix-match": match });
  const { hooks, scorer } = noHitLruScorer.create(
    noHitLruScorer.parameters.parse(parameters),
    setup.handle,
  );
  const { candidates, pool } = setup;
  const scoresFor = (request: InferenceRequest): number[] => {
    const scores = new Float64Array(candidates.count);
    scorer!.score(request, candidates, scores);
    return Array.from(scores, (score) => Math.round(score * 1e6) / 1e6);
  };
  return {
    ...setup,
    match,
    hooks: hooks!,
    scoresFor,
    scores: () => scoresFor(new InferenceRequest({})),
    /** A request is scored and goes to these. */
    send(...targets: (readonly [slot: number, profile: string])[]): void {
      const request = new InferenceRequest({});
      scoresFor(request);
      hooks!.account!(flightOf(request, pool, targets), noResults);
    },
  };
}

test("endpoints that were never used score 1, used ones less, the newest least", () => {
  const lru = lruOver(4);
  expect(lru.scores()).toEqual([1, 1, 1, 1]);
  lru.send([2, "default"]);
  lru.send([0, "default"]);
  expect(lru.scores()).toEqual([0, 1, 0.333333, 1]);
  lru.send([2, "default"]);
  expect(lru.scores()).toEqual([0.333333, 1, 0, 1]);
});

test("compat: upstream ranks unused ones by their place, and counts those that are no candidates", () => {
  const lru = lruOver(4, { compat: "upstream" });
  expect(lru.scores()).toEqual([1, 0.666667, 0.333333, 0]);
  lru.send([2, "default"]);
  lru.send([0, "default"]);
  expect(lru.scores()).toEqual([0, 1, 0.333333, 0.666667]);
  lru.candidates.count = 2;
  expect(lru.scores()).toEqual([0, 1]);
});

test("by default those that are no candidates do not count", () => {
  const lru = lruOver(4);
  lru.send([2, "default"]);
  lru.send([3, "default"]);
  lru.send([0, "default"]);
  lru.send([1, "default"]);
  lru.candidates.count = 2;
  expect(lru.scores()).toEqual([1, 0]);
});

test("one candidate that holds some of the prompt makes the request warm: the same for all, and no use", () => {
  const lru = lruOver(3);
  lru.match.matchBlocks[1] = 1;
  expect(lru.scores()).toEqual([0.5, 0.5, 0.5]);
  lru.send([1, "default"]);
  lru.match.matchBlocks[1] = 0;
  expect(lru.scores()).toEqual([1, 1, 1]);
});

test("less than minHitRatio does not count as held", () => {
  const lru = lruOver(2, { minHitRatio: 0.5 });
  lru.match.matchBlocks[0] = 1;
  expect(lru.scores()).toEqual([1, 1]);
  lru.match.matchBlocks[0] = 2;
  expect(lru.scores()).toEqual([0.5, 0.5]);
});

test("without a match nothing is held", () => {
  const lru = lruOver(2);
  lru.match.totalBlocks.fill(-1);
  lru.match.matchBlocks.fill(9);
  expect(lru.scores()).toEqual([1, 1]);
});

test("one candidate scores 1, used or not; none is no problem", () => {
  for (const parameters of [{}, { compat: "upstream" }]) {
    const lru = lruOver(1, parameters);
    expect(lru.scores()).toEqual([1]);
    lru.send([0, "default"]);
    expect(lru.scores()).toEqual([1]);
    lru.candidates.count = 0;
    expect(lru.scores()).toEqual([]);
  }
});

test("targets of the primary profile and of prefill are used, others are not", () => {
  const lru = lruOver(4);
  lru.send([0, "decode"], [1, "prefill"], [2, "encode"]);
  expect(lru.scores()).toEqual([0.333333, 0, 1, 1]);
});

test("a later profile that finds the request warm takes the verdict back", () => {
  const lru = lruOver(2);
  const request = new InferenceRequest({});
  lru.scoresFor(request);
  lru.match.matchBlocks[0] = 1;
  lru.scoresFor(request);
  lru.hooks.account!(flightOf(request, lru.pool, [[0, "decode"]]), noResults);
  expect(lru.hooks.stats!()).toEqual({ endpoints: 0 });
});

test("endpoints that leave are forgotten, and the oldest when there are too many", () => {
  const lru = lruOver(4, { lruSize: 2 });
  for (const slot of [0, 1, 2]) lru.send([slot, "default"]);
  expect(lru.scores()).toEqual([1, 0.333333, 0, 1]);
  lru.hooks.endpointRemoved!(2);
  expect(lru.hooks.stats!()).toEqual({ endpoints: 1 });
  expect(lru.scores()).toEqual([1, 0, 1, 1]);
});

test("the pool may grow", () => {
  const lru = lruOver(2);
  lru.send([0, "default"]);
  for (let i = 2; i < 40; i++) addEndpoint(lru.pool, i);
  lru.candidates.reset(0);
  expect(lru.scores().filter((score) => score === 1)).toHaveLength(39);
});

test("among used ones, whoever was used longer ago scores higher", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 30 }), (sends) => {
      const lru = lruOver(6);
      for (const slot of sends) lru.send([slot, "default"]);
      const scores = lru.scores();
      for (let a = 0; a < 6; a++) {
        for (let b = 0; b < 6; b++) {
          if (sends.lastIndexOf(a) < sends.lastIndexOf(b)) {
            expect(scores[a]).toBeGreaterThan(scores[b]!);
          }
        }
      }
    }),
  );
});

test("what has no effect is accepted with a remark", () => {
  const lru = lruOver(1, { prefixPluginName: "x", prefixPluginType: "y", lruSize: -1 });
  expect(lru.warnings).toEqual([
    "prefixPluginType is deprecated and has no effect",
    "prefixPluginName is deprecated and has no effect",
  ]);
});
