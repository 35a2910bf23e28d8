import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InflightLoad, UncachedRequestTokens } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { tokenLoadScore, tokenLoadScorer } from "./token-load-scorer.ts";

function scoresOf(
  loads: readonly (readonly [inflight: number, uncached: number])[],
  parameters: object = {},
  endpoints = loads.length,
): number[] {
  const load = new InflightLoad();
  const uncached = new UncachedRequestTokens();
  load.ensure(loads.length);
  uncached.ensure(loads.length);
  loads.forEach(([tokens, own], slot) => {
    load.tokens[slot] = tokens;
    uncached.tokens[slot] = own;
  });
  const { handle, candidates } = pluginSetup(endpoints, {
    "inflight-load": load,
    "uncached-request-tokens": uncached,
  });
  const { scorer } = tokenLoadScorer.create(tokenLoadScorer.parameters.parse(parameters), handle);
  const scores = new Float64Array(endpoints);
  scorer!.score(new InferenceRequest({}), candidates, scores);
  return [...scores];
}

test("tokens in flight and of this request count together, up to the threshold", () => {
  const loads = [
    [250, 250],
    [0, 0],
    [2000, 1],
    [999, 0],
  ] as const;
  const scores = scoresOf(loads, { queueThresholdTokens: 1000 });
  expect(scores[0]).toBe(0.5);
  expect(scores[1]).toBe(1);
  expect(scores[2]).toBe(0);
  expect(scores[3]).toBeCloseTo(0.001, 12);
});

test("the default threshold is 4194304 tokens, and stands in for values <= 0", () => {
  expect(scoresOf([[1_048_576, 0]])).toEqual([0.75]);
  expect(scoresOf([[2_097_152, 0]], { queueThresholdTokens: 0 })).toEqual([0.5]);
  expect(scoresOf([[2_097_152, 0]], { queueThresholdTokens: -3 })).toEqual([0.5]);
});

test("an endpoint without entries has no load", () => {
  expect(scoresOf([], {}, 2)).toEqual([1, 1]);
});

test("the score stays in 0..1 and never rises with the load", () => {
  const tokens = fc.double({ min: 0, max: 1e9, noNaN: true });
  fc.assert(
    fc.property(tokens, tokens, fc.integer({ min: 1, max: 1e7 }), (a, b, threshold) => {
      const light = tokenLoadScore(Math.min(a, b), threshold);
      const heavy = tokenLoadScore(Math.max(a, b), threshold);
      expect(heavy).toBeLessThanOrEqual(light);
      expect(heavy).toBeGreaterThanOrEqual(0);
      expect(light).toBeLessThanOrEqual(1);
    }),
  );
});

test("both kinds of data come from the producer that is named", () => {
  const parameters = tokenLoadScorer.parameters.parse({ inFlightLoadProducerName: "mine" });
  expect(tokenLoadScorer.consumes!(parameters)).toEqual([
    { type: "inflight-load", producer: "mine", required: true },
    { type: "uncached-request-tokens", producer: "mine", required: true },
  ]);
});
