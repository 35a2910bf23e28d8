/**
 * Parsing of a plugin's parameters as upstream's decoder reads them: keys without regard to case at every depth, null like
 * absent.
 * @module
 */
import { z } from "zod";
import { schemaShape, unwrapSchema } from "./describe-schema.ts";
import { formatPath, problemsOf, type Report, showValue } from "./report.ts";

/**
 * @param path of the parameters in the document
 * @param ignoresUnknown upstream does not look at the parameters of this type: what the schema lacks is dropped
 * @returns what the schema makes of them, or undefined after telling the report what is wrong
 */
export function parseParameters(
  schema: z.ZodType,
  parameters: unknown,
  path: string,
  ignoresUnknown: boolean,
  report: Report,
): unknown {
  let given = parameters ?? {};
  if (ignoresUnknown) given = knownOnly(schema, given, path, report);
  if (!isObject(given)) {
    report.problem(path, `expected object, got ${showValue(given)}`);
    return undefined;
  }
  const input = foldKeys(schema, given, path, report);
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  report.problems.push(...problemsOf(result.error, schema, input, path));
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function knownOnly(
  schema: z.ZodType,
  given: unknown,
  path: string,
  report: Report,
): Record<string, unknown> {
  if (!isObject(given)) {
    report.warn(path, `has no effect: this type reads none, got ${showValue(given)}`);
    return {};
  }
  const known = new Set(Object.keys(schemaShape(schema) ?? {}).map((key) => key.toLowerCase()));
  const kept = Object.entries(given).filter(([key]) => {
    const isKnown = known.has(key.toLowerCase());
    if (!isKnown) report.warn(formatPath([key], path), "has no effect: this type does not read it");
    return isKnown;
  });
  return Object.fromEntries(kept);
}

/** The value with its keys spelled as the schema spells them. Keys of free maps (labels) stay as they are. */
function foldKeys(schema: z.ZodType, value: unknown, path: string, report: Report): unknown {
  const core = unwrapSchema(schema);
  if (core instanceof z.ZodArray && Array.isArray(value)) {
    const element = core.element as z.ZodType;
    return value.map((item, i) => foldKeys(element, item, `${path}[${i}]`, report));
  }
  const shape = schemaShape(core);
  if (shape === null || !isObject(value)) return value;
  const spelling = new Map(Object.keys(shape).map((key) => [key.toLowerCase(), key]));
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => {
    const known = Object.hasOwn(shape, key) ? key : spelling.get(key.toLowerCase());
    if (known === undefined) return [key, item];
    const at = formatPath([key], path);
    if (known !== key) report.warn(at, `is read as ${known}; spell it so`);
    // null means absent to upstream's decoder; absent is what gives the default here
    return [known, item === null ? undefined : foldKeys(shape[known]!, item, at, report)];
  });
  return Object.fromEntries(entries);
}
