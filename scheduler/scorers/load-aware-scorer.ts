/**
 * Prefers endpoints with few waiting requests, on a scale that does not depend on the others.
 * @module
 */
import { z } from "zod";
import { Known } from "../endpoints.ts";
import { defineScorer } from "../plugin.ts";
import { areAllFresh, blendUntrusted, staleAfterMs } from "../staleness.ts";

const THRESHOLD_DEFAULT = 128;

const Parameters = z.strictObject({
  threshold: z.number().int().default(THRESHOLD_DEFAULT).meta({
    description: "Waiting requests from which an endpoint scores 0; <= 0 means the default.",
    unit: "requests",
  }),
  compat: z.literal("upstream").optional().meta({
    description: "upstream: an endpoint that was never scraped counts as idle.",
  }),
});

/** 0.5 with nobody waiting, falling to 0 at the threshold. @param threshold > 0 */
export function loadAwareScore(waiting: number, threshold: number): number {
  return 0.5 * (1 - Math.min(Math.max(0, waiting), threshold) / threshold);
}

export const loadAwareScorer = defineScorer({
  type: "load-aware-scorer",
  stability: "beta",
  category: "Distribution",
  summary: "Fewer waiting requests is better: 0.5 for none, 0 from a threshold on.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/loadaware",
  parameters: Parameters,
  create({ compat, threshold }, { scrapeIntervalMs }) {
    const limit = threshold > 0 ? threshold : THRESHOLD_DEFAULT;
    const staleMs = staleAfterMs(scrapeIntervalMs);
    return {
      score(_request, candidates, scores) {
        const { columns, count, slots } = candidates;
        for (let i = 0; i < count; i++) {
          scores[i] = loadAwareScore(columns.waiting[slots[i]!]!, limit);
        }
        if (compat === "upstream" || areAllFresh(candidates, Known.waiting, staleMs)) return;
        blendUntrusted(candidates, Known.waiting, staleMs, scores);
      },
    };
  },
});
