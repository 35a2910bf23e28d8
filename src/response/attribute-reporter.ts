/**
 * `request-attribute-reporter`: tells the gateway a number made of an answer's token usage (a cost, for its rate limits),
 * in the dynamic metadata of the last reply. The number is an expression in CEL.
 *
 *   usage.prompt_tokens + usage.completion_tokens * 4
 *
 * Expressions are parsed, and tried on a sample, when the configuration is loaded. Whole numbers are CEL's `int`; an
 * expression that only fits when they are `double` (`usage.prompt_tokens * 0.5`) gets them as that.
 * Source: llm-d-router: pkg/epp/framework/plugins/requestcontrol/requestattributereporter
 * @module
 */
import { Environment } from "@marcbachmann/cel-js";
import { z } from "zod";
import type { TokenTotals } from "./token-usage.ts";

export const reporterLimits = {
  /** Letters of one expression. */
  expressionLengthMax: 4096,
  /** Parts of one expression, and how deep they may stand in one another. */
  expressionNodesMax: 1000,
  expressionDepthMax: 50,
} as const;

const NAMESPACE_DEFAULT = "envoy.lb";

/** An attribute of the answers, ready to be told. */
export interface AttributeReporter {
  readonly namespace: string;
  readonly name: string;
  /** @returns an integer, or null when there is nothing to tell */
  readonly evaluate: (totals: TokenTotals) => number | null;
}

type Evaluate = (context: Record<string, unknown>) => unknown;

const environment = new Environment({
  limits: {
    maxAstNodes: reporterLimits.expressionNodesMax,
    maxDepth: reporterLimits.expressionDepthMax,
  },
}).registerVariable("usage", "map");

const expression = z
  .string()
  .min(1)
  .max(reporterLimits.expressionLengthMax)
  .transform((text, context): Evaluate => {
    try {
      return environment.parse(text) as Evaluate;
    } catch (error) {
      context.addIssue({ code: "custom", message: problemOf(error, text) });
      return z.NEVER;
    }
  });

/** An empty condition is none. */
const condition = z.preprocess(
  (value) => (value === "" ? undefined : value),
  expression.optional(),
);

const Attribute = z
  .strictObject({
    key: z.strictObject({
      namespace: z.string().min(1).default(NAMESPACE_DEFAULT),
      name: z.string().min(1),
    }),
    expression,
    condition,
  })
  .transform((attribute, context): AttributeReporter => {
    const { key, condition: isWanted, expression: compute } = attribute;
    for (const toNumber of [BigInt, Number] as const) {
      const problem = trial(compute, isWanted, toNumber);
      if (problem === null) {
        return { ...key, evaluate: (totals) => evaluate(totals, compute, isWanted, toNumber) };
      }
      if (toNumber === BigInt) continue;
      context.addIssue({ code: "custom", ...problem });
    }
    return z.NEVER;
  });

export const AttributeReporterParameters = z.strictObject({
  attributes: z
    .array(Attribute)
    .refine(({ length }) => length === 1, { message: "expected exactly one attribute" }),
});

export type AttributeReporterParameters = z.infer<typeof AttributeReporterParameters>;

/** Every member of the usage is there. */
const SAMPLE: TokenTotals = {
  promptTokens: 3,
  completionTokens: 2,
  totalTokens: 5,
  cachedTokens: 1,
};

type ToNumber = (value: number) => bigint | number;

/** What is wrong with the two when they see the sample, or null. */
function trial(
  compute: Evaluate,
  isWanted: Evaluate | undefined,
  toNumber: ToNumber,
): { path: string[]; message: string } | null {
  const context = contextOf(SAMPLE, toNumber);
  let path = "condition";
  try {
    const wanted = isWanted?.(context);
    if (wanted !== undefined && typeof wanted !== "boolean") {
      return { path: [path], message: "must be true or false" };
    }
    path = "expression";
    const value = compute(context);
    if (typeof value === "bigint" || typeof value === "number") return null;
    return { path: [path], message: "must be a number" };
  } catch (error) {
    return { path: [path], message: problemOf(error, "") };
  }
}

function evaluate(
  totals: TokenTotals,
  compute: Evaluate,
  isWanted: Evaluate | undefined,
  toNumber: ToNumber,
): number | null {
  if (totals.totalTokens === 0) return null;
  const context = contextOf(totals, toNumber);
  try {
    if (isWanted !== undefined && isWanted(context) !== true) return null;
    const value = Math.trunc(Number(compute(context)));
    return Number.isSafeInteger(value) && value !== 0 ? value : null;
  } catch {
    return null; // a member that this answer has not told, a division by zero
  }
}

function contextOf(
  { cachedTokens, completionTokens, promptTokens, totalTokens }: TokenTotals,
  toNumber: ToNumber,
): Record<string, unknown> {
  const usage: Record<string, unknown> = {
    prompt_tokens: toNumber(promptTokens),
    completion_tokens: toNumber(completionTokens),
    total_tokens: toNumber(totalTokens),
  };
  if (cachedTokens >= 0) {
    usage["prompt_tokens_details"] = { cached_tokens: toNumber(cachedTokens) };
  }
  return { usage };
}

/** The library draws the place below its first line. */
function problemOf(error: unknown, text: string): string {
  const [line = ""] = (error as Error).message.split("\n");
  return text === "" ? `does not work: ${line}` : `is not an expression of CEL: ${line}`;
}
