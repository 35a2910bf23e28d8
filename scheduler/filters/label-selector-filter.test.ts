import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keptBy } from "../../test/support/kept.ts";
import { labelSelectorFilter, selectorPredicate } from "./label-selector-filter.ts";

const pods = [{ hw: "h100", zone: "a" }, { hw: "l4", zone: "a" }, { zone: "b" }, {}];
const kept = (parameters: object): number[] => keptBy(labelSelectorFilter, pods, parameters);
const expression = (operator: string, values?: readonly string[]): object => ({
  matchExpressions: [{ key: "hw", operator, ...(values === undefined ? {} : { values }) }],
});

describe("keeps", () => {
  test("everybody for an empty selector", () => {
    expect(kept({})).toEqual([0, 1, 2, 3]);
  });

  test("those whose labels have exactly the values", () => {
    expect(kept({ matchLabels: { hw: "h100" } })).toEqual([0]);
    expect(kept({ matchLabels: { hw: "h100", zone: "b" } })).toEqual([]);
  });

  test("by In and Exists only those with the label", () => {
    expect(kept(expression("In", ["h100", "a100"]))).toEqual([0]);
    expect(kept(expression("Exists"))).toEqual([0, 1]);
  });

  test("by NotIn and DoesNotExist those without the label too", () => {
    expect(kept(expression("NotIn", ["h100"]))).toEqual([1, 2, 3]);
    expect(kept(expression("DoesNotExist"))).toEqual([2, 3]);
  });

  test("those for whom all parts hold", () => {
    expect(kept({ matchLabels: { zone: "a" }, ...expression("NotIn", ["l4"]) })).toEqual([0]);
  });
});

describe("refuses when the configuration loads", () => {
  const problemOf = (parameters: object): string => {
    const result = labelSelectorFilter.parameters.safeParse(parameters);
    expect(result.success).toBe(false);
    return result.error!.issues.map(({ message, path }) => `${path.join(".")}: ${message}`).join();
  };

  test("operators whose values do not fit", () => {
    expect(problemOf(expression("In"))).toBe(
      "matchExpressions.0.values: must not be empty for operator In",
    );
    expect(problemOf(expression("Exists", ["x"]))).toBe(
      "matchExpressions.0.values: must be empty for operator Exists",
    );
    expect(problemOf(expression("GreaterThan", ["1"]))).toContain("matchExpressions.0.operator");
  });

  test("keys and values that no label can have", () => {
    expect(problemOf({ matchLabels: { "a b": "x" } })).toContain("matchLabels");
    expect(problemOf({ matchLabels: { a: "-x" } })).toContain(
      "matchLabels.a: must be a label value",
    );
    expect(problemOf({ matchLabels: { a: "x".repeat(64) } })).toContain("matchLabels.a");
    const prefixed = { matchLabels: { "llm-d.ai/role": "decode", [`${"n".repeat(63)}`]: "" } };
    expect(labelSelectorFilter.parameters.safeParse(prefixed).success).toBe(true);
  });

  test("fields that a selector does not have", () => {
    expect(problemOf({ matchLabel: {} })).toContain("matchLabel");
  });
});

test("In and NotIn are opposites, and so are Exists and DoesNotExist", () => {
  const label = fc.option(fc.constantFrom("a", "b", "c"), { nil: undefined });
  const values = fc.uniqueArray(fc.constantFrom("a", "b", "c"), { minLength: 1 });
  const holds = (
    operator: "In" | "NotIn" | "Exists" | "DoesNotExist",
    value: string | undefined,
    list: string[],
  ): boolean => {
    const labels = new Map(value === undefined ? [] : [["k", value]]);
    const matchExpressions = [{ key: "k", operator, values: list }];
    return selectorPredicate({ matchLabels: {}, matchExpressions })(labels);
  };
  fc.assert(
    fc.property(label, values, (value, list) => {
      expect(holds("In", value, list)).toBe(!holds("NotIn", value, list));
      expect(holds("Exists", value, [])).toBe(!holds("DoesNotExist", value, []));
    }),
  );
});
