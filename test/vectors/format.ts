/**
 * The file format of scheduling vectors, as far as a runner reads it, and how numbers and lists are compared.
 * @module
 */

export interface VectorEndpoint {
  readonly id: string;
  readonly address?: string;
  readonly port?: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Absent: never scraped. null: there is no metrics object. */
  readonly metrics?: Readonly<Record<string, unknown>> | null;
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** A plugin, what it is given, and what must come out. */
export interface Vector {
  readonly id: string;
  /** Plugin type, or name of a function. */
  readonly plugin: string;
  readonly kind: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly endpoints?: readonly VectorEndpoint[];
  readonly scoredEndpoints?: Readonly<Record<string, number>>;
  readonly request?: Readonly<Record<string, unknown>>;
  readonly state?: Readonly<Record<string, unknown>>;
  readonly expected: Readonly<Record<string, unknown>>;
}

/** A difference between what was expected and what came out. */
export class Mismatch extends Error {}

/** The vector is about a plugin that this version does not have; the message is its type. */
export class NotHere extends Error {}

/** Vectors of a parsed file. @throws Error that says what the file is not */
export function vectorsOf(document: unknown): readonly Vector[] {
  const { vectors } = (document ?? {}) as { vectors?: unknown };
  if (!Array.isArray(vectors)) throw new Error("no list of vectors: expected { vectors: […] }");
  vectors.forEach((vector: Partial<Vector> | null, i) => {
    for (const field of ["id", "plugin", "kind"] as const) {
      if (typeof vector?.[field] !== "string")
        throw new Error(`vectors[${i}].${field}: expected text`);
    }
    if (typeof vector?.expected !== "object" || vector.expected === null) {
      throw new Error(`vectors[${i}].expected: expected an object`);
    }
  });
  return vectors as Vector[];
}

/** Numbers may differ by this: another machine may fuse a multiplication and an addition. */
const TOLERANCE = 1e-9;

export function expectNumber(actual: number | undefined, expected: unknown, what: string): void {
  const isClose =
    typeof expected === "number" &&
    actual !== undefined &&
    Math.abs(actual - expected) <= TOLERANCE;
  if (!isClose) {
    throw new Mismatch(`${what}: expected ${JSON.stringify(expected)}, got ${String(actual)}`);
  }
}

export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const a = JSON.stringify(actual);
  const b = JSON.stringify(expected);
  if (a !== b) throw new Mismatch(`${what}: expected ${b}, got ${a}`);
}

/** Same keys, and numbers that are equal within the tolerance. */
export function expectNumbers(
  actual: Readonly<Record<string, number>>,
  expected: unknown,
  what: string,
): void {
  const wanted = expected as Readonly<Record<string, number>>;
  expectEqual(Object.keys(actual).sort(), Object.keys(wanted).sort(), `${what} (ids)`);
  for (const [id, value] of Object.entries(wanted)) {
    expectNumber(actual[id], value, `${what} ${id}`);
  }
}

/**
 * Runs the check of each expectation.
 *
 * @throws Mismatch when one does not hold, when there is none, and when there is one that nobody checks
 */
export function checkAll(
  expected: Readonly<Record<string, unknown>>,
  checks: Readonly<Record<string, (wanted: unknown) => void>>,
): void {
  const keys = Object.keys(expected);
  if (keys.length === 0) throw new Mismatch("nothing is expected");
  for (const key of keys) {
    if (!Object.hasOwn(checks, key)) throw new Mismatch(`no check for the expectation "${key}"`);
    checks[key]!(expected[key]);
  }
}
