/**
 * Time as the core sees it: a number that somebody else advances.
 * @module
 */

/** Source of time. Production reads a monotonic clock, the simulator its event queue, a test its own hand. */
export interface Clock {
  /** Milliseconds since an arbitrary origin; never goes back; fractions allowed. */
  nowMs(): number;
}

/** A clock that moves only when told to. */
export class ManualClock implements Clock {
  #nowMs: number;

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  /** Moves time forward by `ms` (>= 0). */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`ManualClock.advance: ms must be >= 0, got ${ms}`);
    this.#nowMs += ms;
  }
}
