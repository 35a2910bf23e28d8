import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { scoreMinMax } from "./min-max.ts";

function scoresOf(values: readonly number[], minRange = 0): number[] {
  const { candidates } = pluginSetup(values.length);
  const scores = new Float64Array(values.length);
  scoreMinMax(candidates, Int32Array.from(values), null, minRange, 0, 0, scores);
  return [...scores];
}

const depths = fc.array(fc.nat(100_000), { minLength: 1, maxLength: 40 });

test("scores stay in 0..1, the best is always 1, and the worst 0 unless all are equal", () => {
  fc.assert(
    fc.property(depths, (values) => {
      const scores = scoresOf(values);
      expect(Math.max(...scores)).toBe(1);
      const allEqual = Math.min(...values) === Math.max(...values);
      expect(Math.min(...scores)).toBe(allEqual ? 1 : 0);
    }),
  );
});

test("adding the same to every value changes no score by more than rounding", () => {
  fc.assert(
    fc.property(depths, fc.nat(100_000), (values, more) => {
      const shifted = scoresOf(values.map((value) => value + more));
      scoresOf(values).forEach((score, i) => {
        expect(shifted[i]).toBeCloseTo(score, 9);
      });
    }),
  );
});

test("a minimum range never lowers a score", () => {
  fc.assert(
    fc.property(depths, fc.nat(1000), (values, minRange) => {
      const plain = scoresOf(values);
      scoresOf(values, minRange).forEach((score, i) => {
        expect(score).toBeGreaterThanOrEqual(plain[i]! - 1e-12);
        expect(score).toBeLessThanOrEqual(1);
      });
    }),
  );
});
