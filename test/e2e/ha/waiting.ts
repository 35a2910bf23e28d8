/**
 * Requests that wait for their pick: half of the body is there, so the picker can not answer.
 * @module
 */
import { type Outcome, sendRequest } from "./request.ts";

const BYTES_MIN = 2_000;
/** With headers and framing this stays under the 64 KiB that Envoy keeps for a retry. */
const BYTES_MAX = 60_000;

/**
 * Sends requests whose sizes, and times at which the rest of the body follows, are spread evenly.
 *
 * @returns their outcomes when all have ended
 */
export function sendWaiting(
  url: string,
  count: number,
  holdMinMs: number,
  holdMaxMs: number,
): Promise<readonly Outcome[]> {
  const spread = (from: number, to: number, index: number): number =>
    Math.round(from + ((to - from) * index) / Math.max(1, count - 1));
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      sendRequest(url, {
        bodyBytes: spread(BYTES_MIN, BYTES_MAX, index),
        // A stride that is prime to the count: size and hold time do not grow together.
        holdMs: spread(holdMinMs, holdMaxMs, (index * 7) % count),
      }),
    ),
  );
}
