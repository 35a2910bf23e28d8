/**
 * What a chat or completions request asks for, read from its body.
 * @module
 */
import type { Api } from "./answers.ts";
import { chatPrompt, completionPrompt } from "./prompt.ts";
import { badRequest, shown } from "./refusal.ts";

/** Tokens of an answer when the request does not say: the default of the completions API, here of chat too. */
export const OUTPUT_TOKENS_DEFAULT = 16;
/** Longest answer, tokens: bounds the text that is held for one. */
export const OUTPUT_TOKENS_MAX = 100_000;

export interface Generation {
  /** As the client wrote it. */
  readonly model: string;
  /** Bytes of the prompt, see `promptFacts`. */
  readonly prompt: Uint8Array;
  readonly cacheSalt: string;
  /** 1 .. OUTPUT_TOKENS_MAX */
  readonly outputTokens: number;
  readonly streams: boolean;
  /** Of a streamed answer: ends with an event of its usage. */
  readonly includeUsage: boolean;
}

/** @throws {Refusal} 400 */
export function readGeneration(api: Api, body: Record<string, unknown>): Generation {
  const { model } = body;
  if (typeof model !== "string") throw badRequest(`model must be a string, got ${shown(model)}`);
  const streams = body["stream"] ?? false;
  if (typeof streams !== "boolean") {
    throw badRequest(`stream must be a boolean, got ${shown(streams)}`);
  }
  const cacheSalt = body["cache_salt"] ?? "";
  if (typeof cacheSalt !== "string") {
    throw badRequest(`cache_salt must be a string, got ${shown(cacheSalt)}`);
  }
  if ((body["n"] ?? 1) !== 1) throw badRequest("n other than 1 is not emulated");
  return {
    model,
    prompt:
      api === "chat"
        ? chatPrompt(body["messages"], body["tools"])
        : completionPrompt(body["prompt"]),
    cacheSalt,
    outputTokens: outputTokensOf(body),
    streams,
    includeUsage: includesUsage(body["stream_options"], streams),
  };
}

function outputTokensOf(body: Record<string, unknown>): number {
  const value = body["max_completion_tokens"] ?? body["max_tokens"] ?? OUTPUT_TOKENS_DEFAULT;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1) {
    throw badRequest(`max_tokens must be at least 1, got ${shown(value)}`);
  }
  if (value > OUTPUT_TOKENS_MAX) {
    throw badRequest(`max_tokens must be at most ${OUTPUT_TOKENS_MAX}, got ${value}`);
  }
  return value;
}

function includesUsage(options: unknown, streams: boolean): boolean {
  if (options === undefined || options === null) return false;
  if (typeof options !== "object") {
    throw badRequest(`stream_options must be an object, got ${shown(options)}`);
  }
  if (!streams) throw badRequest("stream_options need stream: true");
  return (options as Record<string, unknown>)["include_usage"] === true;
}
