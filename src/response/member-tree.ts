/**
 * Members of JSON answers that are of interest, as a tree: what is not in it is passed over unread.
 *
 *   usage ─┬─ prompt_tokens, completion_tokens, …       response ─┬─ usage    (Responses API, its events)
 *          └─ prompt_tokens_details ── cached_tokens              └─ model
 *   meta_info ── prompt_tokens, …       (SGLang)        message ── the same   (Anthropic, message_start)
 * @module
 */
import { Told } from "./token-usage.ts";

/** The name of a model, which can be replaced; numbers below it are `Told`. */
export const MODEL = 100;

export interface MemberNode {
  readonly keys: readonly Uint8Array[];
  /** By the position of the key: a node for an object, a number for a leaf. */
  readonly values: readonly (MemberNode | number)[];
}

/** Longest key in the tree, bytes; longer ones need not be kept. */
export const KEY_BYTES_MAX = 32;

function node(members: Readonly<Record<string, MemberNode | number>>): MemberNode {
  return {
    keys: Object.keys(members).map((key) => Buffer.from(key)),
    values: Object.values(members),
  };
}

const DETAILS = node({ cached_tokens: Told.cachedTokens });

const USAGE = node({
  prompt_tokens: Told.promptTokens,
  input_tokens: Told.inputTokens,
  completion_tokens: Told.completionTokens,
  output_tokens: Told.outputTokens,
  total_tokens: Told.totalTokens,
  prompt_tokens_details: DETAILS,
  input_tokens_details: DETAILS,
  cache_read_input_tokens: Told.cacheReadTokens,
  cache_creation_input_tokens: Told.cacheCreationTokens,
});

const ENVELOPE = node({ usage: USAGE, model: MODEL });

/** OpenAI's APIs and Anthropic's, single answers and events alike. */
export const ANSWER = node({ usage: USAGE, model: MODEL, response: ENVELOPE, message: ENVELOPE });

/** SGLang's own API. */
export const SGLANG_ANSWER = node({
  meta_info: node({
    prompt_tokens: Told.promptTokens,
    completion_tokens: Told.completionTokens,
    cached_tokens: Told.cachedTokens,
  }),
});

/** The value below a key of `bytes[0, length)`; undefined = of no interest. */
export function memberOf(
  { keys, values }: MemberNode,
  bytes: Uint8Array,
  length: number,
): MemberNode | number | undefined {
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (key.length !== length) continue;
    let at = 0;
    while (at < length && key[at] === bytes[at]) at++;
    if (at === length) return values[i];
  }
  return undefined;
}
