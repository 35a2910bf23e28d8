/**
 * Prefers pools of other clusters with shorter queues, where endpoints stand for pools.
 * @module
 */
import { z } from "zod";
import { defineScorer } from "../plugin.ts";
import { scalarReader } from "../scalar-attribute.ts";
import { scoreLinear } from "./endpoint-attribute-scorer.ts";

const ATTRIBUTE = "llm-d.ai/multicluster-queue-size";

export const multiclusterQueueScorer = defineScorer({
  type: "multicluster-queue-scorer",
  stability: "alpha",
  category: "Distribution",
  summary: "Shorter queues of the pool behind an endpoint are better; min-max over the candidates.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/multicluster",
  parameters: z.object({}),
  ignoresParameters: true,
  create(_parameters, handle) {
    const read = scalarReader(handle, "", ATTRIBUTE, "");
    return {
      score: (_request, candidates, scores) => scoreLinear(candidates, read, null, true, scores),
    };
  },
});
