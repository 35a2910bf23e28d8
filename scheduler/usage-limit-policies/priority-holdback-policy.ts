/**
 * Keeps room for what is important: the lower a band, the lower the saturation at which it is held back.
 *
 *   rank    max ──▶ min in equal steps from the highest band to the lowest, whatever the priorities are
 *   value   in proportion to the priority between the lowest and the highest
 *
 * A single band, or bands of equal priority, have the highest ceiling.
 * @module
 */
import { z } from "zod";
import { defineUsageLimitPolicy } from "../plugin.ts";

const Parameters = z
  .strictObject({
    minCeiling: z.number().min(0).lt(1).meta({
      description: "Saturation at which the lowest band is held back.",
      unit: "ratio",
    }),
    maxCeiling: z.number().gt(0).max(1).default(1).meta({
      description: "Saturation at which the highest band is held back; above minCeiling.",
      unit: "ratio",
    }),
    shape: z.enum(["linear"]).default("linear").meta({ description: "Between the two." }),
    domain: z.enum(["rank", "value"]).default("rank").meta({
      description: "Whether bands are spread by their order or by their priority.",
    }),
  })
  .superRefine(({ maxCeiling, minCeiling }, context) => {
    if (maxCeiling > minCeiling) return;
    context.addIssue({
      code: "custom",
      path: ["maxCeiling"],
      message: `must be above minCeiling (${minCeiling}), got ${maxCeiling}`,
    });
  });

/**
 * @param priorities highest first
 * @param ceilings [0, priorities.length) is written
 */
export function holdback(
  priorities: ArrayLike<number>,
  ceilings: Float64Array,
  { domain, maxCeiling, minCeiling }: z.output<typeof Parameters>,
): void {
  const count = priorities.length;
  const span = maxCeiling - minCeiling;
  const highest = priorities[0]!;
  const lowest = priorities[count - 1]!;
  for (let i = 0; i < count; i++) {
    if (highest === lowest) ceilings[i] = maxCeiling;
    else if (domain === "rank") ceilings[i] = maxCeiling - (i * span) / (count - 1);
    else ceilings[i] = minCeiling + ((priorities[i]! - lowest) / (highest - lowest)) * span;
  }
}

export const priorityHoldbackPolicy = defineUsageLimitPolicy({
  type: "priority-holdback-policy",
  stability: "alpha",
  summary: "The lower a band, the lower the saturation from which it is held back.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/usagelimits/priorityholdback",
  parameters: Parameters,
  create: (parameters) => ({
    limits: (_saturation, priorities, ceilings) => holdback(priorities, ceilings, parameters),
  }),
});
