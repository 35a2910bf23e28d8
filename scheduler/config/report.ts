/**
 * Problems and remarks as they are collected, and the words for what zod found.
 * @module
 */
import type { z } from "zod";
import { describeSchema, schemaAt, schemaShape } from "./describe-schema.ts";
import { didYouMean } from "./did-you-mean.ts";
import type { ConfigProblem } from "./resolved.ts";

/** Letters of a found value that a message shows. */
const SHOWN_LENGTH_MAX = 80;

export class Report {
  readonly problems: ConfigProblem[] = [];
  readonly warnings: string[] = [];

  problem(path: string, message: string): void {
    this.problems.push({ path, message });
  }

  warn(path: string, message: string): void {
    this.warnings.push(`${path}: ${message}`);
  }
}

/** `plugins[2].parameters.x`; names that are no identifiers stand in brackets and quotes. */
export function formatPath(path: readonly PropertyKey[], base = ""): string {
  let out = base;
  for (const part of path) {
    if (typeof part === "number") out += `[${part}]`;
    else if (!/^[\w$-]+$/.test(String(part))) out += `[${JSON.stringify(String(part))}]`;
    else out += out === "" ? String(part) : `.${String(part)}`;
  }
  return out === "" ? "(document)" : out;
}

/** A found value for a message: JSON, cut when long. */
export function showValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}

/**
 * One problem for each issue of a failed parse: the path under `base`, what was expected, what was found, and for unknown
 * fields the nearest known one.
 */
export function problemsOf(
  error: z.ZodError,
  schema: z.ZodType,
  input: unknown,
  base: string,
): ConfigProblem[] {
  return error.issues.flatMap((issue): ConfigProblem[] => {
    if (issue.code === "unrecognized_keys") {
      const owner = schemaAt(schema, issue.path);
      const known = Object.keys((owner === null ? null : schemaShape(owner)) ?? {});
      return issue.keys.map((key) => ({
        path: formatPath([...issue.path, key], base),
        message: `unknown field${didYouMean(key, known)}`,
      }));
    }
    const path = formatPath(issue.path, base);
    if (issue.code === "custom") return [{ path, message: issue.message }];
    const expected = describeSchema(schemaAt(schema, issue.path) ?? schema);
    const found = valueAt(input, issue.path);
    if (expected === "") return [{ path, message: `${issue.message}, got ${showValue(found)}` }];
    return [{ path, message: `expected ${expected}, got ${showValue(found)}` }];
  });
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part))
      return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

/**
 * Parses one part of the document. Unknown fields are told and dropped, so that the rest can still be looked at; anything
 * else that is wrong leaves nothing.
 */
export function parsePart<T>(
  schema: z.ZodType<T>,
  input: unknown,
  path: string,
  report: Report,
): T | null {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  report.problems.push(...problemsOf(result.error, schema, input, path));
  const { issues } = result.error;
  if (issues.some(({ code }) => code !== "unrecognized_keys")) return null;
  let known = input;
  for (const issue of issues) {
    if (issue.code !== "unrecognized_keys") continue;
    for (const key of issue.keys) known = without(known, issue.path, key);
  }
  return schema.parse(known);
}

/** A copy of `value` without the field `key` of what stands at `path`. */
function without(value: unknown, path: readonly PropertyKey[], key: string): unknown {
  const [first, ...rest] = path;
  if (Array.isArray(value)) {
    return value.map((item, i) => (i === first ? without(item, rest, key) : item));
  }
  const entries = Object.entries(value as Record<string, unknown>);
  if (first === undefined) return Object.fromEntries(entries.filter(([name]) => name !== key));
  return Object.fromEntries(
    entries.map(([name, item]) => [name, name === first ? without(item, rest, key) : item]),
  );
}

/** Entries of a list that may be absent; another value is a problem. */
export function listOf(value: unknown, path: string, report: Report): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  report.problem(path, `expected list, got ${showValue(value)}`);
  return [];
}
