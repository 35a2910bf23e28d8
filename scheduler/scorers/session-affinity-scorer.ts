/**
 * Prefers the endpoint that had the last request of the session.
 * @module
 */
import {
  createSessionAffinity,
  sessionAffinityParameters,
  sessionConsumptions,
  sessionHeadersRead,
} from "../affinity/session-affinity.ts";
import { definePlugin } from "../plugin.ts";

export const sessionAffinityScorer = definePlugin({
  type: "session-affinity-scorer",
  kinds: ["scorer", "hook"],
  stability: "alpha",
  category: "Affinity",
  summary: "The endpoint of the session's last request scores 1, others 0.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/sessionaffinity",
  parameters: sessionAffinityParameters,
  consumes: sessionConsumptions,
  headersRead: sessionHeadersRead,
  create(parameters, handle) {
    const affinity = createSessionAffinity(parameters, handle);
    return {
      hooks: affinity,
      scorer: {
        score(request, candidates, scores) {
          scores.fill(0, 0, candidates.count);
          const index = affinity.find(request, candidates);
          if (index >= 0) scores[index] = 1;
        },
      },
    };
  },
});
