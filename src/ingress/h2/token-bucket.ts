/**
 * How much work a peer may ask for: a token for each frame that costs us some.
 * @module
 */

/**
 * The clock is read only when the bucket is empty, which honest peers never see. What has flowed in since the last look
 * counts then, at most a full bucket: a burst is two buckets at most, the mean rate holds.
 */
export class TokenBucket {
  readonly #size: number;
  readonly #refillPerSecond: number;
  readonly #now: () => number;
  #tokens: number;
  #atMs: number;

  constructor(size: number, refillPerSecond: number, now: () => number = nowMs) {
    this.#size = size;
    this.#refillPerSecond = refillPerSecond;
    this.#now = now;
    this.#tokens = size;
    this.#atMs = now();
  }

  /** @returns false when there were not so many left */
  take(count = 1): boolean {
    if (this.#tokens < count) {
      const nowMs = this.#now();
      const refill = ((nowMs - this.#atMs) / 1000) * this.#refillPerSecond;
      this.#tokens = Math.min(this.#size, this.#tokens + refill);
      this.#atMs = nowMs;
      if (this.#tokens < count) return false;
    }
    this.#tokens -= count;
    return true;
  }
}

function nowMs(): number {
  return performance.now();
}
