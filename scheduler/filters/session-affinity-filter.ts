/**
 * Keeps the endpoint that had the last request of the session.
 * @module
 */
import { defineSessionFilter } from "../affinity/session-filter.ts";

export const sessionAffinityFilter = defineSessionFilter(
  "session-affinity-filter",
  "Keeps the endpoint of the session's last request alone; all when it is not among the candidates.",
);
