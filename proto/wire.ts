/**
 * Protobuf wire primitives: a bounded cursor over a message, a growing writer, and the bounds of the codec.
 *
 *   message   [tag][value][tag][length][…value…][tag]…        tag = field << 3 | wire type
 *                  ▲ at                           ▲ end        a Reader never leaves [start, end)
 *
 * Nothing here throws on bytes: a Reader that meets bad ones keeps the reason in `status` and stands at its end.
 * @module
 */
import { utf8Size } from "./text.ts";

/** Why bytes could not be decoded. */
export const WireStatus = {
  Ok: 0,
  /** A value would end behind its message. */
  Truncated: 1,
  /** Not protobuf: field number 0, unknown wire type, varint of more than ten bytes, wrong end of a group. */
  Malformed: 2,
  /** More than `wireLimits.headersMax` headers. */
  TooManyHeaders: 3,
  /** Nested deeper than `wireLimits.structDepthMax`. */
  TooDeep: 4,
  /** More than `wireLimits.structNodesMax` values. */
  TooLarge: 5,
} as const;
export type WireStatus = (typeof WireStatus)[keyof typeof WireStatus];

/** Every bound of the codec, with its unit and its reason. */
export const wireLimits = {
  /** Headers in one block; Envoy's default is 100, its ceiling is configured by people. */
  headersMax: 1000,
  /** Levels of nesting of Struct values and of skipped groups: the limit of the C++ protobuf decoder. */
  structDepthMax: 100,
  /** Values in one Metadata; a subset hint holds one per endpoint of the pool (at most 4,096). */
  structNodesMax: 10_000,
  /** Bytes that a Writer keeps when it is reset: more than a burst of framing, less than a stray body. */
  writerKeepBytesMax: 1024 * 1024,
} as const;

export const WireType = {
  Varint: 0,
  Fixed64: 1,
  Bytes: 2,
  StartGroup: 3,
  EndGroup: 4,
  Fixed32: 5,
} as const;

const EMPTY: Uint8Array = new Uint8Array(0);
const VARINT_BYTES_MAX = 10;
const WRITER_INITIAL_BYTES = 4096;
/** Characters up to which a loop is faster than a call into native code (they meet near 28 on Node 20). */
const WRITE_LOOP_CHARS_MAX = 24;

/** Cursor over one message. */
export class Reader {
  bytes: Uint8Array = EMPTY;
  at = 0;
  end = 0;
  status: WireStatus = WireStatus.Ok;
  /** Field number and wire type of the last tag. */
  field = 0;
  type = 0;
  /** Range of the last length-delimited value. */
  start = 0;
  stop = 0;

  /** Begins with bytes[start, end), 0 <= start <= end <= bytes.length. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.status = WireStatus.Ok;
  }

  fail(status: WireStatus): false {
    this.status = status;
    this.at = this.end;
    return false;
  }

  /** Moves to the next field. @returns false at the end and when `status` is not Ok */
  next(): boolean {
    if (this.at >= this.end) return false;
    const tag = this.varint();
    if (this.status !== WireStatus.Ok) return false;
    this.field = tag >>> 3;
    this.type = tag & 7;
    if (tag > 0xffffffff || this.field === 0) return this.fail(WireStatus.Malformed);
    return true;
  }

  /**
   * Unsigned varint, as tags and lengths need it: exact up to 2^53, and above that still a number too large for either.
   */
  varint(): number {
    const { bytes, end } = this;
    let at = this.at;
    if (at < end) {
      const first = bytes[at]!;
      if (first < 0x80) {
        this.at = at + 1;
        return first;
      }
    }
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      if (at >= end) {
        this.fail(WireStatus.Truncated);
        return 0;
      }
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.at = at;
        return value;
      }
      scale *= 0x80;
    }
    this.fail(WireStatus.Malformed);
    return 0;
  }

  /** Varint of an int32 or enum field: the lower 32 bits of what is written, signed. */
  int32(): number {
    const { bytes, end } = this;
    let at = this.at;
    let value = 0;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      if (at >= end) {
        this.fail(WireStatus.Truncated);
        return 0;
      }
      const byte = bytes[at++]!;
      if (i < 5) value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        this.at = at;
        return value;
      }
    }
    this.fail(WireStatus.Malformed);
    return 0;
  }

  /** Length-delimited value: sets start and stop. To be called when `type` is Bytes. */
  range(): boolean {
    const length = this.varint();
    if (this.status !== WireStatus.Ok) return false;
    if (length > this.end - this.at) return this.fail(WireStatus.Truncated);
    this.start = this.at;
    this.stop = this.at + length;
    this.at = this.stop;
    return true;
  }

  /**
   * Passes over the value of the last tag, groups included. A known field of another wire type than its own counts as
   * unknown too, as protobuf has it.
   */
  skip(depth = 0): boolean {
    switch (this.type) {
      case WireType.Varint:
        this.varint();
        return this.status === WireStatus.Ok;
      case WireType.Fixed64:
        return this.#jump(8);
      case WireType.Fixed32:
        return this.#jump(4);
      case WireType.Bytes:
        return this.range();
      case WireType.StartGroup:
        return this.#skipGroup(this.field, depth);
      default:
        return this.fail(WireStatus.Malformed);
    }
  }

  #skipGroup(group: number, depth: number): boolean {
    if (depth >= wireLimits.structDepthMax) return this.fail(WireStatus.TooDeep);
    while (this.next()) {
      if (this.type === WireType.EndGroup) {
        return this.field === group || this.fail(WireStatus.Malformed);
      }
      if (!this.skip(depth + 1)) return false;
    }
    return this.status === WireStatus.Ok && this.fail(WireStatus.Truncated);
  }

  #jump(count: number): boolean {
    if (count > this.end - this.at) return this.fail(WireStatus.Truncated);
    this.at += count;
    return true;
  }
}

/** Bytes of an unsigned varint; an integer from 0 to 2^53. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  let size = 3;
  for (let rest = Math.floor(value / 0x200000); rest > 0; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Bytes of a length-delimited field with a number below 16: tag, length and `length` bytes. */
export function fieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** Appends to one growing buffer; what is written is bytes[0, length). */
export class Writer {
  bytes: Buffer = Buffer.allocUnsafeSlow(WRITER_INITIAL_BYTES);
  length = 0;

  /** Starts anew and keeps the memory, unless it is unusually much: who still reads `bytes` has copied it before. */
  reset(): void {
    this.length = 0;
    if (this.bytes.length > wireLimits.writerKeepBytesMax) {
      this.bytes = Buffer.allocUnsafeSlow(WRITER_INITIAL_BYTES);
    }
  }

  /** Makes room for `count` more bytes; `bytes` may become another buffer. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed > this.bytes.length) this.#grow(needed);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Unsigned varint; an integer from 0 to 2^53. */
  varint(value: number): void {
    this.reserve(VARINT_BYTES_MAX);
    const { bytes } = this;
    let { length } = this;
    let rest = value;
    while (rest >= 0x80) {
      bytes[length++] = (rest & 0x7f) | 0x80; // bit operators take the lower 32 bits of any integer
      rest = rest < 0x80000000 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    bytes[length++] = rest;
    this.length = length;
  }

  /** Appends a copy of the bytes. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Tag of a length-delimited field (number below 16), and the length of what follows. */
  open(field: number, byteLength: number): void {
    this.byte((field << 3) | WireType.Bytes);
    this.varint(byteLength);
  }

  /** A field of wire type varint (number below 16). */
  varintField(field: number, value: number): void {
    this.byte((field << 3) | WireType.Varint);
    this.varint(value);
  }

  /** String or bytes field (number below 16) that holds a text in UTF-8. */
  string(field: number, text: string): void {
    const size = utf8Size(text);
    this.open(field, size);
    this.text(text, size);
  }

  /** A text whose size in UTF-8 is known. */
  text(text: string, size: number): void {
    this.reserve(size);
    const { bytes, length } = this;
    this.length = length + size;
    if (size !== text.length || size > WRITE_LOOP_CHARS_MAX) {
      bytes.write(text, length, size, size === text.length ? "latin1" : "utf8");
      return;
    }
    for (let i = 0; i < size; i++) bytes[length + i] = text.charCodeAt(i);
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}
