/**
 * Helpers of the pickers: orders over candidates without allocation.
 * @module
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import type { Pick } from "../plugin.ts";
import { nextInt, type Random } from "../random.ts";

/** Parameters that all pickers share. */
export const pickerParameters = z.strictObject({
  /** Endpoints named in the answer, best first; values below 1 mean 1. */
  maxNumOfEndpoints: z
    .number()
    .int()
    .max(limits.endpointsPerPickMax)
    .default(1)
    .transform((count) => Math.max(1, count)),
});

/** Indexes 0 … count − 1 in a scratch array that grows. */
export class Indexes {
  array: Int32Array = new Int32Array(64);

  fill(count: number): Int32Array {
    if (this.array.length < count) this.array = new Int32Array(count * 2);
    for (let i = 0; i < count; i++) this.array[i] = i;
    return this.array;
  }
}

/** Moves `take` of the first `count` entries to the front, uniformly at random (Fisher and Yates). */
export function shuffleFront(
  indexes: Int32Array,
  count: number,
  take: number,
  random: Random,
): void {
  for (let i = 0; i < take && i < count - 1; i++) {
    const j = i + nextInt(random, count - i);
    const swapped = indexes[i]!;
    indexes[i] = indexes[j]!;
    indexes[j] = swapped;
  }
}

/** Copies the first `count` indexes into a pick. */
export function fillPick(out: Pick, indexes: Int32Array, count: number): void {
  for (let i = 0; i < count; i++) out.indexes[i] = indexes[i]!;
  out.count = count;
}
