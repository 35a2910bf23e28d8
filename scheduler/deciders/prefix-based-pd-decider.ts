/**
 * Lets a prompt be computed by a prefill endpoint when the endpoint that will decode holds too little of it.
 * @module
 */
import { z } from "zod";
import type { PrefixMatch } from "../data.ts";
import { type Decider, defineDecider } from "../plugin.ts";

const Parameters = z.strictObject({
  nonCachedTokens: z.number().int().min(0).default(0).meta({
    description: "Tokens that must be left to compute; 0 = nothing is ever worth the way.",
    unit: "tokens",
  }),
  promptTokens: z.number().int().min(0).default(0).meta({
    description: "Length that a prompt must have; 0 = any.",
    unit: "tokens",
  }),
  prefixMatchInfoProducerName: z.string().default("approx-prefix-cache-producer").meta({
    description: "Producer of the prefix match.",
  }),
});

/** What the decision needs of the parameters. */
export interface PrefillThresholds {
  readonly nonCachedTokens: number;
  readonly promptTokens: number;
}

/**
 * @param tokens       length of the prompt
 * @param cachedTokens of them held by the endpoint that will decode
 */
export function isWorthPrefill(
  { nonCachedTokens, promptTokens }: PrefillThresholds,
  tokens: number,
  cachedTokens: number,
): boolean {
  return (
    nonCachedTokens > 0 &&
    tokens >= promptTokens &&
    tokens >= nonCachedTokens &&
    tokens - cachedTokens >= nonCachedTokens
  );
}

export function prefixBasedDecider(thresholds: PrefillThresholds, match: PrefixMatch): Decider {
  return {
    disaggregate(request, slot) {
      const { blockSizeTokens, cachedBlocks, totalBlocks } = match;
      // Without a match nothing is known, and the way may be for nothing.
      if (slot < 0 || slot >= totalBlocks.length || totalBlocks[slot]! < 0) return false;
      const cachedTokens = cachedBlocks[slot]! * blockSizeTokens[slot]!;
      return isWorthPrefill(thresholds, request.promptTokens, cachedTokens);
    },
  };
}

export const prefixBasedPdDecider = defineDecider({
  type: "prefix-based-pd-decider",
  stability: "beta",
  summary: "Prompts of which enough is left to compute are worth a prefill endpoint.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/disagg",
  parameters: Parameters,
  consumes: ({ prefixMatchInfoProducerName }) => [
    { type: "prefix-match", producer: prefixMatchInfoProducerName, required: true },
  ],
  create(parameters, handle) {
    if (parameters.nonCachedTokens === 0) {
      handle.warn("nonCachedTokens is 0: no prompt goes to a prefill endpoint");
    }
    return prefixBasedDecider(
      parameters,
      handle.consume("prefix-match", parameters.prefixMatchInfoProducerName)!,
    );
  },
});
