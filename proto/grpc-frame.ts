/**
 * gRPC message framing: one byte of flags, four of length, the message.
 *
 *   chunk 1  [flag len message A][flag len mess      A lies in one chunk: handed out as a view
 *   chunk 2  age B]                                  B is cut: gathered into a buffer of exactly its size
 * @module
 */
import type { Writer } from "./wire.ts";

const PREFIX_BYTES = 5;
/** Reserved for a cut message before its bytes have come; most fit. */
const FIRST_RESERVE_BYTES = 64 * 1024;
const EMPTY: Uint8Array = new Uint8Array(0);

/** Appends the five bytes in front of a message. */
export function writeGrpcFramePrefix(w: Writer, messageLength: number): void {
  w.reserve(PREFIX_BYTES);
  const { bytes } = w;
  const at = w.length;
  bytes[at] = 0;
  bytes[at + 1] = messageLength >>> 24;
  bytes[at + 2] = messageLength >>> 16;
  bytes[at + 3] = messageLength >>> 8;
  bytes[at + 4] = messageLength;
  w.length = at + PREFIX_BYTES;
}

/** Splits a byte stream into messages. */
export class GrpcFrameReader {
  /** The message found by next(): bytes[start, end). Stays valid: its memory is never reused. */
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  compressed = false;
  error: "too-large" | null = null;
  readonly #messageBytesMax: number;
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixFill = 0;
  /** Message that is cut, and how much of it is there. Grows as bytes come: a lied length reserves little. */
  #partial: Uint8Array = EMPTY;
  #partialFill = 0;
  #expected = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Bytes held that belong to no complete message. */
  get pendingBytes(): number {
    return this.#prefixFill + this.#partialFill + (this.#chunk.length - this.#at);
  }

  /** Gives the next bytes; call next() until it says false before giving more. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Finds the next complete message. */
  next(): boolean {
    if (this.error !== null) return false;
    const chunk = this.#chunk;
    if (this.#expected === 0 || this.#prefixFill < PREFIX_BYTES) {
      if (!this.#readPrefix(chunk)) return false;
      const left = chunk.length - this.#at;
      if (left >= this.#expected) {
        this.bytes = chunk;
        this.start = this.#at;
        this.end = this.#at + this.#expected;
        this.#at = this.end;
        this.#prefixFill = 0;
        return true;
      }
    }
    return this.#gather(chunk);
  }

  /** Forgets everything. */
  reset(): void {
    this.#chunk = EMPTY;
    this.#at = 0;
    this.#prefixFill = 0;
    this.#partial = EMPTY;
    this.#partialFill = 0;
    this.bytes = EMPTY;
  }

  #readPrefix(chunk: Uint8Array): boolean {
    while (this.#prefixFill < PREFIX_BYTES) {
      if (this.#at >= chunk.length) return false;
      this.#prefix[this.#prefixFill++] = chunk[this.#at++]!;
    }
    const prefix = this.#prefix;
    this.compressed = prefix[0] !== 0;
    this.#expected =
      prefix[1]! * 0x1000000 + ((prefix[2]! << 16) | (prefix[3]! << 8) | prefix[4]!);
    if (this.#expected > this.#messageBytesMax) {
      this.error = "too-large";
      return false;
    }
    return true;
  }

  #gather(chunk: Uint8Array): boolean {
    const take = Math.min(this.#expected - this.#partialFill, chunk.length - this.#at);
    if (take > 0) {
      this.#reserve(this.#partialFill + take);
      this.#partial.set(chunk.subarray(this.#at, this.#at + take), this.#partialFill);
      this.#at += take;
      this.#partialFill += take;
    }
    if (this.#partialFill < this.#expected) return false;
    this.bytes = this.#partial;
    this.start = 0;
    this.end = this.#expected;
    this.#partial = EMPTY;
    this.#partialFill = 0;
    this.#prefixFill = 0;
    return true;
  }

  #reserve(byteLength: number): void {
    if (byteLength <= this.#partial.length) return;
    const size = Math.min(
      this.#expected,
      Math.max(byteLength, this.#partial.length * 2, FIRST_RESERVE_BYTES),
    );
    const grown = new Uint8Array(size);
    grown.set(this.#partial.subarray(0, this.#partialFill));
    this.#partial = grown;
  }
}
