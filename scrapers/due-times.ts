/**
 * When one endpoint is due: in its own phase of the interval, with jitter, never faster after a delay, and ever more
 * rarely while nobody answers.
 *
 *   phase     ├─────interval─────┤─────interval─────┤
 *   slot 0    ▲                  ▲                  ▲        due = phase time ± 5 %: the mean rate is exact, and
 *   slot 1              ▲                 ▲                  endpoints do not fall into step with each other
 *   slot 2       ▲                  ▲                   ▲    or with something periodic in the engine
 * @module
 */

/** Failed connections in a row before the endpoint is asked more rarely. */
const REFUSALS_BEFORE_BACKOFF = 3;
export const BACKOFF_FIRST_MS = 100;
export const BACKOFF_LAST_MS = 5000;

const JITTER_RATIO = 0.05;

/** An endpoint that joins is scraped within this time, however long the interval is. */
const FIRST_SCRAPE_WITHIN_MS = 50;

/** Fractional part of the golden ratio: its multiples spread evenly over [0, 1) for any number of slots. */
const GOLDEN_FRACTION = 0.6180339887498949;

export class DueTimes {
  /** Clock at which the next scrape is to start, ms. */
  dueMs: number;
  readonly #random: () => number;
  #intervalMs: number;
  #phaseMs: number;
  #refusals = 0;

  /** @param random uniform in [0, 1) */
  constructor(slot: number, nowMs: number, intervalMs: number, random: () => number) {
    const phase = (slot * GOLDEN_FRACTION) % 1;
    this.#random = random;
    this.#intervalMs = intervalMs;
    this.#phaseMs = nowMs + phase * intervalMs;
    this.dueMs = nowMs + phase * Math.min(intervalMs, FIRST_SCRAPE_WITHIN_MS);
  }

  setInterval(intervalMs: number): void {
    this.#intervalMs = intervalMs;
  }

  /** Goes on to the next phase time after `nowMs`. */
  advance(nowMs: number): void {
    const intervalMs = this.#intervalMs;
    this.#phaseMs += intervalMs * Math.max(1, Math.ceil((nowMs - this.#phaseMs) / intervalMs));
    this.dueMs = this.#phaseMs + this.#jitter(intervalMs);
  }

  /** The engine answered, with whatever. */
  answered(): void {
    this.#refusals = 0;
  }

  /** The connection failed: from the third time in a row the next scrape waits 100 ms, 200 ms, … 5 s. */
  refused(nowMs: number): void {
    this.#refusals++;
    const doublings = this.#refusals - REFUSALS_BEFORE_BACKOFF;
    if (doublings < 0) return;
    const backoffMs = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(doublings, 16), BACKOFF_LAST_MS);
    this.#phaseMs = Math.max(this.#phaseMs, nowMs + backoffMs);
    this.dueMs = this.#phaseMs + this.#jitter(backoffMs);
  }

  #jitter(spanMs: number): number {
    return (2 * this.#random() - 1) * JITTER_RATIO * spanMs;
  }
}
