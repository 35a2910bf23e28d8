/**
 * A list of vectors → what passed, what failed and why, and what is not in this version.
 * @module
 */
import { evaluate } from "./evaluate.ts";
import { NotHere, type Vector } from "./format.ts";

export interface VectorResults {
  passed: number;
  /** One line a failure. */
  readonly failures: string[];
  /** Vectors by plugin that this version does not have. */
  readonly skipped: Map<string, number>;
}

/** Runs vectors and adds to `results`; a vector that throws anything has failed. */
export function runVectors(
  vectors: readonly Vector[],
  results: VectorResults = { passed: 0, failures: [], skipped: new Map() },
): VectorResults {
  for (const vector of vectors) {
    try {
      evaluate(vector);
      results.passed++;
    } catch (error) {
      if (error instanceof NotHere) {
        const plugin = error.message;
        results.skipped.set(plugin, (results.skipped.get(plugin) ?? 0) + 1);
      } else {
        const reason = error instanceof Error ? error.message : String(error);
        results.failures.push(`${vector.id}: ${reason.replaceAll("\n", " ")}`);
      }
    }
  }
  return results;
}

/** Lines for people: failures, what was skipped, and the sum. */
export function reportLines({ failures, passed, skipped }: VectorResults): string[] {
  const names = [...skipped].sort(([a], [b]) => (a < b ? -1 : 1));
  const skippedCount = names.reduce((sum, [, count]) => sum + count, 0);
  return [
    ...failures.map((failure) => `failed: ${failure}`),
    ...names.map(([plugin, count]) => `skipped: ${plugin} (${count})`),
    `${passed} passed, ${failures.length} failed, ${skippedCount} skipped`,
  ];
}
