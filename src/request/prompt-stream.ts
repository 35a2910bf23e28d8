/**
 * The byte stream of one prompt, four bytes a token: written up to a cap (what will be hashed), counted beyond it.
 * @module
 */
import {
  audioTokens,
  defaultMediaEstimate,
  imageDataTokens,
  imageTokens,
  type MediaEstimate,
  videoTokens,
} from "./media-tokens.ts";
import { type WorkArea, workAreaLimits } from "./work-area.ts";

/** `image-data` is an image in bare base64, where `image` is a URL, of data or not. */
export type MediaKind = "image" | "image-data" | "video" | "audio";

/** Stream bytes per byte of JSON at most, media apart: `1,` becomes a token of four bytes. */
const EXPANSION_MAX = 2;
/** Tags and padding of a prompt that is hardly there. */
const FRAME_BYTES_MAX = 64;

export class PromptStream {
  readonly #area: WorkArea;
  #estimate: MediaEstimate = defaultMediaEstimate;
  /** Bytes that may be written, a multiple of 4. */
  #cap = 0;
  /** Bytes of the stream so far, written or not. */
  #length = 0;
  /** Assets met; nobody but the reader of a request's prompts sets it back. */
  mediaItems = 0;
  #textFrom = 0;
  #textTo = 0;

  constructor(area: WorkArea) {
    this.#area = area;
  }

  /** @param cap bytes to write at most, at most `workAreaLimits.streamBytesMax`, a multiple of 4; 0 = only count */
  begin(cap: number, estimate: MediaEstimate): void {
    this.#cap = Math.min(cap, workAreaLimits.streamBytesMax);
    this.#estimate = estimate;
    this.#length = 0;
    this.#reserve();
  }

  /** Bytes of the stream, written or not; padding included once `finish` was called. */
  get byteLength(): number {
    return this.#length;
  }

  /** Tokens of the stream, the last one perhaps short. */
  get tokens(): number {
    return Math.ceil(this.#length / 4);
  }

  /** Pads the last token with zeros. @returns the address behind what was written */
  finish(): number {
    this.#align();
    return this.#area.stream + Math.min(this.#length, this.#cap);
  }

  /** Appends one byte. */
  byte(value: number): void {
    if (this.#length < this.#cap) this.#area.bytes[this.#area.stream + this.#length] = value;
    this.#length++;
  }

  /** Appends the contents of the JSON string value at [start, end), quotes not counted. */
  text(start: number, end: number): void {
    const area = this.#area;
    this.#length +=
      this.#length < this.#cap
        ? area.copyString(start + 1, end - 1, this.#to(), this.#room())
        : area.stringLength(start + 1, end - 1);
  }

  /** Appends the bytes [start, end) as they are. */
  raw(start: number, end: number): void {
    const { bytes } = this.#area;
    const room = this.#room();
    if (room > 0) bytes.copyWithin(this.#to(), start, Math.min(end, start + room));
    this.#length += end - start;
  }

  /** Appends the token ids of the JSON array at p. @returns false, and nothing appended: not all are token ids */
  ids(p: number): boolean {
    const count = this.#area.copyIds(p, this.#to(), this.#room());
    if (count < 0) return false;
    this.#length += count * 4;
    return true;
  }

  /** Makes room for `byteLength` more bytes, as far as they would be written: where bytes of the body become more. */
  reserve(byteLength: number): void {
    const most = this.#length + byteLength + FRAME_BYTES_MAX;
    this.#area.reserveStream(Math.min(this.#cap, most));
  }

  /** Appends one token id, an unsigned integer of 32 bits. */
  id(value: number): void {
    if (this.#length < this.#cap) {
      this.#area.bytes.writeUInt32LE(value, this.#area.stream + this.#length);
    }
    this.#length += 4;
  }

  /** Whether nothing more is written, only counted. */
  get isFull(): boolean {
    return this.#length >= this.#cap;
  }

  /** Counts ids that are not written. To be called when it is full. */
  skipIds(count: number): void {
    this.#length += count * 4;
  }

  /**
   * Writes the hash of the JSON string value at [start, end) over `count` tokens from `offset` on, as far as they are
   * there.
   *
   * @returns number of tokens written
   */
  markText(offset: number, count: number, start: number, end: number): number {
    this.#hashText(start, end);
    const { hi, lo } = this.#area.hasher;
    return this.#mark(offset, count, lo, hi);
  }

  /** The same with the bytes [start, end). */
  markRaw(offset: number, count: number, start: number, end: number): number {
    const { hasher } = this.#area;
    hasher.xxh64(start - hasher.inputAddress, end - hasher.inputAddress);
    return this.#mark(offset, count, hasher.lo, hasher.hi);
  }

  #mark(offset: number, count: number, even: number, odd: number): number {
    const tokens = Math.floor(Math.min(this.#length, this.#cap) / 4);
    const end = Math.min(offset + count, tokens);
    const { bytes, stream } = this.#area;
    for (let i = offset; i < end; i++) {
      bytes.writeUInt32LE(((i - offset) & 1) === 0 ? even : odd, stream + i * 4);
    }
    return Math.max(end - offset, 0);
  }

  /**
   * Appends placeholder tokens for an asset, on a token border: copies of its hash's low half, or of both halves in turn.
   *
   * @param start,end the JSON string value that names or holds the asset
   * @param extra     further bytes of the request that belong to it (audio format)
   */
  media(kind: MediaKind, start: number, end: number, extra: number, bothHalves: boolean): void {
    this.mediaItems++;
    const { hasher } = this.#area;
    this.#hashText(start, end);
    const tokens = this.#mediaTokens(kind, this.#textFrom, this.#textTo, extra);
    this.#align();
    this.#words(tokens, hasher.lo, bothHalves ? hasher.hi : hasher.lo);
  }

  /** Hashes the contents of a JSON string value, which then stand, escapes resolved, at [#textFrom, #textTo). */
  #hashText(start: number, end: number): void {
    const area = this.#area;
    let from = start + 1;
    let to = end - 1;
    const length = area.stringLength(from, to);
    if (length !== to - from) {
      // escapes in it (PHP writes `\/`): hash and size are those of the resolved text
      const scratch = area.scratch(length + 16);
      area.copyString(from, to, scratch, length);
      from = scratch;
      to = scratch + length;
    }
    const { hasher } = area;
    hasher.xxh64(from - hasher.inputAddress, to - hasher.inputAddress);
    this.#textFrom = from;
    this.#textTo = to;
  }

  #mediaTokens(kind: MediaKind, from: number, to: number, extra: number): number {
    switch (kind) {
      case "image":
        return imageTokens(this.#area.bytes, from, to, this.#estimate);
      case "image-data":
        return imageDataTokens(this.#area.bytes, from, to, this.#estimate);
      case "video":
        return videoTokens(this.#estimate);
      case "audio":
        return audioTokens(to - from + extra);
    }
  }

  /** Appends `count` words: even ones, then odd ones, in turn. */
  #words(count: number, even: number, odd: number): void {
    const area = this.#area;
    const written = Math.min(count * 4, this.#room());
    const start = area.stream + this.#length;
    this.#length += count * 4;
    if (written === 0) return;
    this.#reserve();
    const { bytes } = area;
    for (let i = 0; i < written; i += 4) {
      bytes.writeUInt32LE((i & 4) === 0 ? even : odd, start + i);
    }
  }

  #align(): void {
    while ((this.#length & 3) !== 0) this.byte(0);
  }

  /** Makes room for all that the body may still give, media apart, as far as it would be written. */
  #reserve(): void {
    const { body, bodyEnd } = this.#area;
    const most = this.#length + (bodyEnd - body) * EXPANSION_MAX + FRAME_BYTES_MAX;
    this.#area.reserveStream(Math.min(this.#cap, most));
  }

  #to(): number {
    return this.#area.stream + Math.min(this.#length, this.#cap);
  }

  #room(): number {
    return Math.max(this.#cap - this.#length, 0);
  }
}
