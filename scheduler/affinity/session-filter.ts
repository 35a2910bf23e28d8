/**
 * The filters of session affinity, which differ in what their endpoints stand for.
 * @module
 */
import { definePlugin } from "../plugin.ts";
import {
  createSessionAffinity,
  keepBound,
  sessionAffinityParameters,
  sessionConsumptions,
  sessionHeadersRead,
} from "./session-affinity.ts";

/** A filter that keeps what had the last request of the session. */
export function defineSessionFilter(type: string, summary: string) {
  return definePlugin({
    type,
    kinds: ["filter", "hook"],
    stability: "alpha",
    category: "Affinity",
    summary,
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
}
