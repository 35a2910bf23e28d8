/**
 * Metric selectors of `engineConfigs`: an instant vector with equality only, `name{label=value,label2="value"}`.
 * @module
 */

export interface ParsedMetricSpec {
  readonly name: string;
  readonly labels: readonly (readonly [name: string, value: string])[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** @returns the selector, or a sentence that says what is wrong with it */
export function parseMetricSpec(text: string): ParsedMetricSpec | string {
  const open = text.indexOf("{");
  const name = (open < 0 ? text : text.slice(0, open)).trim();
  if (!NAME.test(name)) return `"${text}": "${name}" is not a metric name`;
  if (open < 0) return { name, labels: [] };
  const body = text.slice(open + 1).trimEnd();
  if (!body.endsWith("}")) return `"${text}": the label list is not closed`;
  const labels: (readonly [string, string])[] = [];
  for (const part of body.slice(0, -1).split(",")) {
    if (part.trim() === "") continue;
    const equals = part.indexOf("=");
    if (equals < 0) return `"${text}": "${part.trim()}" is not label=value`;
    const label = part.slice(0, equals).trim();
    if (!LABEL.test(label))
      return `"${text}": "${label}" is not a label name (only = is supported)`;
    const quoted = part.slice(equals + 1).trim();
    const value = /^"(.*)"$/.exec(quoted)?.[1] ?? quoted;
    if (/["~]/.test(value)) return `"${text}": "${quoted}" is not a label value`;
    labels.push([label, value]);
  }
  return { name, labels };
}
