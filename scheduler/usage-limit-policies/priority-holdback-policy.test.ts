import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { priorityHoldbackPolicy } from "./priority-holdback-policy.ts";

function ceilingsOf(parameters: object, priorities: readonly number[]): number[] {
  const { handle } = pluginSetup(0);
  const parsed = priorityHoldbackPolicy.parameters.parse(parameters);
  const policy = priorityHoldbackPolicy.create(parsed, handle).usageLimitPolicy!;
  const ceilings = new Float64Array(priorities.length).fill(1);
  policy.limits(0.9, priorities, ceilings, 0);
  return [...ceilings];
}

const close = (actual: readonly number[], expected: readonly number[]): void => {
  expect(actual.length).toBe(expected.length);
  actual.forEach((ceiling, i) => {
    expect(ceiling).toBeCloseTo(expected[i]!, 12);
  });
};

describe("by rank", () => {
  test.each([
    [[7], [1]],
    [
      [10, 0],
      [1, 0.6],
    ],
    [
      [10, 0, -1],
      [1, 0.8, 0.6],
    ],
    [
      [100, 10, 1, 0, -1],
      [1, 0.9, 0.8, 0.7, 0.6],
    ],
  ])("%j", (priorities, expected) => {
    close(ceilingsOf({ minCeiling: 0.6 }, priorities), expected);
  });
});

describe("by value", () => {
  test.each([
    [[7], [0.9]],
    [
      [10, 0],
      [0.9, 0.5],
    ],
    [
      [10, 5, 0],
      [0.9, 0.7, 0.5],
    ],
    [
      [100, 10, 1, 0, -100],
      [0.9, 0.72, 0.702, 0.7, 0.5],
    ],
  ])("%j", (priorities, expected) => {
    const parameters = { minCeiling: 0.5, maxCeiling: 0.9, domain: "value" };
    close(ceilingsOf(parameters, priorities), expected);
  });
});

test("ceilings never rise from band to band and stay between the two", () => {
  const priorities = fc
    .uniqueArray(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 20 })
    .map((list) => list.sort((a, b) => b - a));
  fc.assert(
    fc.property(priorities, fc.constantFrom("rank", "value"), (bands, domain) => {
      const ceilings = ceilingsOf({ minCeiling: 0.2, maxCeiling: 0.8, domain }, bands);
      ceilings.forEach((ceiling, i) => {
        expect(ceiling).toBeGreaterThan(0.2 - 1e-9);
        expect(ceiling).toBeLessThan(0.8 + 1e-9);
        if (i > 0) expect(ceiling).toBeLessThan(ceilings[i - 1]!);
      });
    }),
  );
});

test("what is refused: no minCeiling, one that is not below maxCeiling, other shapes", () => {
  const messages = (parameters: object) => {
    const result = priorityHoldbackPolicy.parameters.safeParse(parameters);
    return result.success ? [] : result.error.issues.map(({ path }) => path.join("."));
  };
  expect(messages({})).toEqual(["minCeiling"]);
  expect(messages({ minCeiling: 1 })).toEqual(["minCeiling", "maxCeiling"]);
  expect(messages({ minCeiling: 0.5, maxCeiling: 0.5 })).toEqual(["maxCeiling"]);
  expect(messages({ minCeiling: 0.5, shape: "step" })).toEqual(["shape"]);
  expect(messages({ minCeiling: 0 })).toEqual([]);
});
