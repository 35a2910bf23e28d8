/**
 * Earliest deadline first, by the time to first token that the client asks for.
 * @module
 */
import { z } from "zod";
import { defineOrderingPolicy } from "../plugin.ts";
import type { InferenceRequest } from "../request.ts";

/** Header with the wanted time to first token, ms, and its old name. */
const TTFT_HEADER = "x-llm-d-slo-ttft-ms";
const TTFT_HEADER_OLD = "x-slo-ttft-ms";

/** Largest number of milliseconds that upstream's durations hold (2^63 ns). */
const TTFT_MAX_MS = 9_223_372_036_854;

/**
 * @param text value of the header
 * @returns ms >= 0; Infinity when there is none, or none that makes sense
 */
export function parseTtftMs(text: string | undefined): number {
  const trimmed = text?.trim() ?? "";
  if (!/^[+-]?\d+$/.test(trimmed)) return Number.POSITIVE_INFINITY;
  const ms = Number(trimmed);
  return ms >= 0 && ms <= TTFT_MAX_MS ? ms : Number.POSITIVE_INFINITY;
}

function ttftMs({ headers }: InferenceRequest): number {
  if (headers.size === 0) return Number.POSITIVE_INFINITY;
  return parseTtftMs(headers.get(TTFT_HEADER) ?? headers.get(TTFT_HEADER_OLD));
}

export const sloDeadlineOrderingPolicy = defineOrderingPolicy({
  type: "slo-deadline-ordering-policy",
  stability: "beta",
  summary: "Within a flow the request whose first token is due first goes first.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/ordering/slodeadline",
  parameters: z.object({}),
  ignoresParameters: true,
  requestHeaders: [TTFT_HEADER, TTFT_HEADER_OLD],
  create: () => ({ key: ({ request }) => request.arrivedAtMs + ttftMs(request) }),
});
