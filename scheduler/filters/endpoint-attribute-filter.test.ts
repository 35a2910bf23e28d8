import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { limits } from "../limits.ts";
import { InferenceRequest } from "../request.ts";
import { endpointAttributeFilter } from "./endpoint-attribute-filter.ts";

/** @param values of one attribute, NaN = not supplied */
function setupOf(values: readonly number[]) {
  const setup = pluginSetup(values.length);
  values.forEach((value, slot) => {
    setup.pool.columns.scalars[slot * limits.scalarsPerEndpointMax] = value;
  });
  return { ...setup, handle: { ...setup.handle, scalar: () => 0 } };
}

function keptOf(
  values: readonly number[],
  operator: string,
  value: number,
  more: object = {},
): number[] {
  const { candidates, handle } = setupOf(values);
  const parsed = endpointAttributeFilter.parameters.parse({
    attribute: "gpu",
    algorithm: { type: "threshold", threshold: { operator, value } },
    ...more,
  });
  const { filter } = endpointAttributeFilter.create(parsed, handle);
  filter!.filter(new InferenceRequest({}), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}

test.each([
  ["LessThan", [0]],
  ["LessThanOrEqual", [0, 1]],
  ["GreaterThan", [2]],
  ["GreaterThanOrEqual", [1, 2]],
  ["Equal", [1]],
  ["NotEqual", [0, 2]],
])("%s", (operator, kept) => {
  expect(keptOf([0.5, 0.9, 0.95], operator, 0.9)).toEqual(kept);
});

test("an endpoint without the attribute passes, or fails where that is asked for", () => {
  expect(keptOf([0.5, Number.NaN], "LessThan", 0.9)).toEqual([0, 1]);
  expect(keptOf([0.5, Number.NaN], "LessThan", 0.9, { onMissing: "Fail" })).toEqual([0]);
});

test("nobody passes: none, or all where that is asked for", () => {
  const onMissing = "Fail";
  expect(keptOf([0.5, Number.NaN], "GreaterThan", 0.9, { onMissing })).toEqual([]);
  expect(
    keptOf([0.5, Number.NaN], "GreaterThan", 0.9, { onMissing, fallbackOnEmpty: true }),
  ).toEqual([0, 1]);
});

test("an operator and its opposite share the endpoints out", () => {
  const value = fc.integer({ min: 0, max: 5 });
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 12 }), value, (values, bound) => {
      const all = values.map((_, i) => i);
      for (const [a, b] of [
        ["LessThan", "GreaterThanOrEqual"],
        ["GreaterThan", "LessThanOrEqual"],
        ["Equal", "NotEqual"],
      ] as const) {
        const both = [...keptOf(values, a, bound), ...keptOf(values, b, bound)];
        expect(both.sort((x, y) => x - y)).toEqual(all);
      }
    }),
  );
});
