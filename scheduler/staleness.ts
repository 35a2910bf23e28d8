/**
 * How much a scraped value is worth: an endpoint that was never scraped is not idle, and a value that is old is not true.
 *
 *   age      0 ─────── staleAfterMs ─────────── + FADE_MS ──────▶
 *   trust    1  fresh    1 ─── linear ─── 0       0  unknown
 *
 * Unknown endpoints get the mean of the known ones; with nobody known all get 1.
 * @module
 */
import type { Candidates } from "./candidates.ts";

/** Age up to which a value counts in full: five default scrape intervals, and at least this. */
export const STALE_AFTER_MS = 1000;
/** Time in which a stale value fades to the mean. */
export const FADE_MS = 10_000;

/** Trust in what is known of an endpoint, 0..1. */
export function trustOf(scrapedAtMs: number, isKnown: boolean, nowMs: number): number {
  if (scrapedAtMs === 0 || !isKnown) return 0;
  const overdueMs = nowMs - scrapedAtMs - STALE_AFTER_MS;
  if (overdueMs <= 0) return 1;
  return overdueMs >= FADE_MS ? 0 : 1 - overdueMs / FADE_MS;
}

/**
 * Replaces the scores of candidates that are not fully trusted.
 *
 * @param known bit of `Known` that the score rests on
 * @param scores [0, count) holds the scores of trusted values; entries without trust may hold anything
 */
export function blendUntrusted(candidates: Candidates, known: number, scores: Float64Array): void {
  const { columns, count, nowMs, slots } = candidates;
  let sum = 0;
  let weight = 0;
  let allTrusted = true;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const trust = trustOf(columns.scrapedAtMs[slot]!, (columns.known[slot]! & known) !== 0, nowMs);
    if (trust < 1) allTrusted = false;
    if (trust === 0) continue;
    sum += scores[i]! * trust;
    weight += trust;
  }
  if (allTrusted) return;
  const neutral = weight === 0 ? 1 : sum / weight;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const trust = trustOf(columns.scrapedAtMs[slot]!, (columns.known[slot]! & known) !== 0, nowMs);
    if (trust < 1) scores[i] = trust * (trust === 0 ? 0 : scores[i]!) + (1 - trust) * neutral;
  }
}
