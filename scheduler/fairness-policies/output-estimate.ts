/**
 * How many tokens a request will probably produce: the mean of those that have ended, no more than the client allows.
 * @module
 */
import type { InferenceRequest } from "../request.ts";

/** Part that a new observation has in the mean. */
const GAIN = 1 / 32;

export class OutputEstimate {
  #mean: number;

  /** @param initial mean before anything has ended, tokens */
  constructor(initial: number) {
    this.#mean = initial;
  }

  /** @returns tokens, a whole number >= 0 */
  of({ maxOutputTokens }: InferenceRequest): number {
    const mean = Math.round(this.#mean);
    return maxOutputTokens >= 0 ? Math.min(maxOutputTokens, mean) : mean;
  }

  observe(outputTokens: number): void {
    this.#mean += (outputTokens - this.#mean) * GAIN;
  }
}
