/**
 * Keeps endpoints with one of some values of a label: the older form of label-selector-filter.
 * @module
 */
import { z } from "zod";
import { defineFilter } from "../plugin.ts";
import { createLabelFilter } from "./label-verdicts.ts";

const Parameters = z
  .strictObject({
    label: z.string().min(1).meta({ description: "Label to look at." }),
    validValues: z.array(z.string()).default([]).meta({
      description: 'Values that pass; "" also stands for an absent label.',
    }),
    allowsNoLabel: z.boolean().default(false).meta({
      description: "Whether an endpoint without the label passes.",
    }),
  })
  .superRefine(({ allowsNoLabel, validValues }, context) => {
    if (allowsNoLabel || validValues.length > 0) return;
    context.addIssue({
      code: "custom",
      path: ["validValues"],
      message: "must not be empty unless allowsNoLabel is true",
    });
  });

export const byLabel = defineFilter({
  type: "by-label",
  stability: "deprecated",
  summary: "Keeps endpoints with one of some values of a label; use label-selector-filter.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/bylabel",
  parameters: Parameters,
  create({ allowsNoLabel, label, validValues }, { pool }) {
    const valid = new Set(validValues);
    return createLabelFilter(
      pool,
      (labels) => valid.has(labels.get(label) ?? "") || (allowsNoLabel && !labels.has(label)),
    );
  },
});
