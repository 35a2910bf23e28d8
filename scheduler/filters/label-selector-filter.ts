/**
 * Keeps endpoints whose labels match a Kubernetes label selector.
 * @module
 */
import { z } from "zod";
import { defineFilter, PluginConfigError } from "../plugin.ts";
import { createLabelFilter, type LabelPredicate } from "./label-verdicts.ts";

const Expression = z.strictObject({
  key: z.string().min(1),
  operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]),
  values: z.array(z.string()).optional(),
});

const Parameters = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).default({}),
  matchExpressions: z.array(Expression).default([]),
});

type Selector = z.infer<typeof Parameters>;

/** Predicate of a selector; all its parts must hold. @throws PluginConfigError when operator and values do not fit */
export function selectorPredicate(selector: Selector): LabelPredicate {
  const parts: LabelPredicate[] = Object.entries(selector.matchLabels).map(
    ([key, value]) =>
      (labels) =>
        labels.get(key) === value,
  );
  selector.matchExpressions.forEach(({ key, operator, values = [] }, i) => {
    const path = `matchExpressions[${i}].values`;
    const takesValues = operator === "In" || operator === "NotIn";
    if (takesValues && values.length === 0) {
      throw new PluginConfigError(path, `must not be empty for operator ${operator}`);
    }
    if (!takesValues && values.length > 0) {
      throw new PluginConfigError(path, `must be empty for operator ${operator}`);
    }
    const set = new Set(values);
    switch (operator) {
      case "In":
        parts.push((labels) => labels.has(key) && set.has(labels.get(key)!));
        break;
      case "NotIn":
        parts.push((labels) => !labels.has(key) || !set.has(labels.get(key)!));
        break;
      case "Exists":
        parts.push((labels) => labels.has(key));
        break;
      case "DoesNotExist":
        parts.push((labels) => !labels.has(key));
        break;
    }
  });
  return (labels) => parts.every((part) => part(labels));
}

const SOURCE = "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/labelselector";

export const labelSelectorFilter = defineFilter({
  type: "label-selector-filter",
  stability: "beta",
  summary:
    "Keeps endpoints whose labels match a Kubernetes label selector; an empty one keeps all.",
  source: SOURCE,
  parameters: Parameters,
  create: (parameters, { pool }) => createLabelFilter(pool, selectorPredicate(parameters)),
});
