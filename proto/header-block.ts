/**
 * A view over one HeaderMap: where names and values lie in the message. Strings are made when somebody asks for one.
 *
 *   bytes      … [key: ":path"][raw_value: "/v1/completions"] … [key: "accept"][value: "…"] …
 *   row 0          keyStart,keyEnd   valueStart,valueEnd           id 1 (HeaderId.path)
 *   row 1                                                          id 0 (not a known name)
 * @module
 */
import { headerIdOf } from "./header-names.ts";
import { equalsTextIgnoreCase, utf8 } from "./text.ts";
import { Reader, WireStatus, WireType, wireLimits } from "./wire.ts";

const INITIAL_ROWS = 64;
const EMPTY: Uint8Array = new Uint8Array(0);
/** First bytes of the fields of HeaderMap and HeaderValue that gateways write. */
const HEADERS_TAG = (1 << 3) | WireType.Bytes;
const KEY_TAG = (1 << 3) | WireType.Bytes;
const RAW_VALUE_TAG = (3 << 3) | WireType.Bytes;
/** Bytes of the smallest HeaderValue that has a name of one byte and a value of one byte. */
const SMALLEST_HEADER_BYTES = 6;

/**
 * Headers of one message, in the order of the wire. One instance is filled again and again; rows hold while `bytes` is
 * not written. Values are raw_value, or value where raw_value is empty. Row arrays may be replaced when they grow.
 */
export class HeaderBlock {
  /** Rows in use. */
  count = 0;
  /** The message that the rows point into. */
  bytes: Uint8Array = EMPTY;
  keyStart: Int32Array = new Int32Array(INITIAL_ROWS);
  keyEnd: Int32Array = new Int32Array(INITIAL_ROWS);
  valueStart: Int32Array = new Int32Array(INITIAL_ROWS);
  valueEnd: Int32Array = new Int32Array(INITIAL_ROWS);
  /** Number of the name (HeaderId); 0 = not known. */
  id: Uint8Array = new Uint8Array(INITIAL_ROWS);
  readonly #map = new Reader();
  readonly #header = new Reader();

  /** Begins a message without headers. */
  clear(bytes: Uint8Array): void {
    this.count = 0;
    this.bytes = bytes;
  }

  /** Value of the last header with this number. */
  get(id: number): string | undefined {
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.id[i] === id) return this.value(i);
    }
    return undefined;
  }

  /** True when there is a header with this number. */
  has(id: number): boolean {
    for (let i = 0; i < this.count; i++) {
      if (this.id[i] === id) return true;
    }
    return false;
  }

  /** Value of the last header of this name (lower case, ASCII); for names that have no number. */
  getByName(lowerCaseName: string): string | undefined {
    for (let i = this.count - 1; i >= 0; i--) {
      if (equalsTextIgnoreCase(this.bytes, this.keyStart[i]!, this.keyEnd[i]!, lowerCaseName)) {
        return this.value(i);
      }
    }
    return undefined;
  }

  /** Name of row i, in lower case. */
  name(i: number): string {
    return utf8(this.bytes, this.keyStart[i]!, this.keyEnd[i]!).toLowerCase();
  }

  /** Value of row i; bytes that are not UTF-8 become U+FFFD. */
  value(i: number): string {
    return utf8(this.bytes, this.valueStart[i]!, this.valueEnd[i]!);
  }

  /** Adds the headers of the HeaderMap at [start, end) of `bytes`. */
  add(start: number, end: number): WireStatus {
    const map = this.#map;
    map.reset(this.bytes, start, end);
    for (;;) {
      map.at = this.#addUsual(map.at, end);
      if (!map.next()) return map.status;
      if (map.field === 1 && map.type === WireType.Bytes) {
        if (!map.range()) return map.status;
        const status = this.#addHeader(map.start, map.stop);
        if (status !== WireStatus.Ok) return status;
      } else if (!map.skip()) return map.status;
    }
  }

  /**
   * Adds headers as long as each is nothing but a key below 128 bytes and a raw_value below 16 KiB that is not empty,
   * which is what Envoy sends. @returns where it stopped: at the end, or before a header of another form
   */
  #addUsual(start: number, end: number): number {
    const { bytes } = this;
    let at = start;
    while (end - at > SMALLEST_HEADER_BYTES && bytes[at] === HEADERS_TAG) {
      let key = at + 2;
      let length = bytes[at + 1]!;
      if (length >= 0x80) {
        const high = bytes[key++]!;
        if (high >= 0x80) return at;
        length = (length & 0x7f) | (high << 7);
      }
      const stop = key + length;
      if (length < SMALLEST_HEADER_BYTES || stop > end || bytes[key] !== KEY_TAG) return at;
      const keyEnd = key + 2 + bytes[key + 1]!;
      key += 2;
      // Behind the key there must be a tag, a length and a byte of value.
      if (bytes[key - 1]! >= 0x80 || keyEnd + 3 > stop || bytes[keyEnd] !== RAW_VALUE_TAG)
        return at;
      let value = keyEnd + 2;
      let valueLength = bytes[keyEnd + 1]!;
      if (valueLength >= 0x80) {
        const high = bytes[value++]!;
        if (high >= 0x80) return at;
        valueLength = (valueLength & 0x7f) | (high << 7);
      }
      if (value + valueLength !== stop) return at;
      // The general way reports that there are too many.
      if (this.count >= wireLimits.headersMax) return at;
      this.#row(key, keyEnd, value, stop);
      at = stop;
    }
    return at;
  }

  #addHeader(start: number, end: number): WireStatus {
    if (this.count >= wireLimits.headersMax) return WireStatus.TooManyHeaders;
    const header = this.#header;
    header.reset(this.bytes, start, end);
    let keyStart = 0;
    let keyEnd = 0;
    let valueStart = 0;
    let valueEnd = 0;
    let rawStart = 0;
    let rawEnd = 0;
    while (header.next()) {
      if (header.type !== WireType.Bytes || header.field > 3) {
        if (!header.skip()) break;
        continue;
      }
      if (!header.range()) break;
      if (header.field === 1) {
        keyStart = header.start;
        keyEnd = header.stop;
      } else if (header.field === 2) {
        valueStart = header.start;
        valueEnd = header.stop;
      } else {
        rawStart = header.start;
        rawEnd = header.stop;
      }
    }
    if (header.status !== WireStatus.Ok) return header.status;
    if (rawEnd > rawStart) this.#row(keyStart, keyEnd, rawStart, rawEnd);
    else this.#row(keyStart, keyEnd, valueStart, valueEnd);
    return WireStatus.Ok;
  }

  #row(keyStart: number, keyEnd: number, valueStart: number, valueEnd: number): void {
    if (this.count === this.id.length) this.#grow();
    const i = this.count++;
    this.keyStart[i] = keyStart;
    this.keyEnd[i] = keyEnd;
    this.valueStart[i] = valueStart;
    this.valueEnd[i] = valueEnd;
    this.id[i] = headerIdOf(this.bytes, keyStart, keyEnd);
  }

  #grow(): void {
    const rows = this.id.length * 2;
    this.keyStart = widened(this.keyStart, new Int32Array(rows));
    this.keyEnd = widened(this.keyEnd, new Int32Array(rows));
    this.valueStart = widened(this.valueStart, new Int32Array(rows));
    this.valueEnd = widened(this.valueEnd, new Int32Array(rows));
    this.id = widened(this.id, new Uint8Array(rows));
  }
}

function widened<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
