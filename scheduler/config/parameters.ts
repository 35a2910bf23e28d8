/**
 * Parsing of a plugin's parameters as upstream's decoder reads them: keys without regard to case, null like absent.
 * @module
 */
import { z } from "zod";
import type { ConfigProblem } from "./resolved.ts";
import { problemsOf } from "./schema.ts";

export interface ParameterResult {
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

/** Keys that an object schema knows; [] for schemas of another shape. */
export function schemaKeys(schema: z.ZodType): readonly string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/**
 * @param path of the parameters in the document
 * @param ignoresUnknown upstream does not look at the parameters of this type: keys that the schema lacks are dropped
 */
export function parseParameters(
  schema: z.ZodType,
  parameters: Record<string, unknown> | null | undefined,
  path: string,
  ignoresUnknown: boolean,
): ParameterResult {
  const keys = schemaKeys(schema);
  const byLowerCase = new Map(keys.map((key) => [key.toLowerCase(), key]));
  const input: Record<string, unknown> = Object.create(null);
  const warnings: string[] = [];
  for (const [key, value] of Object.entries(parameters ?? {})) {
    const known = byLowerCase.get(key.toLowerCase());
    if (known !== undefined && known !== key && !keys.includes(key)) {
      warnings.push(`${path}.${key}: read as ${known}; spell it so`);
      input[known] = value;
    } else if (known !== undefined || !ignoresUnknown) {
      input[key] = value;
    }
  }
  const result = schema.safeParse({ ...input });
  if (result.success) return { value: result.data, problems: [], warnings };
  return { value: undefined, problems: problemsOf(result.error, path, keys), warnings };
}
