/**
 * Earliest deadline first, by the time a request may wait in the queue.
 * @module
 */
import { z } from "zod";
import { defineOrderingPolicy } from "../plugin.ts";

/**
 * @param ttlMs queue-wait budget, ms; <= 0 = never expires
 * @returns ms of the clock; Infinity for a request that never expires
 */
export function queueDeadline(enqueuedAtMs: number, ttlMs: number): number {
  return ttlMs > 0 ? enqueuedAtMs + ttlMs : Number.POSITIVE_INFINITY;
}

export const edfOrderingPolicy = defineOrderingPolicy({
  type: "edf-ordering-policy",
  stability: "beta",
  summary: "Within a flow the request that would expire first goes first.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/ordering/edf",
  parameters: z.object({}),
  ignoresParameters: true,
  create: () => ({ key: ({ enqueuedAtMs, ttlMs }) => queueDeadline(enqueuedAtMs, ttlMs) }),
});
