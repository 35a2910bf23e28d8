/**
 * Keeps endpoints whose scalar attribute is on the right side of a threshold.
 * @module
 */
import { z } from "zod";
import { defineFilter } from "../plugin.ts";
import { scalarReader } from "../scalar-attribute.ts";

const OPERATORS = {
  LessThan: (value: number, bound: number) => value < bound,
  LessThanOrEqual: (value: number, bound: number) => value <= bound,
  GreaterThan: (value: number, bound: number) => value > bound,
  GreaterThanOrEqual: (value: number, bound: number) => value >= bound,
  Equal: (value: number, bound: number) => value === bound,
  NotEqual: (value: number, bound: number) => value !== bound,
} as const;

const OPERATOR_NAMES = Object.keys(OPERATORS) as (keyof typeof OPERATORS)[];

const Parameters = z.strictObject({
  attribute: z.string().min(1).meta({ description: "Attribute to look at." }),
  producer: z.string().optional().meta({
    description: "Extractor that supplies it; core-metrics-extractor unless given.",
  }),
  onMissing: z.enum(["Pass", "Fail"]).default("Pass").meta({
    description: "What becomes of an endpoint without the attribute.",
  }),
  fallbackOnEmpty: z.boolean().default(false).meta({
    description: "Keep all when nobody passes.",
  }),
  algorithm: z.strictObject({
    type: z.literal("threshold").meta({ description: "The only one there is." }),
    threshold: z.strictObject({
      operator: z.enum(OPERATOR_NAMES).meta({ description: "How value and threshold compare." }),
      value: z.number().meta({ description: "The threshold." }),
    }),
  }),
});

export const endpointAttributeFilter = defineFilter({
  type: "endpoint-attribute-filter",
  stability: "alpha",
  summary: "Keeps endpoints whose scalar attribute is on the right side of a threshold.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/endpointattribute",
  parameters: Parameters,
  create({ algorithm, attribute, fallbackOnEmpty, onMissing, producer }, handle) {
    const read = scalarReader(handle, "attribute", attribute, producer);
    const { operator, value: bound } = algorithm.threshold;
    const compare = OPERATORS[operator];
    const passesMissing = onMissing === "Pass";
    const passes = (value: number): boolean =>
      Number.isNaN(value) ? passesMissing : compare(value, bound);
    return {
      rejects: "filtered-by-load",
      filter(_request, candidates) {
        const { count, slots } = candidates;
        let passing = 0;
        for (let i = 0; i < count; i++) if (passes(read(candidates, slots[i]!))) passing++;
        if (passing === count || (passing === 0 && fallbackOnEmpty)) return;
        let kept = 0;
        for (let i = 0; i < count; i++) {
          const slot = slots[i]!;
          if (passes(read(candidates, slot))) slots[kept++] = slot;
        }
        candidates.count = kept;
      },
    };
  },
});
