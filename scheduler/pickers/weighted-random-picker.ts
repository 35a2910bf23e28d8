/**
 * Picks at random with a probability that grows with the total score, without replacement.
 * @module
 */
import { definePicker } from "../plugin.ts";
import type { Random } from "../random.ts";
import { fillPick, Indexes, pickerParameters, shuffleFront } from "./order.ts";

/** Stands for a uniform draw of exactly 0, whose key would be 0 like that of a candidate without a score. */
const SMALLEST_DRAW = 1e-10;

/**
 * Sampling key of A-Res: the candidates with the largest keys are picked, a candidate with the share of its score.
 *
 * @param uniform draw in [0, 1)
 * @returns uniform^(1/score); 0 for a score <= 0
 *
 * Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
 */
export function samplingKey(uniform: number, score: number): number {
  if (!(score > 0)) return 0;
  return (uniform === 0 ? SMALLEST_DRAW : uniform) ** (1 / score);
}

/** Draws a key for each candidate that has a score. @returns whether any has */
function drawKeys(
  totals: Float64Array,
  count: number,
  random: Random,
  keys: Float64Array,
): boolean {
  let anyPositive = false;
  for (let i = 0; i < count; i++) {
    const isPositive = totals[i]! > 0;
    keys[i] = isPositive ? samplingKey(random.next(), totals[i]!) : 0;
    if (isPositive) anyPositive = true;
  }
  return anyPositive;
}

/** Moves the `take` indexes with the largest keys to the front, largest first; equal keys keep their order. */
function selectLargest(indexes: Int32Array, keys: Float64Array, count: number, take: number): void {
  for (let i = 0; i < take; i++) {
    let best = i;
    for (let j = i + 1; j < count; j++) {
      if (keys[indexes[j]!]! > keys[indexes[best]!]!) best = j;
    }
    const chosen = indexes[best]!;
    indexes.copyWithin(i + 1, i, best);
    indexes[i] = chosen;
  }
}

export const weightedRandomPicker = definePicker({
  type: "weighted-random-picker",
  stability: "beta",
  summary: "Random choice weighted by total score.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/picker/weightedrandom",
  parameters: pickerParameters,
  create({ maxNumOfEndpoints }, { random }) {
    const scratch = new Indexes();
    let keys = new Float64Array(64);
    return {
      pick(_request, { count }, totals, out) {
        const take = Math.min(maxNumOfEndpoints, count);
        const indexes = scratch.upTo(count);
        if (keys.length < count) keys = new Float64Array(count * 2);
        const anyPositive = drawKeys(totals, count, random, keys);
        if (anyPositive) selectLargest(indexes, keys, count, take);
        else shuffleFront(indexes, count, take, random);
        fillPick(out, indexes, take);
      },
    };
  },
});
