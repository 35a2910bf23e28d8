/**
 * gRPC message framing: one byte of flags, four of length (big-endian), the message.
 *
 *   chunk 1  [flag len message A][flag len mess      A lies in one chunk: handed out as a view of it
 *   chunk 2  age B]                                  B is cut: gathered into a buffer of exactly its size
 *
 *   message C = head │ run …… │ tail                 C is cut, and has a run that is long: the run stays in pieces,
 *                                                    head and tail are gathered; whose run it is knows `findRun`
 *
 * Invariant: when next() has said false, the reader holds no chunk any more, only a prefix and a message that are cut.
 * @module
 */
import { ByteParts } from "./byte-parts.ts";
import type { Writer } from "./wire.ts";

const PREFIX_BYTES = 5;
/**
 * A cut message gets room for this many times what has come of it, and never more than its length: a length that lies
 * costs the sender a quarter of what it costs us, and messages up to 64 KiB that begin with a full HTTP/2 frame
 * (16 KiB) are copied once.
 */
const RESERVE_FACTOR = 4;
const RESERVE_BYTES_MIN = 512;
const EMPTY: Uint8Array = new Uint8Array(0);
/** Shorter messages are not worth a search. */
const RUN_MESSAGE_BYTES_MIN = 4096;

/** Where a message has a long run of bytes that nobody looks into: message[start, start + length). */
export interface Run {
  start: number;
  length: number;
}

/**
 * Finds the run of a message from its beginning.
 *
 * @param bytes what has come of the message: bytes[start, end)
 * @param expected length of the whole message
 * @param run filled when there is one; `run.start + run.length` is at most `expected`
 */
export type FindRun = (
  bytes: Uint8Array,
  start: number,
  end: number,
  expected: number,
  run: Run,
) => boolean;

/** Appends the five bytes in front of an uncompressed message. @param messageLength bytes, below 2^32 */
export function writeGrpcFramePrefix(w: Writer, messageLength: number): void {
  w.reserve(PREFIX_BYTES);
  const { bytes, length } = w;
  bytes[length] = 0;
  bytes[length + 1] = messageLength >>> 24;
  bytes[length + 2] = messageLength >>> 16;
  bytes[length + 3] = messageLength >>> 8;
  bytes[length + 4] = messageLength;
  w.length = length + PREFIX_BYTES;
}

/**
 * Splits a stream of bytes into messages.
 *
 * @example
 * frames.push(chunk);
 * while (frames.next()) handle(frames.bytes, frames.start, frames.end);
 * if (frames.error !== null) refuse();
 */
export class GrpcFrameReader {
  /**
   * The message that next() found: bytes[start, end). Its memory is the chunk's or its own, and never written again;
   * the fields themselves hold until the next call.
   */
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  /**
   * Length of the message's run, which is in `parts`; bytes[start, end) is then the message without it, and the run
   * belongs `runAt` bytes behind `start`. 0 = the message is whole.
   */
  runLength = 0;
  runAt = 0;
  /** Pieces of the run; to be taken over before the next call. */
  readonly parts = new ByteParts();
  /** The message is compressed, with what `grpc-encoding` says. */
  compressed = false;
  /** A message is longer than allowed; nothing is found any more until reset(). */
  error: "too-large" | null = null;
  readonly #messageBytesMax: number;
  readonly #findRun: FindRun | null;
  readonly #run: Run = { start: 0, length: 0 };
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixFill = 0;
  /** Length of the message whose prefix is complete. */
  #expected = 0;
  /** The message that is cut, and how much of it is there. */
  #partial: Uint8Array = EMPTY;
  #partialFill = 0;

  /** @param maxMessageBytes longest message that is accepted, without its prefix */
  constructor(maxMessageBytes: number, findRun: FindRun | null = null) {
    this.#messageBytesMax = maxMessageBytes;
    this.#findRun = findRun;
  }

  /** Bytes taken in that belong to no message handed out. */
  get pendingBytes(): number {
    const gathered = this.#partialFill + this.parts.byteLength;
    return this.#prefixFill + gathered + (this.#chunk.length - this.#at);
  }

  /** Takes the next bytes, which nobody may write any more; after an error they are of no use. */
  push(chunk: Uint8Array): void {
    if (this.error !== null) return;
    // Who calls next() until it says false leaves nothing; what another leaves must not be lost.
    const rest = this.#chunk.length - this.#at;
    this.#chunk = rest === 0 ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** Finds the next complete message. @returns false when it has not all come, or after an error */
  next(): boolean {
    if (this.error !== null) return false;
    if (this.runLength > 0) this.#forgetRun();
    const isFound = (this.#prefixFill === PREFIX_BYTES || this.#readPrefix()) && this.#take();
    if (!isFound) this.bytes = EMPTY;
    // An idle stream must not keep a chunk alive: it may be a slice of much more.
    if (this.#at === this.#chunk.length) {
      this.#chunk = EMPTY;
      this.#at = 0;
    }
    return isFound;
  }

  /** Forgets everything, errors too. */
  reset(): void {
    this.#chunk = EMPTY;
    this.#at = 0;
    this.#prefixFill = 0;
    this.#partial = EMPTY;
    this.#partialFill = 0;
    this.#forgetRun();
    this.bytes = EMPTY;
    this.error = null;
  }

  #forgetRun(): void {
    this.parts.clear();
    this.#run.length = 0;
    this.runLength = 0;
  }

  #readPrefix(): boolean {
    const chunk = this.#chunk;
    const prefix = this.#prefix;
    while (this.#prefixFill < PREFIX_BYTES) {
      if (this.#at === chunk.length) return false;
      prefix[this.#prefixFill++] = chunk[this.#at++]!;
    }
    this.compressed = prefix[0] !== 0;
    this.#expected =
      ((prefix[1]! << 24) | (prefix[2]! << 16) | (prefix[3]! << 8) | prefix[4]!) >>> 0;
    if (this.#expected <= this.#messageBytesMax) return true;
    this.error = "too-large";
    this.#chunk = EMPTY;
    this.#at = 0;
    return false;
  }

  #take(): boolean {
    const chunk = this.#chunk;
    const left = chunk.length - this.#at;
    if (this.#partialFill === 0 && left >= this.#expected) {
      this.bytes = chunk;
      this.start = this.#at;
      this.end = this.#at + this.#expected;
      this.#at = this.end;
      this.#prefixFill = 0;
      return true;
    }
    if (this.#partialFill === 0 && this.#run.length === 0) this.#lookForRun(chunk);
    const { start, length } = this.#run;
    if (this.parts.byteLength < length) {
      this.#gather(start - this.#partialFill);
      if (this.#partialFill === start) this.#takeRun(length);
      if (this.parts.byteLength < length) return false;
    }
    const wanted = this.#expected - length;
    this.#gather(wanted - this.#partialFill);
    if (this.#partialFill < wanted) return false;
    this.bytes = this.#partial;
    this.start = 0;
    this.end = wanted;
    this.runLength = length;
    this.runAt = start;
    this.#partial = EMPTY;
    this.#partialFill = 0;
    this.#prefixFill = 0;
    return true;
  }

  /** Looked for once, when a message begins: who sends it in crumbs gets it gathered. */
  #lookForRun(chunk: Uint8Array): void {
    if (this.#findRun === null || this.compressed || this.#expected < RUN_MESSAGE_BYTES_MIN) return;
    const isFound = this.#findRun(chunk, this.#at, chunk.length, this.#expected, this.#run);
    if (!isFound) this.#run.length = 0;
  }

  #takeRun(length: number): void {
    const chunk = this.#chunk;
    const at = this.#at;
    const count = Math.min(length - this.parts.byteLength, chunk.length - at);
    this.parts.add(chunk.subarray(at, at + count));
    this.#at = at + count;
  }

  /** Copies the next bytes of the chunk behind what is gathered. */
  #gather(most: number): void {
    const chunk = this.#chunk;
    const count = Math.min(most, chunk.length - this.#at);
    if (count === 0) return;
    this.#reserve(this.#partialFill + count);
    this.#partial.set(chunk.subarray(this.#at, this.#at + count), this.#partialFill);
    this.#at += count;
    this.#partialFill += count;
  }

  #reserve(byteLength: number): void {
    if (byteLength <= this.#partial.length) return;
    const size = Math.max(byteLength * RESERVE_FACTOR, RESERVE_BYTES_MIN);
    // Not from the pool: the message may be kept, and would keep the pool's block with it.
    const grown = Buffer.allocUnsafeSlow(Math.min(size, this.#expected - this.#run.length));
    grown.set(this.#partial.subarray(0, this.#partialFill));
    this.#partial = grown;
  }
}
