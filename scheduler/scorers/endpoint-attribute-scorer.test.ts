import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { limits } from "../limits.ts";
import { InferenceRequest } from "../request.ts";
import { endpointAttributeScorer, linearScore } from "./endpoint-attribute-scorer.ts";

/** @param values of one attribute, NaN = not supplied */
function setupOf(values: readonly number[]) {
  const setup = pluginSetup(values.length);
  values.forEach((value, slot) => {
    setup.pool.columns.scalars[slot * limits.scalarsPerEndpointMax] = value;
  });
  return { ...setup, handle: { ...setup.handle, scalar: () => 0 } };
}

function scoresOf(values: readonly number[], type: string, normalization?: object): number[] {
  const { candidates, handle } = setupOf(values);
  const parsed = endpointAttributeScorer.parameters.parse({
    attributeKey: "gpu",
    algorithm: { type, ...(normalization === undefined ? {} : { normalization }) },
  });
  const scores = new Float64Array(values.length).fill(-1);
  const { scorer } = endpointAttributeScorer.create(parsed, handle);
  scorer!.score(new InferenceRequest({}), candidates, scores);
  return [...scores];
}

const LOWER = "linear_lower_is_better";
const HIGHER = "linear_higher_is_better";
const { NaN: none } = Number;

test("on a fixed scale values beyond its ends score as the ends", () => {
  const fixed = { fixedRange: { min: 0, max: 1 } };
  expect(scoresOf([0, 0.25, 1.5, none], LOWER, fixed)).toEqual([1, 0.75, 0, 0]);
  expect(scoresOf([0, 0.25, 1.5, none], HIGHER, fixed)).toEqual([0, 0.25, 1, 0]);
});

test("otherwise the scale is that of the candidates that have the attribute", () => {
  expect(scoresOf([2, 4, 6, none], HIGHER)).toEqual([0, 0.5, 1, 0]);
  expect(scoresOf([2, 4, 6, none], LOWER, { adaptiveRange: {} })).toEqual([1, 0.5, 0, 0]);
});

test("equal values all score 1; with nobody known all score 0", () => {
  expect(scoresOf([0.4, 0.4, none], LOWER)).toEqual([1, 1, 0]);
  expect(scoresOf([0.4], HIGHER)).toEqual([1]);
  expect(scoresOf([none, none], HIGHER)).toEqual([0, 0]);
});

test("scores stay in 0..1, and the two directions add up to 1", () => {
  const value = fc.double({ min: 0, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(value, value, value, (a, b, c) => {
      const range = { min: Math.min(a, b), max: Math.max(a, b) };
      if (range.min === range.max) return;
      const low = linearScore(c, range, true);
      expect(low).toBeGreaterThanOrEqual(0);
      expect(low).toBeLessThanOrEqual(1);
      expect(low + linearScore(c, range, false)).toBeCloseTo(1, 12);
    }),
  );
});

test("one scale at a time, and one that has an extent", () => {
  const problems = (normalization: object): string[] =>
    endpointAttributeScorer.parameters
      .safeParse({ attributeKey: "gpu", algorithm: { type: LOWER, normalization } })
      .error!.issues.map(({ path }) => path.join("."));
  expect(problems({ fixedRange: { min: 0, max: 1 }, adaptiveRange: {} })).toEqual([
    "algorithm.normalization",
  ]);
  expect(problems({ fixedRange: { min: 1, max: 1 } })).toEqual([
    "algorithm.normalization.fixedRange.max",
  ]);
});
