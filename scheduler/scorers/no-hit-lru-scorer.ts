/**
 * Spreads prompts that nobody holds: the endpoint that has had none for longest is best. A request is cold when no
 * candidate holds any of its prompt; for others all score the same.
 *
 *   LRU of cold requests, oldest first   [ p2, p0 ]        p1 and p3 were never used
 *   scores   p1 1   p3 1   p2 1 - 2/3   p0 0               compat: upstream   p1 1   p3 2/3   p2 1/3   p0 0
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { PrefixMatch } from "../data.ts";
import type { Flight } from "../flight.ts";
import { definePlugin, type FlightHooks, type PluginHandle, type Scorer } from "../plugin.ts";
import type { InferenceRequest } from "../request.ts";

const LRU_SIZE_DEFAULT = 1024;
const WARM_SCORE = 0.5;
const PREFILL_PROFILE = "prefill";

const Parameters = z.strictObject({
  lruSize: z.number().int().default(LRU_SIZE_DEFAULT).meta({
    description: "Endpoints remembered; <= 0 means the default.",
    unit: "endpoints",
  }),
  prefixMatchInfoProducerName: z.string().default("approx-prefix-cache-producer").meta({
    description: "Producer of the prefix match.",
  }),
  minHitRatio: z.number().min(0).max(1).default(0).meta({
    description:
      "Share of the prompt that an endpoint must hold for the request to be warm; 0 = any of it.",
    unit: "ratio",
  }),
  prefixPluginType: z.unknown().optional().meta({ description: "Deprecated, not read." }),
  prefixPluginName: z.unknown().optional().meta({ description: "Deprecated, not read." }),
  compat: z.literal("upstream").optional().meta({
    description:
      "upstream: endpoints never used rank by their place in the list, and ranks count endpoints that are no candidates.",
  }),
});

type NoHitLruParameters = z.output<typeof Parameters>;

/** Rank of an endpoint that no cold request went to. */
const NEVER = -1;

/**
 * Scores of a cold request: 1 for endpoints never used, then falling with the rank of the use, the newest last.
 *
 * @param ranks     by slot: place among those used, oldest 0; NEVER = not used
 * @param listOrder those never used fall too, in the order of the candidates
 * @param scores    length >= candidates.count; [0, count) is overwritten with values in [0, 1]
 */
export function scoreCold(
  candidates: Candidates,
  ranks: Int32Array,
  listOrder: boolean,
  scores: Float64Array,
): void {
  const { count, slots } = candidates;
  let never = 0;
  for (let i = 0; i < count; i++) {
    if (ranks[slots[i]!] !== NEVER) continue;
    scores[i] = listOrder && count > 1 ? 1 - never / (count - 1) : 1;
    never++;
  }
  for (let i = 0; i < count; i++) {
    const rank = ranks[slots[i]!]!;
    if (rank === NEVER) continue;
    scores[i] = count === 1 ? 1 : Math.max(0, 1 - (never + rank) / (count - 1));
  }
}

class NoHitLru implements Scorer, FlightHooks {
  readonly #match: PrefixMatch;
  readonly #lruSize: number;
  readonly #minHitRatio: number;
  readonly #isUpstream: boolean;
  readonly #prefillProfile: string;
  /** Slots in the order of their last cold request, oldest first. */
  readonly #lru = new Set<number>();
  #ranks = new Int32Array(0);
  #isCandidate = new Uint8Array(0);
  /** The request that was found cold last, until it is accounted. */
  #cold: InferenceRequest | null = null;

  constructor(parameters: NoHitLruParameters, handle: PluginHandle) {
    const { compat, lruSize, minHitRatio, prefixMatchInfoProducerName } = parameters;
    this.#match = handle.consume("prefix-match", prefixMatchInfoProducerName)!;
    this.#lruSize = lruSize > 0 ? lruSize : LRU_SIZE_DEFAULT;
    this.#minHitRatio = minHitRatio;
    this.#isUpstream = compat === "upstream";
    this.#prefillProfile = handle.prefillProfile ?? PREFILL_PROFILE;
  }

  score(request: InferenceRequest, candidates: Candidates, scores: Float64Array): void {
    if (this.#isWarm(candidates)) {
      if (this.#cold === request) this.#cold = null;
      scores.fill(WARM_SCORE, 0, candidates.count);
      return;
    }
    this.#cold = request;
    this.#rank(candidates);
    scoreCold(candidates, this.#ranks, this.#isUpstream, scores);
  }

  account({ charges, request }: Flight): void {
    if (this.#cold !== request) return;
    this.#cold = null;
    for (let i = 0; i < charges.length; i++) {
      const { profile, slot } = charges[i]!;
      if (i === 0 || profile === this.#prefillProfile) this.#use(slot);
    }
  }

  endpointRemoved(slot: number): void {
    this.#lru.delete(slot);
  }

  stats(): Readonly<Record<string, number>> {
    return { endpoints: this.#lru.size };
  }

  #isWarm({ count, slots }: Candidates): boolean {
    const { matchBlocks, totalBlocks } = this.#match;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (slot >= totalBlocks.length || totalBlocks[slot]! <= 0) continue;
      const held = matchBlocks[slot]!;
      if (held > 0 && held >= this.#minHitRatio * totalBlocks[slot]!) return true;
    }
    return false;
  }

  #rank({ columns, count, slots }: Candidates): void {
    if (this.#ranks.length < columns.capacity) {
      this.#ranks = new Int32Array(columns.capacity);
      this.#isCandidate = new Uint8Array(columns.capacity);
    }
    const ranks = this.#ranks;
    const isCandidate = this.#isCandidate;
    for (let i = 0; i < count; i++) {
      ranks[slots[i]!] = NEVER;
      isCandidate[slots[i]!] = 1;
    }
    let rank = 0;
    for (const slot of this.#lru) {
      if (isCandidate[slot] === 1) ranks[slot] = rank++;
      else if (this.#isUpstream) rank++;
    }
    for (let i = 0; i < count; i++) isCandidate[slots[i]!] = 0;
  }

  #use(slot: number): void {
    this.#lru.delete(slot);
    this.#lru.add(slot);
    if (this.#lru.size <= this.#lruSize) return;
    for (const oldest of this.#lru) {
      this.#lru.delete(oldest);
      return;
    }
  }
}

export const noHitLruScorer = definePlugin({
  type: "no-hit-lru-scorer",
  kinds: ["scorer", "hook"],
  stability: "beta",
  category: "Distribution",
  summary: "Prompts that nobody holds go to the endpoint that has had none for longest.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/nohitlru",
  parameters: Parameters,
  consumes: ({ prefixMatchInfoProducerName }) => [
    { type: "prefix-match", producer: prefixMatchInfoProducerName, required: true },
  ],
  create(parameters, handle) {
    for (const key of ["prefixPluginType", "prefixPluginName"] as const) {
      if (parameters[key] !== undefined) handle.warn(`${key} is deprecated and has no effect`);
    }
    const lru = new NoHitLru(parameters, handle);
    return { scorer: lru, hooks: lru };
  },
});
