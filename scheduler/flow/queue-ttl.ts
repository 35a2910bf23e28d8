/**
 * How long one request may wait: the configured budget, or less when the client says so.
 * @module
 */
import type { InferenceRequest } from "../request.ts";

/** Longest wait that a client wants, ms, a decimal integer above 0; anything else is passed over. **Ours.** */
export const QUEUE_TTL_HEADER = "x-llm-d-queue-ttl-ms";

/** @param configuredMs 0 = never expires. @returns ms, 0 = never expires */
export function queueTtlMs({ headers }: InferenceRequest, configuredMs: number): number {
  if (headers.size === 0) return configuredMs;
  const text = headers.get(QUEUE_TTL_HEADER)?.trim() ?? "";
  if (!/^\d{1,15}$/.test(text)) return configuredMs;
  const wanted = Number(text);
  if (wanted === 0) return configuredMs;
  return configuredMs > 0 ? Math.min(wanted, configuredMs) : wanted;
}
