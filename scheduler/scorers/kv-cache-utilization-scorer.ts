/**
 * Prefers endpoints with more of their KV cache free.
 * @module
 */
import { z } from "zod";
import { Known } from "../endpoints.ts";
import { type Candidates, defineScorer } from "../plugin.ts";
import { areAllFresh, blendUntrusted, staleAfterMs } from "../staleness.ts";

const Parameters = z.object({
  compat: z.literal("upstream").optional().meta({
    description: "upstream: an endpoint that was never scraped counts as empty.",
  }),
});

/**
 * Scores 1 − utilization. A utilization above 1 gives a negative score, which the profile takes as 0.
 *
 * @param scores length >= count; [0, count) is overwritten
 */
export function scoreKvCacheUtilization(candidates: Candidates, scores: Float64Array): void {
  const { columns, count, slots } = candidates;
  const { kvUtilization } = columns;
  for (let i = 0; i < count; i++) scores[i] = 1 - kvUtilization[slots[i]!]!;
}

export const kvCacheUtilizationScorer = defineScorer({
  type: "kv-cache-utilization-scorer",
  stability: "beta",
  category: "Distribution",
  summary: "1 minus the KV-cache utilization.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/kvcacheutilization",
  parameters: Parameters,
  ignoresParameters: true,
  create({ compat }, { scrapeIntervalMs }) {
    if (compat === "upstream") {
      return {
        score: (_request, candidates, scores) => scoreKvCacheUtilization(candidates, scores),
      };
    }
    const staleMs = staleAfterMs(scrapeIntervalMs);
    return {
      score(_request, candidates, scores) {
        scoreKvCacheUtilization(candidates, scores);
        if (areAllFresh(candidates, Known.kvUtilization, staleMs)) return;
        blendUntrusted(candidates, Known.kvUtilization, staleMs, scores);
      },
    };
  },
});
