/**
 * Protobuf wire primitives: a growing writer, bounded varint reads, skipping of what is not known.
 * @module
 */

export const WireStatus = {
  Ok: 0,
  Truncated: 1,
  Malformed: 2,
  TooManyHeaders: 3,
  TooDeep: 4,
  TooLarge: 5,
} as const;
export type WireStatus = (typeof WireStatus)[keyof typeof WireStatus];

export const wireLimits = {
  /** Headers in one block; gateways cap far below. */
  headersMax: 1000,
  /** Nesting of Struct values and of skipped groups. */
  structDepthMax: 100,
  /** Values in one Struct. */
  structNodesMax: 10_000,
} as const;

export const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, StartGroup: 3, EndGroup: 4, Fixed32: 5 } as const;

/**
 * Cursor over one message. After a read that failed, `status` says why and `at` is at the end.
 */
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

  /** Moves to the next field. @returns false at the end or on a malformed tag */
  next(): boolean {
    if (this.at >= this.end) return false;
    const tag = this.varint();
    if (this.status !== WireStatus.Ok) return false;
    this.field = tag >>> 3;
    this.type = tag & 7;
    if (this.field === 0 || tag > 0xffffffff) return this.fail(WireStatus.Malformed);
    return true;
  }

  /** Unsigned varint; bits above 53 are lost, which no field here needs. */
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
    for (let i = 0; i < 10; i++) {
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
      scale *= 128;
    }
    this.fail(WireStatus.Malformed);
    return 0;
  }

  /** Length-delimited value: sets start and stop. */
  range(): boolean {
    if (this.type !== WireType.Bytes) return this.fail(WireStatus.Malformed);
    const length = this.varint();
    if (this.status !== WireStatus.Ok) return false;
    if (length > this.end - this.at) return this.fail(WireStatus.Truncated);
    this.start = this.at;
    this.stop = this.at + length;
    this.at = this.stop;
    return true;
  }

  /** Skips the value of the last tag. */
  skip(depth = 0): boolean {
    const { type } = this;
    switch (type) {
      case WireType.Varint:
        this.varint();
        return this.status === WireStatus.Ok;
      case WireType.Fixed64:
        return this.#jump(8);
      case WireType.Fixed32:
        return this.#jump(4);
      case WireType.Bytes:
        return this.range();
      case WireType.StartGroup: {
        if (depth >= wireLimits.structDepthMax) return this.fail(WireStatus.TooDeep);
        const group = this.field;
        while (this.next()) {
          if (this.type === WireType.EndGroup) {
            return this.field === group || this.fail(WireStatus.Malformed);
          }
          if (!this.skip(depth + 1)) return false;
        }
        return this.status === WireStatus.Ok ? this.fail(WireStatus.Truncated) : false;
      }
      default:
        return this.fail(WireStatus.Malformed);
    }
  }

  #jump(count: number): boolean {
    if (count > this.end - this.at) return this.fail(WireStatus.Truncated);
    this.at += count;
    return true;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
const encoder = new TextEncoder();

/** Bytes of an unsigned varint. */
export function varintSize(value: number): number {
  let size = 1;
  while (value >= 128) {
    value = Math.floor(value / 128);
    size++;
  }
  return size;
}

/** Bytes of a string in UTF-8. */
export function utf8Size(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    if (code < 0x800) size += 1;
    else if (code >= 0xd800 && code < 0xdc00) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next < 0xe000) {
        size += 2; // two code units, four bytes
        i++;
      } else size += 2; // a lone surrogate becomes U+FFFD
    } else size += 2;
  }
  return size;
}

/** Appends to one growing buffer; reset() keeps the memory. */
export class Writer {
  bytes: Buffer = Buffer.allocUnsafeSlow(4096);
  length = 0;

  reset(): void {
    this.length = 0;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  varint(value: number): void {
    this.reserve(10);
    let { length } = this;
    const { bytes } = this;
    while (value >= 128) {
      bytes[length++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
    bytes[length++] = value;
    this.length = length;
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Tag of a length-delimited field and its length. */
  open(field: number, byteLength: number): void {
    this.varint((field << 3) | WireType.Bytes);
    this.varint(byteLength);
  }

  /** String field in UTF-8. */
  string(field: number, text: string): void {
    const size = utf8Size(text);
    this.open(field, size);
    this.text(text, size);
  }

  /** UTF-8 bytes of a text whose size is known. */
  text(text: string, size: number): void {
    this.reserve(size);
    if (size === text.length) {
      const { bytes } = this;
      let { length } = this;
      for (let i = 0; i < size; i++) bytes[length++] = text.charCodeAt(i);
      this.length = length;
    } else {
      this.raw(encoder.encode(text));
    }
  }
}
