/**
 * Bodies that both ends of a load run can make from a seed, so that every byte can be checked without being stored.
 * @module
 */
import { createHash } from "node:crypto";

/** Hexadecimal text of a given length, different for each seed. */
export function seededText(seed: number, length: number): string {
  // xorshift32; the constant keeps seed 0 from staying 0.
  let state = (seed ^ 0x9e3779b9) | 0 || 1;
  const words: string[] = [];
  for (let have = 0; have < length; have += 8) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words.push((state >>> 0).toString(16).padStart(8, "0"));
  }
  return words.join("").slice(0, length);
}

/** An OpenAI completions request. */
export function requestBody(seed: number, promptLength: number, stream: boolean): Buffer {
  return Buffer.from(
    JSON.stringify({
      model: "base",
      stream,
      max_tokens: 1 + (seed % 64),
      prompt: seededText(seed, promptLength),
    }),
  );
}

/** The pieces in which a response is written: one JSON document, or server-sent events. */
export function responsePieces(seed: number, textLength: number, stream: boolean): Buffer[] {
  const text = seededText(~seed, textLength);
  if (!stream) {
    return [
      Buffer.from(
        JSON.stringify({
          object: "text_completion",
          model: "base",
          choices: [{ index: 0, text, finish_reason: "stop" }],
          usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
        }),
      ),
    ];
  }
  const pieces: Buffer[] = [];
  const step = Math.max(1, Math.ceil(text.length / 10));
  for (let at = 0; at < text.length; at += step) {
    const event = { object: "text_completion", choices: [{ text: text.slice(at, at + step) }] };
    pieces.push(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
  }
  pieces.push(Buffer.from("data: [DONE]\n\n"));
  return pieces;
}

/** Hexadecimal SHA-256 of the pieces in order. */
export function sha256(pieces: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}
