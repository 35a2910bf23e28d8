/**
 * Prefers endpoints that have the requested adapter in use, then those with room for it.
 * @module
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import type { NameHash } from "../name-hash.ts";
import { type Candidates, defineScorer } from "../plugin.ts";

const Parameters = z.object({
  /** `upstream`: adapters that run and wait count twice, and base-model requests are scored like any other. */
  compat: z.literal("upstream").optional(),
});

const ACTIVE = 1;
const HAS_ROOM = 0.8;
const WAITING = 0.6;
const FULL = 0;

/** True when the name is among a slot's adapters. */
function holds(names: Uint32Array, count: number, slot: number, name: NameHash): boolean {
  const base = slot * limits.adaptersPerEndpointMax * 2;
  for (let k = 0; k < count; k++) {
    if (names[base + 2 * k] === name.lo && names[base + 2 * k + 1] === name.hi) return true;
  }
  return false;
}

/** Adapters in the waiting list that are not active too: engines list one that is queued in both. */
function waitingOnly(candidates: Candidates, slot: number): number {
  const { activeAdapterCount, activeAdapters, waitingAdapterCount, waitingAdapters } =
    candidates.columns;
  const base = slot * limits.adaptersPerEndpointMax * 2;
  let count = 0;
  for (let k = 0; k < waitingAdapterCount[slot]!; k++) {
    const lo = waitingAdapters[base + 2 * k]!;
    const hi = waitingAdapters[base + 2 * k + 1]!;
    if (!holds(activeAdapters, activeAdapterCount[slot]!, slot, { lo, hi })) count++;
  }
  return count;
}

/**
 * Scores 1 for an endpoint that has the adapter in use, 0.8 for one with a free adapter slot, 0.6 for one where the adapter
 * waits, else 0.
 *
 * @param countsTwice take |active| + |waiting| as upstream does, instead of their union
 * @param scores [0, count) is overwritten
 */
export function scoreLoraAffinity(
  candidates: Candidates,
  name: NameHash,
  countsTwice: boolean,
  scores: Float64Array,
): void {
  const { columns, count, slots } = candidates;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const active = columns.activeAdapterCount[slot]!;
    const waiting = columns.waitingAdapterCount[slot]!;
    if (holds(columns.activeAdapters, active, slot, name)) {
      scores[i] = ACTIVE;
      continue;
    }
    const used = active + (countsTwice ? waiting : waitingOnly(candidates, slot));
    if (used < columns.maxAdapters[slot]!) scores[i] = HAS_ROOM;
    else scores[i] = holds(columns.waitingAdapters, waiting, slot, name) ? WAITING : FULL;
  }
}

export const loraAffinityScorer = defineScorer({
  type: "lora-affinity-scorer",
  stability: "beta",
  category: "Affinity",
  summary: "Adapter in use 1, free adapter slot 0.8, adapter waiting 0.6, full 0.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/loraaffinity",
  parameters: Parameters,
  create: ({ compat }) => ({
    score: (request, candidates, scores) =>
      scoreLoraAffinity(candidates, request.targetModelHash, compat === "upstream", scores),
  }),
});
