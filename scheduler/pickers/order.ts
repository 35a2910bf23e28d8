/**
 * What the pickers share: their parameters, indexes over candidates without allocation, and when two totals are equal.
 * @module
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import type { Pick } from "../plugin.ts";
import { nextInt, type Random } from "../random.ts";

/** Parameters of every picker. */
export const pickerParameters = z.strictObject({
  maxNumOfEndpoints: z
    .number()
    .int()
    .max(limits.endpointsPerPickMax)
    .default(1)
    .transform((count) => Math.max(1, count))
    .meta({
      description:
        "Endpoints named in the answer: the target, then those to fall back on; values below 1 mean 1.",
      unit: "endpoints",
    }),
});

/** Totals that differ by less than this share of the larger are equal: sums of products carry rounding. */
const TIE_EPSILON = 1e-9;

/** The smallest total that equals `best`. */
export function tieFloor(best: number): number {
  return best - TIE_EPSILON * Math.abs(best);
}

/** Scratch for indexes into candidates; grows, and is the same array from pick to pick. */
export class Indexes {
  #array: Int32Array = new Int32Array(64);

  /** An array with room for `count` indexes, whatever is in it. */
  room(count: number): Int32Array {
    if (this.#array.length < count) this.#array = new Int32Array(count * 2);
    return this.#array;
  }

  /** 0 … count − 1, in this order. */
  upTo(count: number): Int32Array {
    const array = this.room(count);
    for (let i = 0; i < count; i++) array[i] = i;
    return array;
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
