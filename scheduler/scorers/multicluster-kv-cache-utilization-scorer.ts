/**
 * Prefers pools of other clusters with emptier caches, where endpoints stand for pools.
 * @module
 */
import { z } from "zod";
import { defineScorer } from "../plugin.ts";
import { scalarReader } from "../scalar-attribute.ts";
import { scoreLinear } from "./endpoint-attribute-scorer.ts";

const ATTRIBUTE = "llm-d.ai/multicluster-kv-cache-utilization";
const RATIO = { min: 0, max: 1 } as const;

export const multiclusterKvCacheUtilizationScorer = defineScorer({
  type: "multicluster-kv-cache-utilization-scorer",
  stability: "alpha",
  category: "Distribution",
  summary: "Emptier caches of the pool behind an endpoint are better.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/multicluster",
  parameters: z.object({}),
  ignoresParameters: true,
  create(_parameters, handle) {
    const read = scalarReader(handle, "", ATTRIBUTE, "");
    return {
      score: (_request, candidates, scores) => scoreLinear(candidates, read, RATIO, true, scores),
    };
  },
});
