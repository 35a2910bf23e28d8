/**
 * Keeps the cluster that had the last request of the session, where endpoints stand for clusters.
 * @module
 */
import { defineSessionFilter } from "../affinity/session-filter.ts";

export const multiclusterSessionAffinityFilter = defineSessionFilter(
  "multicluster-session-affinity-filter",
  "The same as session-affinity-filter, for endpoints that stand for the pools of other clusters.",
);
