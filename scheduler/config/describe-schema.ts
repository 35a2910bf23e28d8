/**
 * What a zod schema expects, in words, and its parts by path: so that a message can say "expected integer >= 1" where zod
 * alone says that a string is not a number.
 * @module
 */
import { z } from "zod";

/** The schema behind optional, nullable, default and transform wrappers. */
export function unwrapSchema(schema: z.ZodType): z.ZodType {
  let current = schema;
  for (;;) {
    if (
      current instanceof z.ZodOptional ||
      current instanceof z.ZodNullable ||
      current instanceof z.ZodDefault ||
      current instanceof z.ZodPrefault ||
      current instanceof z.ZodReadonly
    ) {
      current = current.def.innerType as z.ZodType;
    } else if (current instanceof z.ZodPipe) {
      const { in: input, out } = current.def;
      current = (input instanceof z.ZodTransform ? out : input) as z.ZodType;
    } else return current;
  }
}

/** Fields of an object schema by name, or null for schemas of another shape. */
export function schemaShape(schema: z.ZodType): Readonly<Record<string, z.ZodType>> | null {
  const core = unwrapSchema(schema);
  return core instanceof z.ZodObject ? (core.shape as Record<string, z.ZodType>) : null;
}

/** The schema of the value at `path`, or null when the path leaves what is known. */
export function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | null {
  let current: z.ZodType = schema;
  for (const part of path) {
    const core = unwrapSchema(current);
    let next: z.ZodType | undefined;
    if (core instanceof z.ZodObject && Object.hasOwn(core.shape, part)) {
      next = core.shape[String(part)] as z.ZodType;
    } else if (core instanceof z.ZodArray) next = core.element as z.ZodType;
    else if (core instanceof z.ZodRecord) next = core.valueType as z.ZodType;
    if (next === undefined) return null;
    current = next;
  }
  return current;
}

/** `integer >= 1`, `"http" or "https"`, `list`; "" when there are no words for it. */
export function describeSchema(schema: z.ZodType): string {
  const core = unwrapSchema(schema);
  if (core instanceof z.ZodNumber) return describeNumber(core);
  if (core instanceof z.ZodString) return (core.minLength ?? 0) > 0 ? "non-empty string" : "string";
  if (core instanceof z.ZodBoolean) return "true or false";
  if (core instanceof z.ZodEnum) return anyOf(core.options.map(quote));
  if (core instanceof z.ZodLiteral) return anyOf([...core.values].map(quote));
  if (core instanceof z.ZodArray) return "list";
  if (core instanceof z.ZodObject || core instanceof z.ZodRecord) return "object";
  if (core instanceof z.ZodUnion) {
    return anyOf(core.options.map((option) => describeSchema(option as z.ZodType)));
  }
  return "";
}

function anyOf(words: readonly string[]): string {
  return words.includes("") ? "" : words.join(" or ");
}

function quote(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

interface Bound {
  readonly check: string;
  readonly value?: unknown;
  readonly inclusive?: boolean;
}

function describeNumber(schema: z.ZodNumber): string {
  const word = schema.isInt ? "integer" : "number";
  const checks = (schema.def.checks ?? []).map((check) => check._zod.def as Bound);
  const low = checks.find(({ check }) => check === "greater_than");
  const high = checks.find(({ check }) => check === "less_than");
  if (low?.inclusive && high?.inclusive) return `${word} from ${low.value} to ${high.value}`;
  const parts = [word];
  if (low !== undefined) parts.push(`${low.inclusive ? ">=" : ">"} ${low.value}`);
  if (low !== undefined && high !== undefined) parts.push("and");
  if (high !== undefined) parts.push(`${high.inclusive ? "<=" : "<"} ${high.value}`);
  return parts.join(" ");
}
