/**
 * How much a scraped value is worth: an endpoint that was never scraped is not idle, and a value that is old is not true.
 *
 *   age      0 ──────────── staleAfterMs ─────────────── staleAfterMs + FADE_MS ──▶
 *   state        fresh        stale: 1 ─── linear ─── 0          unknown
 *   trust          1                                                0
 *
 * An endpoint without the fact, or never scraped, is unknown at once. Unknown endpoints take no part in minimum and
 * maximum and score the mean of the known ones; with nobody known all score 1.
 *
 * `scrapedAtMs` and the clock of the pick must have the same origin.
 * @module
 */
import type { Candidates } from "./candidates.ts";
import type { EndpointColumns } from "./endpoints.ts";

/** Scrapes that may fail in a row before a value counts as stale. */
const INTERVALS_TILL_STALE = 5;
/** With short intervals a value is good for at least this long: engines stall for some hundred ms under load. */
const STALE_AFTER_MS_MIN = 1000;
/** Time in which a stale value fades to the mean. */
export const FADE_MS = 10_000;

/** Age up to which a value counts in full, ms. @param scrapeIntervalMs undefined = short enough not to matter */
export function staleAfterMs(scrapeIntervalMs: number | undefined): number {
  return Math.max(STALE_AFTER_MS_MIN, INTERVALS_TILL_STALE * (scrapeIntervalMs ?? 0));
}

/**
 * Trust in one fact of an endpoint, 0 (unknown) … 1 (fresh).
 *
 * @param fact         bit of `Known`
 * @param staleAfterMs as the function of this name gives it
 */
export function trustOf(
  columns: EndpointColumns,
  slot: number,
  fact: number,
  nowMs: number,
  staleAfterMs: number,
): number {
  const scrapedAtMs = columns.scrapedAtMs[slot]!;
  if (scrapedAtMs === 0 || (columns.known[slot]! & fact) === 0) return 0;
  const overdueMs = nowMs - scrapedAtMs - staleAfterMs;
  if (overdueMs <= 0) return 1;
  return overdueMs >= FADE_MS ? 0 : 1 - overdueMs / FADE_MS;
}

/** Whether a fact of every candidate is fresh, as it nearly always is: then trust plays no part. */
export function areAllFresh(candidates: Candidates, fact: number, staleAfterMs: number): boolean {
  const { columns, count, nowMs, slots } = candidates;
  const { known, scrapedAtMs } = columns;
  const freshSinceMs = nowMs - staleAfterMs;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const atMs = scrapedAtMs[slot]!;
    if (atMs < freshSinceMs || atMs === 0 || (known[slot]! & fact) === 0) return false;
  }
  return true;
}

/**
 * Draws the scores of candidates that are not fully trusted toward the mean of the others, by what their trust lacks.
 *
 * @param fact   bit of `Known` that the scores rest on
 * @param scores [0, count) holds finite scores; those of unknown candidates may hold anything finite
 */
export function blendUntrusted(
  candidates: Candidates,
  fact: number,
  staleAfterMs: number,
  scores: Float64Array,
): void {
  const { columns, count, nowMs, slots } = candidates;
  let sum = 0;
  let weight = 0;
  for (let i = 0; i < count; i++) {
    const trust = trustOf(columns, slots[i]!, fact, nowMs, staleAfterMs);
    sum += scores[i]! * trust;
    weight += trust;
  }
  const neutral = weight === 0 ? 1 : sum / weight;
  for (let i = 0; i < count; i++) {
    const trust = trustOf(columns, slots[i]!, fact, nowMs, staleAfterMs);
    scores[i] = trust * scores[i]! + (1 - trust) * neutral;
  }
}
