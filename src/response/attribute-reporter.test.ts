import { describe, expect, test } from "vitest";
import { AttributeReporterParameters, reporterLimits } from "./attribute-reporter.ts";

const TOTALS = { promptTokens: 32, completionTokens: 10, totalTokens: 42, cachedTokens: 8 };

function load(expression: unknown, condition?: unknown, key: object = { name: "cost" }) {
  return AttributeReporterParameters.safeParse({
    attributes: [{ key, expression, ...(condition === undefined ? {} : { condition }) }],
  });
}

function resultOf(expression: string, condition?: string, totals = TOTALS): number | null {
  return load(expression, condition).data!.attributes[0]!.evaluate(totals);
}

describe("an expression", () => {
  test.each([
    ["usage.completion_tokens", undefined, 10],
    ["usage.prompt_tokens + usage.completion_tokens * 4", undefined, 72],
    ["usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens", "", 24],
    ["usage.prompt_tokens * 0.4", undefined, 12],
    ["double(usage.total_tokens) / 4.0", undefined, 10],
    ["usage.total_tokens > 40 ? 1 : 2", undefined, 1],
    ["usage.completion_tokens", "has(usage.completion_tokens)", 10],
    ["usage.completion_tokens", "usage.completion_tokens > 10", null],
    ["usage.completion_tokens - 10", undefined, null],
    ["usage.completion_tokens / (usage.prompt_tokens - 32 + 0)", undefined, null],
  ])("%s, if %s", (expression, condition, value) => {
    expect(resultOf(expression, condition)).toBe(value);
  });

  test("has no value where the answer has not told what it needs", () => {
    const totals = { ...TOTALS, cachedTokens: -1 };
    const cached = "usage.prompt_tokens_details.cached_tokens";
    expect(resultOf(cached, undefined, totals)).toBeNull();
    expect(resultOf("5", `has(${cached})`, totals)).toBeNull();
    const nothing = { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedTokens: -1 };
    expect(resultOf("5", undefined, nothing)).toBeNull();
  });

  test("is told under envoy.lb unless another namespace is named", () => {
    expect(load("1").data!.attributes[0]).toMatchObject({ namespace: "envoy.lb", name: "cost" });
    const key = { namespace: "my.own", name: "cost" };
    expect(load("1", undefined, key).data!.attributes[0]).toMatchObject(key);
  });
});

describe("a faulty one is refused when it is loaded", () => {
  test.each([
    ["usage.completion_tokens +", undefined, "expression", "is not an expression of CEL"],
    ["tokens", undefined, "expression", "does not work"],
    ["usage.tokens", undefined, "expression", "does not work"],
    ["'text'", undefined, "expression", "must be a number"],
    ["1", "usage.total_tokens", "condition", "must be true or false"],
    ["1", "usage.x > 1", "condition", "does not work"],
    ["x".repeat(reporterLimits.expressionLengthMax + 1), undefined, "expression", "4096"],
    [`${"(".repeat(200)}1${")".repeat(200)}`, undefined, "expression", "is not an expression"],
  ])("%.40s, if %s", (expression, condition, member, text) => {
    const { error } = load(expression, condition);
    const [issue] = error!.issues;
    expect(issue!.path).toEqual(["attributes", 0, member]);
    expect(issue!.message).toContain(text);
  });

  test("and so are none, and two", () => {
    for (const attributes of [[], [{}, {}].map(() => ({ key: { name: "a" }, expression: "1" }))]) {
      const { error } = AttributeReporterParameters.safeParse({ attributes });
      expect(error!.issues[0]!.message).toContain("exactly one");
    }
    expect(AttributeReporterParameters.safeParse({}).success).toBe(false);
  });
});
