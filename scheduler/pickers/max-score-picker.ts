/**
 * Picks the highest total. Equal totals go to whoever has least of our own work, then in turn, so that a burst of equal
 * scores spreads evenly instead of in random clumps.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import { definePicker } from "../plugin.ts";
import { fillPick, Indexes, pickerParameters, shuffleFront } from "./order.ts";

const Parameters = pickerParameters.extend({
  /** `upstream`: ties are broken at random. */
  compat: z.literal("upstream").optional(),
});

/** Totals that differ by less than this share of the larger are equal: sums of products carry rounding. */
const TIE_EPSILON = 1e-9;

function isTie(a: number, b: number): boolean {
  return Math.abs(a - b) <= TIE_EPSILON * Math.max(Math.abs(a), Math.abs(b));
}

/** Order among equals: fewer own requests, then fewer own tokens. @returns < 0 when a comes first */
function compareLoad(candidates: Candidates, a: number, b: number): number {
  const { columns, slots } = candidates;
  const slotA = slots[a]!;
  const slotB = slots[b]!;
  return (
    columns.inflight[slotA]! - columns.inflight[slotB]! ||
    columns.inflightTokens[slotA]! - columns.inflightTokens[slotB]!
  );
}

export const maxScorePicker = definePicker({
  type: "max-score-picker",
  stability: "beta",
  summary: "Highest total score; ties to the least loaded by our own count, then in turn.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/picker/maxscore",
  parameters: Parameters,
  create({ maxNumOfEndpoints, compat }, { random }) {
    const scratch = new Indexes();
    /** Turns taken, one counter per number of equals: groups of different size do not disturb each other. */
    const turns = new Map<number, number>();
    const isRandom = compat === "upstream";
    return {
      pick(_request, candidates, totals, out) {
        const { count } = candidates;
        const take = Math.min(maxNumOfEndpoints, count);
        const indexes = scratch.fill(count);
        if (isRandom) shuffleFront(indexes, count, count, random);
        let start = 0;
        let rotated = false;
        while (start < take) {
          const end = gatherBest(indexes, totals, start, count);
          if (!isRandom) {
            sortByLoad(indexes, candidates, start, end);
            if (!rotated) rotateEquals(indexes, candidates, start, end, turns);
            rotated = true;
          }
          start = end;
        }
        fillPick(out, indexes, take);
      },
    };
  },
});

/** Moves the best of indexes[start, count) and its ties to the front, order kept. @returns end of the group */
function gatherBest(
  indexes: Int32Array,
  totals: Float64Array,
  start: number,
  count: number,
): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let i = start; i < count; i++) {
    const total = totals[indexes[i]!]!;
    if (total > best) best = total;
  }
  let end = start;
  for (let i = start; i < count; i++) {
    const index = indexes[i]!;
    if (!isTie(totals[index]!, best)) continue;
    indexes.copyWithin(end + 1, end, i);
    indexes[end++] = index;
  }
  return end;
}

/** Insertion sort: groups are small, and it is stable. */
function sortByLoad(indexes: Int32Array, candidates: Candidates, start: number, end: number): void {
  for (let i = start + 1; i < end; i++) {
    const index = indexes[i]!;
    let j = i;
    while (j > start && compareLoad(candidates, index, indexes[j - 1]!) < 0) {
      indexes[j] = indexes[j - 1]!;
      j--;
    }
    indexes[j] = index;
  }
}

/** Turns the leading equals of a group by one more place each time. */
function rotateEquals(
  indexes: Int32Array,
  candidates: Candidates,
  start: number,
  end: number,
  turns: Map<number, number>,
): void {
  let equals = 1;
  while (
    start + equals < end &&
    compareLoad(candidates, indexes[start + equals]!, indexes[start]!) === 0
  ) {
    equals++;
  }
  if (equals === 1) return;
  const turn = turns.get(equals) ?? 0;
  turns.set(equals, (turn + 1) % equals);
  const group = indexes.slice(start, start + equals);
  for (let i = 0; i < equals; i++) indexes[start + i] = group[(i + turn) % equals]!;
}
