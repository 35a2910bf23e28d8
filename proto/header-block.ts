/**
 * A view over one HeaderMap: where keys and values lie in the message. Strings are made when somebody asks for one.
 * @module
 */
import { headerIdOf } from "./header-names.ts";
import { type Reader, WireStatus, wireLimits } from "./wire.ts";

const INITIAL_HEADERS = 64;

export class HeaderBlock {
  count = 0;
  bytes: Uint8Array = new Uint8Array(0);
  keyStart: Int32Array = new Int32Array(INITIAL_HEADERS);
  keyEnd: Int32Array = new Int32Array(INITIAL_HEADERS);
  valueStart: Int32Array = new Int32Array(INITIAL_HEADERS);
  valueEnd: Int32Array = new Int32Array(INITIAL_HEADERS);
  /** Number of the name (HeaderId), 0 = not a known one. */
  id: Uint8Array = new Uint8Array(INITIAL_HEADERS);

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

  has(id: number): boolean {
    for (let i = 0; i < this.count; i++) {
      if (this.id[i] === id) return true;
    }
    return false;
  }

  /** Value of the last header of this name; for names that are not in the table. */
  getByName(lowerCaseName: string): string | undefined {
    for (let i = this.count - 1; i >= 0; i--) {
      if (
        this.keyEnd[i]! - this.keyStart[i]! === lowerCaseName.length &&
        this.name(i) === lowerCaseName
      ) {
        return this.value(i);
      }
    }
    return undefined;
  }

  /** Name of header i, in lower case. */
  name(i: number): string {
    return utf8(this.bytes, this.keyStart[i]!, this.keyEnd[i]!).toLowerCase();
  }

  value(i: number): string {
    return utf8(this.bytes, this.valueStart[i]!, this.valueEnd[i]!);
  }

  /** Adds the headers of the HeaderMap that the reader stands on. */
  read(reader: Reader): WireStatus {
    while (reader.next()) {
      if (reader.field === 1) {
        if (!reader.range()) break;
        const status = this.#readHeader(reader);
        if (status !== WireStatus.Ok) return status;
      } else if (!reader.skip()) break;
    }
    return reader.status;
  }

  #readHeader(reader: Reader): WireStatus {
    if (this.count >= wireLimits.headersMax) return WireStatus.TooManyHeaders;
    if (this.count === this.id.length) this.#grow();
    const { at, end } = reader;
    reader.at = reader.start;
    reader.end = reader.stop;
    let keyStart = 0;
    let keyEnd = 0;
    let valueStart = 0;
    let valueEnd = 0;
    let rawStart = 0;
    let rawEnd = 0;
    while (reader.next()) {
      if (reader.field >= 1 && reader.field <= 3) {
        if (!reader.range()) break;
        if (reader.field === 1) {
          keyStart = reader.start;
          keyEnd = reader.stop;
        } else if (reader.field === 2) {
          valueStart = reader.start;
          valueEnd = reader.stop;
        } else {
          rawStart = reader.start;
          rawEnd = reader.stop;
        }
      } else if (!reader.skip()) break;
    }
    if (reader.status !== WireStatus.Ok) return reader.status;
    reader.at = at;
    reader.end = end;
    const i = this.count++;
    const hasRaw = rawEnd > rawStart;
    this.keyStart[i] = keyStart;
    this.keyEnd[i] = keyEnd;
    this.valueStart[i] = hasRaw ? rawStart : valueStart;
    this.valueEnd[i] = hasRaw ? rawEnd : valueEnd;
    this.id[i] = headerIdOf(this.bytes, keyStart, keyEnd);
    return WireStatus.Ok;
  }

  #grow(): void {
    const size = this.id.length * 2;
    const grown = (array: Int32Array): Int32Array => {
      const next = new Int32Array(size);
      next.set(array);
      return next;
    };
    this.keyStart = grown(this.keyStart);
    this.keyEnd = grown(this.keyEnd);
    this.valueStart = grown(this.valueStart);
    this.valueEnd = grown(this.valueEnd);
    const id = new Uint8Array(size);
    id.set(this.id);
    this.id = id;
  }
}

/** Decodes UTF-8; short ASCII is the common case and cheap. */
export function utf8(bytes: Uint8Array, start: number, end: number): string {
  if (start === end) return "";
  return Buffer.prototype.utf8Slice.call(bytes, start, end);
}
