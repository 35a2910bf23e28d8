/**
 * The memory in which one request body is looked at: the body's bytes, the token stream made from them, and the functions
 * that work on both in WebAssembly. Reused from request to request; copying a body in costs less than any other pass.
 *
 *   address   BRACKETS        BODY                          stream
 *             ├ open brackets ┤ body … │ 64 zero bytes ┤ ├ stream … │ 64 ┤ scratch … ┤
 *                               └ 0 is not JSON: it ends every scan         └ names, unescaped URLs; short-lived
 *
 * All positions here are addresses in `bytes`. Those in the body do not move when memory grows.
 * @module
 */
import { isUtf8 } from "node:buffer";
import {
  BlockHasher,
  blockHashLimits,
  compileWasm,
  instantiateWasm,
} from "../../scheduler/index.ts";
import { jsonWasm } from "./json-wasm.ts";
import type { KeyTable } from "./key-table.ts";

export const workAreaLimits = {
  /** Body that can be looked at, bytes; a quarter of the memory, since stream and scratch need room too. */
  bodyBytesMax: blockHashLimits.inputBytesMax / 4,
  /** Token stream of one prompt, bytes: 4 Mi tokens, above any context window. */
  streamBytesMax: 16 * 1024 * 1024,
  /** Memory kept for the next request, bytes; more is given back when it has not been needed for a while. */
  keptBytesMax: 16 * 1024 * 1024,
  /** Nesting below the top-level object, as in Go's encoding/json. */
  depthMax: 10_000,
} as const;

/** Loads in a row that would have fitted the kept memory, before more memory than that is given back. */
const SMALL_LOADS_MAX = 256;
const PAD_BYTES = 64;

/** Bytes with a meaning in JSON. */
export const Byte = {
  Quote: 0x22,
  Comma: 0x2c,
  Minus: 0x2d,
  Zero: 0x30,
  Nine: 0x39,
  Colon: 0x3a,
  OpenBracket: 0x5b,
  CloseBracket: 0x5d,
  LetterN: 0x6e,
  LetterT: 0x74,
  OpenBrace: 0x7b,
  CloseBrace: 0x7d,
  Space: 0x20,
} as const;

interface JsonExports {
  skip_space(p: number): number;
  skip_string(p: number): number;
  skip_value(p: number, stack: number): number;
  copy_string(src: number, end: number, dst: number, dstEnd: number): number;
  copy_ids(p: number, dst: number, dstEnd: number): number;
}

/** What `skipValue` and `collect` give instead of an address when nesting is too deep. */
export const TOO_DEEP = -0x8000_0000;

const module = compileWasm(jsonWasm);

/** A body as it came: one run of bytes, or its pieces in order. */
export type BodyBytes = Uint8Array | readonly Uint8Array[];

/** Length of a body over all its pieces. */
export function bodyLength(body: BodyBytes): number {
  if (body instanceof Uint8Array) return body.length;
  let length = 0;
  for (const piece of body) length += piece.length;
  return length;
}

export class WorkArea {
  /** The whole memory; replaced when it grows. A Buffer for its string conversions. */
  bytes: Buffer;
  /** First byte of the body. */
  readonly body: number;
  /** Behind the last byte of the body. */
  bodyEnd: number;
  /** Behind the room for the token stream. */
  streamEnd: number;
  #hasher: BlockHasher;
  #json: JsonExports;
  readonly #brackets: number;
  #stream: number;
  #loaded: BodyBytes | null = null;
  #smallLoads = 0;

  constructor() {
    this.#hasher = new BlockHasher();
    this.#json = instantiateWasm<JsonExports>(module, this.#hasher.memory);
    this.bytes = Buffer.from(this.#hasher.memory.buffer);
    this.#brackets = this.#hasher.inputAddress;
    this.body = this.#brackets + workAreaLimits.depthMax;
    this.bodyEnd = this.body;
    this.#stream = this.body + PAD_BYTES;
    this.streamEnd = this.#stream;
  }

  /** First byte of the token stream. */
  get stream(): number {
    return this.#stream;
  }

  get hasher(): BlockHasher {
    return this.#hasher;
  }

  /** Copies a body in unless it is there. @returns false: it is larger than `bodyBytesMax` */
  load(body: BodyBytes): boolean {
    if (this.#loaded === body) return true;
    const length = bodyLength(body);
    if (length > workAreaLimits.bodyBytesMax) return false;
    this.#shrink(length);
    this.bodyEnd = this.body + length;
    this.#stream = this.bodyEnd + PAD_BYTES;
    this.streamEnd = this.#stream;
    this.#grow(this.#stream);
    this.#copyIn(body);
    this.bytes.fill(0, this.bodyEnd, this.#stream);
    this.#loaded = body;
    return true;
  }

  /** Makes the part [start, end) of the body all that there is of it, until another is loaded. */
  narrow(start: number, end: number): void {
    const { body, bytes } = this;
    bytes.copyWithin(body, start, end);
    this.bodyEnd = body + end - start;
    bytes.fill(0, this.bodyEnd, this.bodyEnd + PAD_BYTES);
  }

  #copyIn(body: BodyBytes): void {
    if (body instanceof Uint8Array) {
      this.bytes.set(body, this.body);
      return;
    }
    let at = this.body;
    for (const piece of body) {
      this.bytes.set(piece, at);
      at += piece.length;
    }
  }

  /** Whether the body is UTF-8. */
  get isUtf8(): boolean {
    return isUtf8(this.bytes.subarray(this.body, this.bodyEnd));
  }

  /** Forgets the body, so that its memory is not held. */
  unload(): void {
    this.#loaded = null;
  }

  /**
   * Replaces every byte of the body that no UTF-8 text contains by one that is at least no lead byte, so that tags of the
   * prompt format can not be forged by a broken body.
   */
  maskStrayBytes(firstStray: number): void {
    const { bytes, bodyEnd } = this;
    for (let p = this.body; p < bodyEnd; p++) if (bytes[p]! >= firstStray) bytes[p] = 0x80;
  }

  /** Makes room for a token stream of `byteLength` bytes; what is in it stays. */
  reserveStream(byteLength: number): void {
    const end = this.#stream + byteLength;
    if (end <= this.streamEnd) return;
    this.#grow(end + PAD_BYTES);
    this.streamEnd = end;
  }

  /** Address of `byteLength` bytes for short-lived use; gone with the next `reserveStream`. */
  scratch(byteLength: number): number {
    const start = this.streamEnd + PAD_BYTES;
    this.#grow(start + byteLength + PAD_BYTES);
    return start;
  }

  /** First address from p on that holds no white space. */
  skipSpace(p: number): number {
    return this.bytes[p]! > Byte.Space ? p : this.#json.skip_space(p);
  }

  /** Address behind the value at p, or the complement of the address where it is wrong, or `TOO_DEEP`. */
  skipValue(p: number): number {
    return this.#json.skip_value(p, this.#brackets);
  }

  /**
   * Finds the members of the object at p that a table names; of repeated ones the last, as JSON parsers do.
   *
   * @param ranges  2 × table.size: address of each value's first byte and behind its last, -1 when it is missing
   * @returns       as `skipValue`
   */
  collect(p: number, table: KeyTable, ranges: Int32Array): number {
    const json = this.#json;
    const { bytes } = this;
    ranges.fill(-1);
    let at = this.skipSpace(p + 1);
    if (bytes[at] === Byte.CloseBrace) return at + 1;
    for (;;) {
      if (bytes[at] !== Byte.Quote) return ~at;
      const nameEnd = json.skip_string(at + 1);
      if (nameEnd < 0) return nameEnd;
      const index = table.find(bytes, at + 1, nameEnd - 1);
      at = this.skipSpace(nameEnd);
      if (bytes[at] !== Byte.Colon) return ~at;
      at = this.skipSpace(at + 1);
      const end = json.skip_value(at, this.#brackets);
      if (end < 0) return end;
      if (index >= 0) {
        ranges[index * 2] = at;
        ranges[index * 2 + 1] = end;
      }
      at = this.skipSpace(end);
      if (bytes[at] === Byte.CloseBrace) return at + 1;
      if (bytes[at] !== Byte.Comma) return ~at;
      at = this.skipSpace(at + 1);
    }
  }

  /**
   * Copies the contents of a JSON string, escapes resolved, lone surrogates as U+FFFD.
   *
   * @param start  behind the opening quote
   * @param end    the closing quote
   * @param room   bytes that may be written at `to`, and 16 more of garbage
   * @returns      length of the whole resolved string, bytes
   */
  copyString(start: number, end: number, to: number, room: number): number {
    return this.#json.copy_string(start, end, to, to + room);
  }

  /** Length of the contents of a JSON string, escapes resolved, bytes. */
  stringLength(start: number, end: number): number {
    return this.#json.copy_string(start, end, 1, 0); // behind its own end: nothing is written
  }

  /**
   * Copies the token ids of the JSON array at p as little-endian u32, as many as fit into `room` bytes at `to`.
   *
   * @returns number of ids in the array, -1 when not all elements are integers of 32 bits
   */
  copyIds(p: number, to: number, room: number): number {
    return this.#json.copy_ids(p + 1, to, to + room);
  }

  /** Number of ids in the JSON array at p, -1 when not all elements are integers of 32 bits, plainly written. */
  countIds(p: number): number {
    return this.#json.copy_ids(p + 1, 4, 0); // behind its own end: nothing is written
  }

  /** The JSON string value at [start, end), quotes included, as text. */
  text(start: number, end: number): string {
    const { bytes } = this;
    const length = this.stringLength(start + 1, end - 1);
    if (length === end - start - 2) return bytes.toString("utf8", start + 1, end - 1);
    return JSON.parse(bytes.toString("utf8", start, end));
  }

  #grow(end: number): void {
    const hasher = this.#hasher;
    hasher.ensure(end - hasher.inputAddress);
    if (this.bytes.buffer !== hasher.memory.buffer) this.bytes = Buffer.from(hasher.memory.buffer);
  }

  /** Memory only grows; a new one is the way to give it back. */
  #shrink(bodyBytes: number): void {
    const { keptBytesMax } = workAreaLimits;
    if (this.bytes.length <= keptBytesMax) return;
    this.#smallLoads = bodyBytes > keptBytesMax / 4 ? 0 : this.#smallLoads + 1;
    if (this.#smallLoads < SMALL_LOADS_MAX) return;
    this.#smallLoads = 0;
    this.#hasher = new BlockHasher();
    this.#json = instantiateWasm<JsonExports>(module, this.#hasher.memory);
    this.bytes = Buffer.from(this.#hasher.memory.buffer);
  }
}
