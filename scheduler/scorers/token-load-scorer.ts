/**
 * Prefers endpoints with fewer tokens of ours to compute, this request's included.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { InflightLoad, UncachedRequestTokens } from "../data.ts";
import { defineScorer } from "../plugin.ts";

const THRESHOLD_DEFAULT = 4_194_304;

const Parameters = z.strictObject({
  queueThresholdTokens: z
    .number()
    .default(THRESHOLD_DEFAULT)
    .meta({
      description: `Load that scores 0; <= 0 means ${THRESHOLD_DEFAULT}.`,
      unit: "tokens",
    }),
  inFlightLoadProducerName: z.string().default("inflight-load-producer").meta({
    description: "Producer of the load and of the tokens that this request would add.",
  }),
});

/**
 * No load 1, the threshold or more 0, linear between.
 *
 * @param tokens    in flight and of this request; <= 0 scores 1
 * @param threshold > 0
 */
export function tokenLoadScore(tokens: number, threshold: number): number {
  return tokens <= 0 ? 1 : 1 - Math.min(tokens, threshold) / threshold;
}

/** Writes `tokenLoadScore` of every candidate; what has no entry counts as 0 tokens. */
function scoreTokenLoad(
  candidates: Candidates,
  load: InflightLoad,
  uncached: UncachedRequestTokens,
  threshold: number,
  scores: Float64Array,
): void {
  const { slots, count } = candidates;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const tokens = (load.tokens[slot] ?? 0) + (uncached.tokens[slot] ?? 0);
    scores[i] = tokenLoadScore(tokens, threshold);
  }
}

export const tokenLoadScorer = defineScorer({
  type: "token-load-scorer",
  stability: "beta",
  category: "Distribution",
  summary: "Fewer of our own tokens in flight is better; linear up to a threshold.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/tokenload/token_load.go",
  parameters: Parameters,
  consumes: ({ inFlightLoadProducerName: producer }) => [
    { type: "inflight-load", producer, required: true },
    { type: "uncached-request-tokens", producer, required: true },
  ],
  create({ queueThresholdTokens, inFlightLoadProducerName }, handle) {
    const load = handle.consume("inflight-load", inFlightLoadProducerName)!;
    const uncached = handle.consume("uncached-request-tokens", inFlightLoadProducerName)!;
    const threshold = queueThresholdTokens > 0 ? queueThresholdTokens : THRESHOLD_DEFAULT;
    return {
      score: (_request, candidates, scores) =>
        scoreTokenLoad(candidates, load, uncached, threshold, scores),
    };
  },
});
