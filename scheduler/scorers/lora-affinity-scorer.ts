/**
 * Prefers endpoints that have the requested adapter in use, then those with room for it.
 * @module
 */
import { z } from "zod";
import { type EndpointColumns, Known } from "../endpoints.ts";
import { limits } from "../limits.ts";
import { hashName, type NameHash } from "../name-hash.ts";
import { type Candidates, defineScorer } from "../plugin.ts";
import { areAllFresh, blendUntrusted, staleAfterMs } from "../staleness.ts";

const Parameters = z.object({
  baseModels: z.array(z.string()).default([]).meta({
    description: "Names that are no adapters: requests for them get the same score everywhere.",
  }),
  compat: z.literal("upstream").optional().meta({
    description:
      "upstream: an adapter that runs and waits takes two places, an endpoint without LoRA facts scores 0.",
  }),
});

const ACTIVE = 1;
const HAS_ROOM = 0.8;
const WAITING = 0.6;
const FULL = 0;
/** What everybody gets when adapters play no part. */
const NEUTRAL = 1;

const ADAPTER_WORDS = 2 * limits.adaptersPerEndpointMax;

/** True when the name is among the first `count` adapters of a slot. */
function holds(names: Uint32Array, count: number, slot: number, lo: number, hi: number): boolean {
  const from = slot * ADAPTER_WORDS;
  for (let at = from; at < from + 2 * count; at += 2) {
    if (names[at] === lo && names[at + 1] === hi) return true;
  }
  return false;
}

/** Adapters in the waiting list that are not active too: an engine lists one that does both in both. */
function waitingOnly(columns: EndpointColumns, slot: number): number {
  const { activeAdapters, waitingAdapters } = columns;
  const active = columns.activeAdapterCount[slot]!;
  const from = slot * ADAPTER_WORDS;
  const to = from + 2 * columns.waitingAdapterCount[slot]!;
  let count = 0;
  for (let at = from; at < to; at += 2) {
    if (!holds(activeAdapters, active, slot, waitingAdapters[at]!, waitingAdapters[at + 1]!)) {
      count++;
    }
  }
  return count;
}

/**
 * Scores 1 for an endpoint that has the adapter in use, 0.8 for one with a free adapter slot, 0.6 for one where the adapter
 * waits, else 0.
 *
 * @param countsTwice take |active| + |waiting| as upstream does, instead of the size of their union
 * @param scores      length >= count; [0, count) is overwritten
 */
export function scoreLoraAffinity(
  candidates: Candidates,
  name: NameHash,
  countsTwice: boolean,
  scores: Float64Array,
): void {
  const { columns, count, slots } = candidates;
  const { activeAdapters, maxAdapters, waitingAdapters } = columns;
  const { hi, lo } = name;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const active = columns.activeAdapterCount[slot]!;
    const waiting = columns.waitingAdapterCount[slot]!;
    if (holds(activeAdapters, active, slot, lo, hi)) {
      scores[i] = ACTIVE;
      continue;
    }
    const used = active + (countsTwice ? waiting : waitingOnly(columns, slot));
    if (used < maxAdapters[slot]!) scores[i] = HAS_ROOM;
    else scores[i] = holds(waitingAdapters, waiting, slot, lo, hi) ? WAITING : FULL;
  }
}

export const loraAffinityScorer = defineScorer({
  type: "lora-affinity-scorer",
  stability: "beta",
  category: "Affinity",
  summary: "Adapter in use 1, free adapter slot 0.8, adapter waiting 0.6, full 0.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/loraaffinity",
  parameters: Parameters,
  ignoresParameters: true,
  create({ baseModels, compat }, { scrapeIntervalMs }) {
    if (compat === "upstream") {
      return {
        score: (request, candidates, scores) =>
          scoreLoraAffinity(candidates, request.targetModelHash, true, scores),
      };
    }
    const staleMs = staleAfterMs(scrapeIntervalMs);
    const noAdapters = ["", ...baseModels].map(hashName); // a request without a model has no adapter
    const isAdapter = (name: NameHash): boolean => {
      for (const { hi, lo } of noAdapters) if (name.lo === lo && name.hi === hi) return false;
      return true;
    };
    return {
      score(request, candidates, scores) {
        if (!isAdapter(request.targetModelHash)) {
          scores.fill(NEUTRAL, 0, candidates.count);
          return;
        }
        scoreLoraAffinity(candidates, request.targetModelHash, false, scores);
        if (areAllFresh(candidates, Known.adapters, staleMs)) return;
        // Endpoints without LoRA facts get the mean of those that have them; with none at all everybody gets 1.
        blendUntrusted(candidates, Known.adapters, staleMs, scores);
      },
    };
  },
});
