/**
 * What an answer has told of its tokens, as the members were called there, and what that comes to.
 * @module
 */
import type { UsageFormat } from "../request/parsers/parser.ts";

/** Members that tell tokens. */
export const Told = {
  promptTokens: 0,
  inputTokens: 1,
  completionTokens: 2,
  outputTokens: 3,
  totalTokens: 4,
  /** Of the prompt, in `prompt_tokens_details`, `input_tokens_details` or beside it. */
  cachedTokens: 5,
  /** Anthropic's two: its `input_tokens` counts neither. */
  cacheReadTokens: 6,
  cacheCreationTokens: 7,
} as const;
export type Told = (typeof Told)[keyof typeof Told];

const MEMBERS = 8;
const ABSENT = -1;

/** Tokens of one exchange; 0 = not told. */
export interface TokenTotals {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  /** -1 = not told. */
  readonly cachedTokens: number;
}

export class TokenUsage {
  readonly #told = new Float64Array(MEMBERS).fill(ABSENT);

  /** Takes a member; answers tell some several times, and a later zero does not undo what was told before. */
  set(member: Told, value: number): void {
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) return;
    if (value > 0 || this.#told[member] === ABSENT) this.#told[member] = Math.trunc(value);
  }

  totals(kind: UsageFormat): TokenTotals {
    const completionTokens = this.#first(Told.completionTokens, Told.outputTokens);
    if (kind === "anthropic") {
      const cached = this.#told[Told.cacheReadTokens]!;
      const created = Math.max(0, this.#told[Told.cacheCreationTokens]!);
      const input = this.#first(Told.inputTokens, Told.promptTokens);
      const promptTokens = input + Math.max(0, cached) + created;
      const totalTokens = promptTokens + completionTokens;
      return { promptTokens, completionTokens, totalTokens, cachedTokens: cached };
    }
    const promptTokens = this.#first(Told.promptTokens, Told.inputTokens);
    const total = this.#told[Told.totalTokens]!;
    return {
      promptTokens,
      completionTokens,
      totalTokens: total > 0 ? total : promptTokens + completionTokens,
      cachedTokens: this.#told[Told.cachedTokens]!,
    };
  }

  /** The first one that says more than nothing. */
  #first(a: Told, b: Told): number {
    const value = this.#told[a]!;
    return value > 0 ? value : Math.max(0, this.#told[b]!);
  }
}
