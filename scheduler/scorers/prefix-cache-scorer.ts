/**
 * Prefers endpoints that hold more of the prompt in their cache.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { PrefixMatch } from "../data.ts";
import { defineScorer } from "../plugin.ts";

/** Parameters that this scorer had before the producer was split off; they are the producer's now. */
const MOVED = [
  "hashBlockSize",
  "blockSize",
  "maxPrefixBlocksToMatch",
  "lruCapacityPerServer",
  "autoTune",
] as const;

const moved = z.unknown().optional().meta({
  description: "Older spelling, not read here: set it on approx-prefix-cache-producer.",
});

const Parameters = z
  .strictObject({
    prefixMatchInfoProducerName: z.string().default("approx-prefix-cache-producer").meta({
      description: "Producer of the prefix match.",
    }),
    matchLengthWeight: z.number().min(0).max(1).default(0).meta({
      description: "Weight of the length of the match against its share of the prompt.",
      unit: "ratio",
    }),
    matchLengthScaleTokens: z.number().int().default(8192).meta({
      description: "Length of match that scores 1.",
      unit: "tokens",
    }),
    hashBlockSize: moved,
    blockSize: moved,
    maxPrefixBlocksToMatch: moved,
    lruCapacityPerServer: moved,
    autoTune: moved,
  })
  .superRefine(({ matchLengthWeight, matchLengthScaleTokens }, context) => {
    if (matchLengthWeight <= 0 || matchLengthScaleTokens > 0) return;
    context.addIssue({
      code: "custom",
      path: ["matchLengthScaleTokens"],
      message: `must be > 0 when matchLengthWeight is > 0, got ${matchLengthScaleTokens}`,
    });
  });

/**
 * Share of the prompt that is held, mixed with the length of what is held:
 * score = w · min(1, matched tokens / scale)² + (1 − w) · matched / total.
 *
 * @param matchBlocks     blocks held, 0 … totalBlocks
 * @param totalBlocks     <= 0 (no prompt, or nothing known): score 0
 * @param blockSizeTokens <= 0: the length counts 0
 * @param weight          0 … 1
 * @param scaleTokens     > 0 where weight > 0
 */
export function prefixScore(
  matchBlocks: number,
  totalBlocks: number,
  blockSizeTokens: number,
  weight: number,
  scaleTokens: number,
): number {
  if (totalBlocks <= 0) return 0;
  const share = matchBlocks / totalBlocks;
  if (weight <= 0) return share;
  const length =
    blockSizeTokens > 0 ? Math.min(1, (matchBlocks * blockSizeTokens) / scaleTokens) : 0;
  return weight * length * length + (1 - weight) * share;
}

/** Writes `prefixScore` of every candidate; one that the match has no entry for scores 0. */
function scorePrefixCache(
  candidates: Candidates,
  match: PrefixMatch,
  weight: number,
  scaleTokens: number,
  scores: Float64Array,
): void {
  const { slots, count } = candidates;
  const { matchBlocks, totalBlocks, blockSizeTokens } = match;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    scores[i] =
      slot < totalBlocks.length
        ? prefixScore(
            matchBlocks[slot]!,
            totalBlocks[slot]!,
            blockSizeTokens[slot]!,
            weight,
            scaleTokens,
          )
        : 0;
  }
}

export const prefixCacheScorer = defineScorer({
  type: "prefix-cache-scorer",
  stability: "beta",
  category: "Affinity",
  summary: "More of the prompt in the endpoint's cache is better.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/prefix/plugin.go",
  parameters: Parameters,
  consumes: ({ prefixMatchInfoProducerName }) => [
    { type: "prefix-match", producer: prefixMatchInfoProducerName, required: true },
  ],
  create(parameters, handle) {
    for (const key of MOVED) {
      if (parameters[key] === undefined) continue;
      handle.warn(`${key} is not read here any more: set it on approx-prefix-cache-producer`);
    }
    const { prefixMatchInfoProducerName, matchLengthWeight, matchLengthScaleTokens } = parameters;
    const match = handle.consume("prefix-match", prefixMatchInfoProducerName)!;
    return {
      score: (_request, candidates, scores) =>
        scorePrefixCache(candidates, match, matchLengthWeight, matchLengthScaleTokens, scores),
    };
  },
});
