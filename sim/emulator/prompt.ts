/**
 * From an OpenAI request to what the engine needs: tokens and chained block hashes of the prompt. Text is 4 bytes a token; a
 * token id is its 4 bytes. The hashes are the engine's own; nothing outside knows them.
 * @module
 */
import { badRequest, jsonOf, shown } from "./refusal.ts";

export interface PromptFacts {
  readonly tokens: number;
  readonly blockHashes: Float64Array;
}

const BYTES_PER_TOKEN = 4;
const TOKEN_ID_MAX = 0xffff_ffff;
/** Ends each root of a hash; no byte of UTF-8. */
const END_OF_ROOT = 0xff;
const encoder = new TextEncoder();

/**
 * The text that a chat template would make: tools first, then roles and contents in order.
 *
 * @throws {Refusal} on a shape that is no chat
 */
export function chatPrompt(messages: unknown, tools: unknown): Uint8Array {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw badRequest("messages must be a non-empty array");
  }
  let text = "";
  if (tools !== undefined && tools !== null) {
    if (!Array.isArray(tools)) throw badRequest(`tools must be an array, got ${shown(tools)}`);
    if (tools.length > 0) text += `<|tools|>${jsonOf(tools)}`;
  }
  for (const message of messages) text += messageText(message);
  return encoder.encode(text);
}

function messageText(message: unknown): string {
  const { content, role, tool_calls: toolCalls } = objectOf(message, "message");
  if (typeof role !== "string") throw badRequest(`role must be a string, got ${shown(role)}`);
  let text = `<|${role}|>`;
  if (typeof content === "string") text += content;
  else if (Array.isArray(content)) {
    for (const part of content) text += partText(objectOf(part, "content part"));
  } else if (content !== null && content !== undefined) {
    throw badRequest(`content must be a string or an array of parts, got ${shown(content)}`);
  }
  if (toolCalls !== undefined && toolCalls !== null) text += jsonOf(toolCalls);
  return text;
}

/** Other parts than text (images, audio) count as their JSON. */
function partText(part: Record<string, unknown>): string {
  return typeof part["text"] === "string" ? part["text"] : jsonOf(part);
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw badRequest(`${what} must be an object, got ${shown(value)}`);
}

/**
 * The prompt of a completion: a text, token ids, or a list with one of them.
 *
 * @throws {Refusal} on another shape, and on a list of several prompts
 */
export function completionPrompt(prompt: unknown): Uint8Array {
  if (typeof prompt === "string" && prompt !== "") return encoder.encode(prompt);
  if (Array.isArray(prompt) && prompt.length > 0) {
    if (typeof prompt[0] === "number") return tokenIdBytes(prompt);
    if (prompt.length > 1) throw badRequest("a list of several prompts is not emulated");
    if (!Array.isArray(prompt[0]) || typeof prompt[0][0] === "number") {
      return completionPrompt(prompt[0]);
    }
  }
  throw badRequest(`prompt must be a non-empty string or token ids, got ${shown(prompt)}`);
}

function tokenIdBytes(ids: readonly unknown[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(ids.length * BYTES_PER_TOKEN));
  ids.forEach((id, i) => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > TOKEN_ID_MAX) {
      throw badRequest(`a token id must be an integer >= 0, got ${shown(id)}`);
    }
    bytes.setUint32(i * BYTES_PER_TOKEN, id, true);
  });
  return new Uint8Array(bytes.buffer);
}

/** What keeps equal prompts apart. */
export interface HashRoot {
  /** Adapters do not share cache. */
  readonly adapter: string | null;
  /** Requests with different salts do not either. */
  readonly cacheSalt: string;
}

/** @param blockSizeTokens tokens per block; only full blocks are hashed */
export function promptFacts(
  bytes: Uint8Array,
  { adapter, cacheSalt }: HashRoot,
  blockSizeTokens: number,
): PromptFacts {
  const tokens = Math.max(1, Math.ceil(bytes.length / BYTES_PER_TOKEN));
  const blockBytes = blockSizeTokens * BYTES_PER_TOKEN;
  const blockHashes = new Float64Array(Math.floor(bytes.length / blockBytes));
  // Two FNV-1a of 32 bits that differ in their start.
  let lo = 0x811c9dc5;
  let hi = 0x9747b28c;
  const mix = (byte: number): void => {
    lo = Math.imul(lo ^ byte, 0x01000193);
    hi = Math.imul(hi ^ byte ^ 0x5c, 0x01000193);
  };
  for (const root of [adapter ?? "", cacheSalt]) {
    for (const byte of encoder.encode(root)) mix(byte);
    mix(END_OF_ROOT);
  }
  for (let block = 0; block < blockHashes.length; block++) {
    const end = (block + 1) * blockBytes;
    for (let i = block * blockBytes; i < end; i++) mix(bytes[i]!);
    blockHashes[block] = (hi >>> 11) * 0x1_0000_0000 + (lo >>> 0); // 53 bits
  }
  return { tokens, blockHashes };
}
