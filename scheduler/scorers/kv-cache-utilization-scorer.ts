/**
 * Prefers endpoints with more of their KV cache free.
 * @module
 */
import { z } from "zod";
import { Known } from "../endpoints.ts";
import { type Candidates, defineScorer } from "../plugin.ts";
import { blendUntrusted } from "../staleness.ts";

const Parameters = z.object({
  /** `upstream`: an endpoint that was never scraped counts as empty. */
  compat: z.literal("upstream").optional(),
});

/**
 * Scores 1 − utilization; a utilization above 1 gives a negative score, which the profile takes as 0.
 *
 * @param scores [0, count) is overwritten
 */
export function scoreKvCacheUtilization(candidates: Candidates, scores: Float64Array): void {
  const { columns, count, slots } = candidates;
  for (let i = 0; i < count; i++) scores[i] = 1 - columns.kvUtilization[slots[i]!]!;
}

export const kvCacheUtilizationScorer = defineScorer({
  type: "kv-cache-utilization-scorer",
  stability: "beta",
  category: "Distribution",
  summary: "1 minus the KV-cache utilization.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/kvcacheutilization",
  parameters: Parameters,
  create: ({ compat }) => ({
    score(_request, candidates, scores) {
      scoreKvCacheUtilization(candidates, scores);
      if (compat === undefined) blendUntrusted(candidates, Known.kvUtilization, scores);
    },
  }),
});
