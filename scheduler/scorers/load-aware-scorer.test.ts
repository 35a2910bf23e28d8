import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { START_MS, scrape } from "../../test/support/scheduler-setup.ts";
import { InferenceRequest } from "../request.ts";
import { loadAwareScore, loadAwareScorer } from "./load-aware-scorer.ts";

/** @param waiting null = never scraped */
function scoresOf(waiting: readonly (number | null)[], parameters: object = {}): number[] {
  const { candidates, handle, pool } = pluginSetup(waiting.length);
  waiting.forEach((value, slot) => {
    if (value !== null) scrape(pool, slot, { waiting: value }, START_MS);
  });
  candidates.reset(START_MS);
  const parsed = loadAwareScorer.parameters.parse(parameters);
  const scores = new Float64Array(waiting.length);
  loadAwareScorer
    .create(parsed, handle)
    .scorer!.score(new InferenceRequest({}), candidates, scores);
  return [...scores];
}

test("half for nobody waiting, falling to 0 at the threshold and staying there", () => {
  expect(scoresOf([0, 1, 64, 128, 500])).toEqual([0.5, 0.49609375, 0.25, 0, 0]);
  expect(scoresOf([0, 3, 10, 11], { threshold: 10 })).toEqual([0.5, 0.35, 0, 0]);
});

test("a threshold that can not be is the default", () => {
  expect(scoresOf([32], { threshold: -5 })).toEqual([0.375]);
  expect(scoresOf([32], { threshold: 0 })).toEqual([0.375]);
});

test("an endpoint that was never scraped gets the mean of the others, upstream's the best", () => {
  expect(scoresOf([0, 128, null])).toEqual([0.5, 0, 0.25]);
  expect(scoresOf([0, 128, null], { compat: "upstream" })).toEqual([0.5, 0, 0.5]);
});

test("never above half, never below 0, never higher for more waiting", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), fc.integer({ min: 1, max: 500 }), (a, b, threshold) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      const score = loadAwareScore(low, threshold);
      expect(score).toBeGreaterThanOrEqual(loadAwareScore(high, threshold));
      expect(score).toBeLessThanOrEqual(0.5);
      expect(loadAwareScore(high, threshold)).toBeGreaterThanOrEqual(0);
    }),
  );
});
