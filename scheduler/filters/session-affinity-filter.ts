/**
 * Keeps the endpoint that had the last request of the session.
 * @module
 */
import {
  createSessionAffinity,
  keepBound,
  sessionAffinityParameters,
  sessionConsumptions,
  sessionHeadersRead,
} from "../affinity/session-affinity.ts";
import { definePlugin } from "../plugin.ts";

export const sessionAffinityFilter = definePlugin({
  type: "session-affinity-filter",
  kinds: ["filter", "hook"],
  stability: "alpha",
  category: "Affinity",
  summary:
    "Keeps the endpoint of the session's last request alone; all when it is not among the candidates.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/sessionaffinity",
  parameters: sessionAffinityParameters,
  consumes: sessionConsumptions,
  headersRead: sessionHeadersRead,
  create(parameters, handle) {
    const affinity = createSessionAffinity(parameters, handle);
    return {
      hooks: affinity,
      filter: {
        rejects: "filtered-by-load", // in name only: it never empties the list
        filter: (request, candidates) => keepBound(affinity, request, candidates),
      },
    };
  },
});
