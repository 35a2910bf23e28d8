/**
 * Replies of an ext_proc stream, cut anywhere, to what a load generator wants to know of them: which reply it is and how
 * many body bytes it brings back. No more than the head of a message is kept.
 * @module
 */
import type { ReplyKind } from "./ext-proc-messages.ts";

export interface ScannedReply {
  /** Null when the message begins with nothing that is known. */
  readonly kind: ReplyKind | null;
  /** Of a streamed body; 0 for other replies. */
  readonly bodyBytes: number;
}

/** By number of the member of ProcessingResponse's oneof. */
const KINDS: readonly (ReplyKind | null)[] = [
  null,
  "requestHeaders",
  "responseHeaders",
  "requestBody",
  "responseBody",
  "requestTrailers",
  "responseTrailers",
  "immediateResponse",
];
const PREFIX_BYTES = 5;
/** Prefix, five nested fields with their lengths, and the end flag. */
const HEAD_BYTES = 48;
/** Tags on the way to a streamed body: CommonResponse, body_mutation, streamed_response. */
const BODY_PATH = [0x0a, 0x1a, 0x1a] as const;
const BODY_TAG = 0x0a;
const END_FLAG_TAG = 0x10;

export class ReplyScan {
  readonly #onReply: (reply: ScannedReply) => void;
  readonly #head: Buffer = Buffer.alloc(HEAD_BYTES);
  #filled = 0;
  /** Bytes of the message still to come. */
  #left = 0;
  #at = 0;

  constructor(onReply: (reply: ScannedReply) => void) {
    this.#onReply = onReply;
  }

  push(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const isPrefix = this.#filled < PREFIX_BYTES;
      const take = Math.min(isPrefix ? PREFIX_BYTES - this.#filled : this.#left, end - at);
      const kept = Math.min(take, HEAD_BYTES - this.#filled);
      bytes.copy(this.#head, this.#filled, at, at + kept);
      this.#filled += kept;
      at += take;
      if (!isPrefix) this.#left -= take;
      else if (this.#filled === PREFIX_BYTES) this.#left = this.#head.readUInt32BE(1);
      if (this.#filled >= PREFIX_BYTES && this.#left === 0) this.#deliver();
    }
  }

  #deliver(): void {
    const head = this.#head.fill(0, this.#filled);
    this.#filled = 0;
    const kind = KINDS[head[PREFIX_BYTES]! >> 3] ?? null;
    const hasBody = kind === "requestBody" || kind === "responseBody";
    this.#onReply({ kind, bodyBytes: hasBody ? this.#bodyBytes() : 0 });
  }

  #bodyBytes(): number {
    const head = this.#head;
    this.#at = PREFIX_BYTES + 1;
    this.#varint();
    for (const tag of BODY_PATH) {
      if (head[this.#at++] !== tag) return 0;
      this.#varint();
    }
    if (head[this.#at] === END_FLAG_TAG) this.#at += 2;
    return head[this.#at++] === BODY_TAG ? this.#varint() : 0;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#head[this.#at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }
}
