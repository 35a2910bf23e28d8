/**
 * From an OpenAI request to what the engine needs: tokens (4 bytes each) and chained block hashes of the prompt's text. The
 * hashes are the engine's own; nothing outside knows them.
 * @module
 */

export interface PromptFacts {
  readonly tokens: number;
  readonly blockHashes: Float64Array;
}

const BYTES_PER_TOKEN = 4;
const encoder = new TextEncoder();

interface Message {
  readonly role?: unknown;
  readonly content?: unknown;
}

/** The text that the model would see: roles and contents in order. @throws TypeError on a shape that is no chat */
export function chatText(messages: unknown): string {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new TypeError("messages must be a non-empty array");
  }
  let text = "";
  for (const { role, content } of messages as Message[]) {
    text += `<|${String(role)}|>`;
    if (typeof content === "string") text += content;
    else if (Array.isArray(content)) {
      for (const part of content as { text?: unknown }[]) {
        text += typeof part.text === "string" ? part.text : JSON.stringify(part);
      }
    } else if (content !== null && content !== undefined) {
      throw new TypeError("content must be a string or an array of parts");
    }
  }
  return text;
}

/** The text of a completion's prompt. @throws TypeError */
export function completionText(prompt: unknown): string {
  if (typeof prompt === "string" && prompt !== "") return prompt;
  if (Array.isArray(prompt) && prompt.length > 0) return prompt.map(String).join(" ");
  throw new TypeError("prompt must be a non-empty string or array");
}

/**
 * @param adapter part of the first hash: adapters do not share cache
 * @param blockSizeTokens tokens per block; only full blocks are hashed
 */
export function promptFacts(
  text: string,
  adapter: string | null,
  blockSizeTokens: number,
): PromptFacts {
  const bytes = encoder.encode(text);
  const tokens = Math.max(1, Math.ceil(bytes.length / BYTES_PER_TOKEN));
  const blockBytes = blockSizeTokens * BYTES_PER_TOKEN;
  const blockHashes = new Float64Array(Math.floor(bytes.length / blockBytes));
  let lo = 0x811c9dc5;
  let hi = 0x9747b28c;
  const mix = (byte: number): void => {
    lo = Math.imul(lo ^ byte, 0x01000193);
    hi = Math.imul(hi ^ byte ^ 0x5c, 0x01000193);
  };
  for (const byte of encoder.encode(adapter ?? "")) mix(byte);
  for (let block = 0; block < blockHashes.length; block++) {
    const end = (block + 1) * blockBytes;
    for (let i = block * blockBytes; i < end; i++) mix(bytes[i]!);
    blockHashes[block] = (hi >>> 11) * 0x1_0000_0000 + (lo >>> 0); // 53 bits
  }
  return { tokens, blockHashes };
}
