import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { scoresOf } from "../../test/support/scores.ts";
import {
  kvCacheUtilizationScorer,
  scoreKvCacheUtilization,
} from "./kv-cache-utilization-scorer.ts";

test("an empty cache scores 1, a full one 0", () => {
  const utilizations = [0, 0.25, 1];
  const scores = scoresOf(
    kvCacheUtilizationScorer,
    utilizations.map((kvUtilization) => ({ kvUtilization })),
  );
  expect(scores).toEqual([1, 0.75, 0]);
});

test("the formula writes one score a candidate and nothing behind", () => {
  const { candidates, pool } = pluginSetup(2);
  pool.columns.kvUtilization.set([0.75, 0.5]);
  const scores = new Float64Array(3).fill(-7);
  scoreKvCacheUtilization(candidates, scores);
  expect([...scores]).toEqual([0.25, 0.5, -7]);
});

test("more than full is negative; the profile takes it as 0", () => {
  expect(scoresOf(kvCacheUtilizationScorer, [{ kvUtilization: 1.25 }])).toEqual([-0.25]);
});

test("an endpoint that was never scraped scores the mean of the others, with compat: upstream 1", () => {
  const endpoints = [{ kvUtilization: 0.5 }, { kvUtilization: 0.75 }, { ageMs: null }];
  expect(scoresOf(kvCacheUtilizationScorer, endpoints)).toEqual([0.5, 0.25, 0.375]);
  const parameters = { compat: "upstream" };
  expect(scoresOf(kvCacheUtilizationScorer, endpoints, { parameters })).toEqual([0.5, 0.25, 1]);
});

test("a fuller cache never scores higher", () => {
  const ratio = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(ratio, ratio, (a, b) => {
      const [fuller, emptier] = scoresOf(kvCacheUtilizationScorer, [
        { kvUtilization: Math.max(a, b) },
        { kvUtilization: Math.min(a, b) },
      ]);
      expect(fuller).toBeLessThanOrEqual(emptier!);
    }),
  );
});
