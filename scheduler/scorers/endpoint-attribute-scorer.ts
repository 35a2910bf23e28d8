/**
 * Prefers endpoints by a scalar attribute, on a fixed scale or relative to the candidates.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import { defineScorer } from "../plugin.ts";
import { type ScalarReader, scalarReader } from "../scalar-attribute.ts";

const FixedRange = z
  .strictObject({
    min: z.number().meta({ description: "Value that scores as the smallest." }),
    max: z.number().meta({ description: "Value that scores as the largest." }),
  })
  .superRefine(({ max, min }, context) => {
    if (min < max) return;
    context.addIssue({ code: "custom", path: ["max"], message: `must be above min, got ${max}` });
  });

const Normalization = z
  .strictObject({
    fixedRange: FixedRange.optional().meta({ description: "A scale of its own." }),
    adaptiveRange: z.strictObject({}).optional().meta({
      description: "Smallest to largest of the candidates, the default.",
    }),
  })
  .superRefine(({ adaptiveRange, fixedRange }, context) => {
    if (adaptiveRange === undefined || fixedRange === undefined) return;
    context.addIssue({
      code: "custom",
      message: "must have fixedRange or adaptiveRange, not both",
    });
  });

const Parameters = z.strictObject({
  attributeKey: z.string().min(1).meta({ description: "Attribute to look at." }),
  producer: z.string().optional().meta({
    description: "Extractor that supplies it; core-metrics-extractor unless given.",
  }),
  algorithm: z.strictObject({
    type: z.enum(["linear_lower_is_better", "linear_higher_is_better"]).meta({
      description: "Which end of the scale is better.",
    }),
    normalization: Normalization.optional().meta({ description: "How values become scores." }),
  }),
});

interface Range {
  readonly min: number;
  readonly max: number;
}

/** Smallest and largest value among the candidates that have one; null = nobody has. */
export function rangeOf(candidates: Candidates, read: ScalarReader): Range | null {
  const { count, slots } = candidates;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const value = read(candidates, slots[i]!);
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return max >= min ? { min, max } : null;
}

/** Place of a value on a scale, 0 … 1; on a scale of one point 1, whichever end is better. */
export function linearScore(value: number, { max, min }: Range, lowerIsBetter: boolean): number {
  if (min === max) return 1;
  const place = Math.min(1, Math.max(0, (value - min) / (max - min)));
  return lowerIsBetter ? 1 - place : place;
}

/** Writes `linearScore` of every candidate; one without the attribute scores 0. @param fixed null = their own range */
export function scoreLinear(
  candidates: Candidates,
  read: ScalarReader,
  fixed: Range | null,
  lowerIsBetter: boolean,
  scores: Float64Array,
): void {
  const { count, slots } = candidates;
  const range = fixed ?? rangeOf(candidates, read);
  for (let i = 0; i < count; i++) {
    const value = read(candidates, slots[i]!);
    const isKnown = range !== null && !Number.isNaN(value);
    scores[i] = isKnown ? linearScore(value, range, lowerIsBetter) : 0;
  }
}

export const endpointAttributeScorer = defineScorer({
  type: "endpoint-attribute-scorer",
  stability: "alpha",
  category: "Distribution",
  summary:
    "Higher or lower values of a scalar attribute are better, on a fixed scale or among the candidates.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/endpointattribute",
  parameters: Parameters,
  create({ algorithm, attributeKey, producer }, handle) {
    const read = scalarReader(handle, "attributeKey", attributeKey, producer);
    const fixed = algorithm.normalization?.fixedRange ?? null;
    const lowerIsBetter = algorithm.type === "linear_lower_is_better";
    return {
      score: (_request, candidates, scores) =>
        scoreLinear(candidates, read, fixed, lowerIsBetter, scores),
    };
  },
});
