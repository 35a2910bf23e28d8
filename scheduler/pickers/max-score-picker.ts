/**
 * Picks the highest total. Equal totals go to whoever has least of our own work, then in turn, so that a burst of equal
 * scores spreads evenly instead of in random clumps.
 *
 *   candidates ──▶ level: best total, of those the lightest load ──▶ its members in turn ──▶ pick
 *        ▲                                                              │ more are wanted
 *        └──────────────── the others ◀─────────────────────────────────┘
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import { definePicker, type Picker } from "../plugin.ts";
import type { Random } from "../random.ts";
import { Indexes, pickerParameters, shuffleFront, tieFloor } from "./order.ts";

const Parameters = pickerParameters.extend({
  compat: z.literal("upstream").optional().meta({
    description: "upstream: equal totals are ordered at random.",
  }),
});

/**
 * Lists the members of the best level among order[0, count), in that order.
 *
 * @param members room for `count` indexes
 * @returns number of members, >= 1 when count >= 1
 */
type GatherLevel = (
  order: Int32Array,
  count: number,
  candidates: Candidates,
  totals: Float64Array,
  members: Int32Array,
) => number;

function bestOf(order: Int32Array, count: number, totals: Float64Array): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const total = totals[order[i]!]!;
    if (total > best) best = total;
  }
  return best;
}

/** Members have the best total to the last bit. */
const gatherBest: GatherLevel = (order, count, _candidates, totals, members) => {
  const best = bestOf(order, count, totals);
  let size = 0;
  for (let i = 0; i < count; i++) {
    const index = order[i]!;
    if (!(totals[index]! < best)) members[size++] = index;
  }
  return size;
};

/** Members have the best total, of those the fewest own requests, of those the fewest own tokens. */
const gatherLightestOfBest: GatherLevel = (order, count, candidates, totals, members) => {
  const { columns, slots } = candidates;
  const { inflight, inflightTokens } = columns;
  const floor = tieFloor(bestOf(order, count, totals));
  let requests = 0;
  let tokens = 0;
  let size = 0;
  for (let i = 0; i < count; i++) {
    const index = order[i]!;
    if (totals[index]! < floor) continue;
    const slot = slots[index]!;
    const slotRequests = inflight[slot]!;
    const slotTokens = inflightTokens[slot]!;
    if (size > 0) {
      if (slotRequests > requests || (slotRequests === requests && slotTokens > tokens)) continue;
      if (slotRequests < requests || slotTokens < tokens) size = 0; // all gathered so far have more
    }
    requests = slotRequests;
    tokens = slotTokens;
    members[size++] = index;
  }
  return size;
};

/** Takes the members, which stand in the same order, out of order[0, count). @returns how many are left */
function withoutMembers(
  order: Int32Array,
  count: number,
  members: Int32Array,
  size: number,
): number {
  let left = 0;
  let member = 0;
  for (let i = 0; i < count; i++) {
    const index = order[i]!;
    if (member < size && members[member] === index) member++;
    else order[left++] = index;
  }
  return left;
}

/** Upstream shuffles all candidates and sorts them stably by total; a random order within each level is the same. */
function createRandomTies(maxNumOfEndpoints: number, random: Random): Picker {
  const orderScratch = new Indexes();
  const memberScratch = new Indexes();
  return {
    pick(_request, candidates, totals, out) {
      const take = Math.min(maxNumOfEndpoints, candidates.count);
      const order = orderScratch.upTo(candidates.count);
      const members = memberScratch.room(candidates.count);
      let left = candidates.count;
      out.count = 0;
      while (out.count < take) {
        const size = gatherBest(order, left, candidates, totals, members);
        left = withoutMembers(order, left, members, size);
        const wanted = Math.min(size, take - out.count);
        shuffleFront(members, size, wanted, random);
        for (let i = 0; i < wanted; i++) out.indexes[out.count++] = members[i]!;
      }
    },
  };
}

function createTiesInTurn(maxNumOfEndpoints: number): Picker {
  const orderScratch = new Indexes();
  const memberScratch = new Indexes();
  /** Turns taken by first levels of each size: levels of different size do not disturb each other. */
  let turns = new Uint32Array(64);
  return {
    pick(_request, candidates, totals, out) {
      const take = Math.min(maxNumOfEndpoints, candidates.count);
      const order = orderScratch.upTo(candidates.count);
      const members = memberScratch.room(candidates.count);
      if (turns.length <= candidates.count) {
        const grown = new Uint32Array(candidates.count * 2);
        grown.set(turns);
        turns = grown;
      }
      let size = gatherLightestOfBest(order, candidates.count, candidates, totals, members);
      let left = candidates.count;
      const turn = turns[size]!;
      turns[size] = turn + 1;
      out.count = 0;
      for (;;) {
        const wanted = Math.min(size, take - out.count);
        for (let i = 0; i < wanted; i++) out.indexes[out.count++] = members[(turn + i) % size]!;
        if (out.count === take) return;
        left = withoutMembers(order, left, members, size);
        size = gatherLightestOfBest(order, left, candidates, totals, members);
      }
    },
  };
}

export const maxScorePicker = definePicker({
  type: "max-score-picker",
  stability: "beta",
  summary: "Highest total score; ties to the least loaded by our own count, then in turn.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/picker/maxscore",
  parameters: Parameters,
  create: ({ compat, maxNumOfEndpoints }, { random }) =>
    compat === "upstream"
      ? createRandomTies(maxNumOfEndpoints, random)
      : createTiesInTurn(maxNumOfEndpoints),
});
