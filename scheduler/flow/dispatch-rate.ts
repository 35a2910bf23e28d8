/**
 * How fast the queue drains, and from that when a refused request may ask again.
 * @module
 */
import { limits } from "../limits.ts";
import { REJECTIONS, type Rejection, type RejectReason } from "../outcome.ts";

/** Time over which dispatches are smoothed, ms. */
const TIME_CONSTANT_MS = 10_000;

/** Dispatches per second, each counted with a weight that fades by e in ten seconds. */
export class DispatchRate {
  #weight = 0;
  #atMs = 0;

  add(nowMs: number): void {
    this.#fade(nowMs);
    this.#weight++;
  }

  perSecond(nowMs: number): number {
    this.#fade(nowMs);
    return (this.#weight * 1000) / TIME_CONSTANT_MS;
  }

  #fade(nowMs: number): void {
    if (nowMs <= this.#atMs) return;
    this.#weight *= Math.exp((this.#atMs - nowMs) / TIME_CONSTANT_MS);
    this.#atMs = nowMs;
  }
}

/**
 * @param ahead requests that go before
 * @param perSecond rate at which they go
 * @returns whole seconds of [1, retryAfterSecondsMax]
 */
export function retryAfterSeconds(ahead: number, perSecond: number): number {
  const seconds = Math.ceil(ahead / perSecond);
  if (!(seconds > 1)) return 1; // nobody ahead, or 0 / 0
  return Math.min(seconds, limits.retryAfterSecondsMax);
}

const byReason = new Map<RejectReason, Rejection[]>();

/** The rejection that says when to ask again: one frozen object for each reason and number of seconds. */
export function rejectionAfter(reason: RejectReason, seconds: number): Rejection {
  let rejections = byReason.get(reason);
  if (rejections === undefined) {
    rejections = [];
    byReason.set(reason, rejections);
  }
  const known = rejections[seconds];
  if (known !== undefined) return known;
  const rejection = Object.freeze({ ...REJECTIONS[reason], retryAfterSeconds: seconds });
  rejections[seconds] = rejection;
  return rejection;
}
