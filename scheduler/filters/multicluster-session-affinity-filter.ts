/**
 * Keeps the cluster that had the last request of the session, where endpoints stand for clusters.
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

export const multiclusterSessionAffinityFilter = definePlugin({
  type: "multicluster-session-affinity-filter",
  kinds: ["filter", "hook"],
  stability: "alpha",
  category: "Affinity",
  summary:
    "The same as session-affinity-filter, for endpoints that stand for the pools of other clusters.",
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
