import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { staticUsageLimitPolicy } from "./static-usage-limit-policy.ts";

function ceilingsOf(parameters: object, bands: number, saturation: number): number[] {
  const { handle } = pluginSetup(0);
  const parsed = staticUsageLimitPolicy.parameters.parse(parameters);
  const policy = staticUsageLimitPolicy.create(parsed, handle).usageLimitPolicy!;
  const ceilings = new Float64Array(8).fill(1);
  const priorities = Array.from({ length: bands }, (_, i) => 10 - i);
  policy.limits(saturation, priorities, ceilings, 0);
  return [...ceilings];
}

test("one ceiling for all bands, and no word about others", () => {
  expect(ceilingsOf({}, 3, 0.5)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  expect(ceilingsOf({ threshold: 0.7 }, 3, 0.5)).toEqual([0.7, 0.7, 0.7, 1, 1, 1, 1, 1]);
});

test("does not depend on the saturation", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 9, noNaN: true }), (saturation) => {
      expect(ceilingsOf({ threshold: 0.4 }, 2, saturation).slice(0, 2)).toEqual([0.4, 0.4]);
    }),
  );
});

test("threshold is above 0 and at most 1", () => {
  const isValid = (threshold: unknown) =>
    staticUsageLimitPolicy.parameters.safeParse({ threshold }).success;
  expect([0, -1, 1.01, "1"].some(isValid)).toBe(false);
  expect([0.01, 1].every(isValid)).toBe(true);
});
