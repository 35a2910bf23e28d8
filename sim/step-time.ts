/**
 * How long one step of an engine takes, as a function of what is in the batch.
 *
 *   step = base + prefillTokens / prefillRate + decoding × perSequence + contextTokens × perContextToken
 * @module
 */

export interface StepProfile {
  /** Fixed cost of a step (kernel launches, sampling), ms. */
  readonly baseMs: number;
  /** Prompt tokens a second when a step only prefills. */
  readonly prefillTokensPerSecond: number;
  /** Added by each sequence that decodes, ms. */
  readonly perSequenceMs: number;
  /** Added by each token of context that decoding sequences read, ms. */
  readonly perContextTokenMs: number;
}

export const stepProfiles = {
  /**
   * A 32B model on two H100: 20,480 prompt tokens a second at its peak, some 12 ms between tokens at a small batch
   * (public calibration runs of llm-d and vLLM).
   */
  "h100-32b": {
    baseMs: 11,
    prefillTokensPerSecond: 20_480,
    perSequenceMs: 0.06,
    perContextTokenMs: 1.2e-5,
  },
  /** Slow prefill and small steps: makes placement visible within seconds on a laptop. */
  demo: {
    baseMs: 10,
    prefillTokensPerSecond: 8000,
    perSequenceMs: 0.25,
    perContextTokenMs: 2e-5,
  },
} as const satisfies Record<string, StepProfile>;

export type StepProfileName = keyof typeof stepProfiles;

/** Duration of a step, ms. */
export function stepMs(
  profile: StepProfile,
  prefillTokens: number,
  decoding: number,
  contextTokens: number,
): number {
  return (
    profile.baseMs +
    (prefillTokens / profile.prefillTokensPerSecond) * 1000 +
    decoding * profile.perSequenceMs +
    contextTokens * profile.perContextTokenMs
  );
}
