/**
 * Keeps endpoints whose labels match a Kubernetes label selector.
 * @module
 */
import { z } from "zod";
import { defineFilter } from "../plugin.ts";
import { createLabelFilter, type LabelPredicate } from "./label-verdicts.ts";

/** Kubernetes: an optional DNS prefix of up to 253 characters, and a name of up to 63. */
const KEY =
  /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
/** Kubernetes: up to 63 characters, or nothing. */
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

const key = z.string().regex(KEY, "must be a label key: [prefix/]name");
const value = z.string().regex(VALUE, "must be a label value: at most 63 of A-Z a-z 0-9 - _ .");

const Expression = z
  .strictObject({
    key,
    operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]),
    values: z.array(value).default([]),
  })
  .superRefine(({ operator, values }, context) => {
    const needsValues = operator === "In" || operator === "NotIn";
    if (needsValues === values.length > 0) return;
    context.addIssue({
      code: "custom",
      path: ["values"],
      message: `must ${needsValues ? "not " : ""}be empty for operator ${operator}`,
    });
  });

const labelSelector = z.strictObject({
  matchLabels: z.record(key, value).default({}).meta({
    description: "Labels that must have exactly these values.",
  }),
  matchExpressions: z.array(Expression).default([]).meta({
    description:
      "Further conditions; all must hold. NotIn and DoesNotExist hold for an absent label.",
  }),
});

type Selector = z.output<typeof labelSelector>;
type Expression = Selector["matchExpressions"][number];

function expressionPredicate({ key, operator, values }: Expression): LabelPredicate {
  const listed: ReadonlySet<string | undefined> = new Set(values); // what an absent label reads as is not among them
  switch (operator) {
    case "In":
      return (labels) => listed.has(labels.get(key));
    case "NotIn":
      return (labels) => !listed.has(labels.get(key));
    case "Exists":
      return (labels) => labels.has(key);
    case "DoesNotExist":
      return (labels) => !labels.has(key);
  }
}

/** Whether labels match a selector: all its parts must hold; an empty one matches everything. */
export function selectorPredicate({ matchExpressions, matchLabels }: Selector): LabelPredicate {
  const parts = Object.entries(matchLabels).map(
    ([name, wanted]): LabelPredicate =>
      (labels) =>
        labels.get(name) === wanted,
  );
  parts.push(...matchExpressions.map(expressionPredicate));
  return (labels) => parts.every((part) => part(labels));
}

export const labelSelectorFilter = defineFilter({
  type: "label-selector-filter",
  stability: "beta",
  summary:
    "Keeps endpoints whose labels match a Kubernetes label selector; an empty one keeps all.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/labelselector",
  parameters: labelSelector,
  create: (parameters, { pool }) => createLabelFilter(pool, selectorPredicate(parameters)),
});
