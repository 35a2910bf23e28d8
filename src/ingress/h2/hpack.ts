/**
 * HPACK (RFC 7541): a full decoder for the headers of requests, and the few blocks that a gRPC server sends, encoded
 * once. Blocks that repeat on a connection are decoded once: a gateway sends the same handful for every stream.
 *
 *   index    1 … 61        62 … 61 + n
 *            static table  dynamic table, newest first, n entries, at most `tableBytesMax` by their HPACK size
 * @module
 */
import { DynamicTable } from "./dynamic-table.ts";
import { FieldKind, type HeaderField, headerField } from "./header-field.ts";
import { HUFFMAN_CODES, HUFFMAN_LENGTHS, STATIC_TABLE } from "./hpack-tables.ts";

export const hpackLimits = {
  /** Dynamic table that we allow a peer to use, bytes (RFC 7540 default). */
  tableBytesMax: 4096,
  /** Decoded header list, bytes by HPACK's count: name + value + 32 each. */
  headerListBytesMax: 64 * 1024,
  /** Blocks remembered per connection. */
  cachedBlocksMax: 32,
  /** Longest block worth remembering, bytes. */
  cachedBlockBytesMax: 512,
} as const;

/** The request headers that a gRPC server looks at; absent ones are "". */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly scheme: string;
  readonly contentType: string;
  readonly encoding: string;
  /** Declared length of the body, bytes; -1 = none. */
  readonly contentLength: number;
  /**
   * False when RFC 9113 §8.2 or §8.3 is broken: characters that names or values must not have, connection headers,
   * pseudo-headers that are unknown, late or twice, a content-length that is none or not the same everywhere.
   */
  readonly isWellFormed: boolean;
  /** True when there is any pseudo-header: trailers have none. */
  readonly hasPseudo: boolean;
}

const CONTENT_LENGTH = /^\d{1,15}$/;

/** Why a block can not be decoded. */
export class HpackError extends Error {}

/** The header list is larger than allowed: the block itself is fine, the connection's state is intact. */
export const HEADER_LIST_TOO_LARGE = Symbol("header list too large");

/** Longest `grpc-message`: at 9 characters for each of ours it fits into the smallest frame that peers take, 16 KiB. */
const MESSAGE_CHARS_MAX = 1024;
const NO_CHILD = -1;

/** Binary tree of the Huffman code: children of node n at [2n], [2n + 1]; a symbol is stored as -2 - symbol. */
const huffmanTree = buildHuffmanTree();

function buildHuffmanTree(): Int16Array {
  const tree: number[] = [NO_CHILD, NO_CHILD];
  for (let symbol = 0; symbol < HUFFMAN_CODES.length; symbol++) {
    let node = 0;
    for (let bit = HUFFMAN_LENGTHS[symbol]! - 1; bit >= 0; bit--) {
      const side = node * 2 + ((HUFFMAN_CODES[symbol]! >>> bit) & 1);
      if (bit === 0) {
        tree[side] = -2 - symbol;
      } else {
        if (tree[side] === NO_CHILD) {
          tree[side] = tree.length / 2;
          tree.push(NO_CHILD, NO_CHILD);
        }
        node = tree[side]!;
      }
    }
  }
  return Int16Array.from(tree);
}

/** Decodes a Huffman-coded string. @throws HpackError on a code outside the table or wrong padding */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  const out: number[] = [];
  let node = 0;
  let depth = 0;
  let onesOnly = true;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    for (let bit = 7; bit >= 0; bit--) {
      const one = (byte >>> bit) & 1;
      const next = huffmanTree[node * 2 + one]!;
      depth++;
      if (one === 0) onesOnly = false;
      if (next >= 0) {
        node = next;
      } else if (next === NO_CHILD) {
        throw new HpackError("Huffman code is not in the table"); // the end-of-string symbol is not either
      } else {
        out.push(-2 - next);
        node = 0;
        depth = 0;
        onesOnly = true;
      }
    }
  }
  if (depth > 7 || !onesOnly) throw new HpackError("Huffman padding is wrong");
  return latin1(out);
}

function latin1(codes: readonly number[]): string {
  let text = "";
  for (const code of codes) text += String.fromCharCode(code);
  return text;
}

/** Collects one header list and checks what only the list shows. */
class HeadFields implements RequestHead {
  method = "";
  path = "";
  scheme = "";
  contentType = "";
  encoding = "";
  contentLength = -1;
  isWellFormed = true;
  hasPseudo = false;
  #pseudoSeen = 0;
  #regularSeen = false;

  add({ kind, value, isGood }: HeaderField): void {
    if (!isGood) this.isWellFormed = false;
    switch (kind) {
      case FieldKind.Method:
        this.method = value;
        this.#onPseudo(kind);
        return;
      case FieldKind.Path:
        this.path = value;
        this.#onPseudo(kind);
        return;
      case FieldKind.Scheme:
        this.scheme = value;
        this.#onPseudo(kind);
        return;
      case FieldKind.Authority:
      case FieldKind.BadPseudo:
        this.#onPseudo(kind);
        return;
      case FieldKind.ContentType:
        this.contentType = value;
        break;
      case FieldKind.Encoding:
        this.encoding = value;
        break;
      case FieldKind.ContentLength:
        this.#addContentLength(value);
        break;
    }
    this.#regularSeen = true;
  }

  /** Two lengths that differ are how one request is made to look like two. */
  #addContentLength(value: string): void {
    const length = CONTENT_LENGTH.test(value) ? Number(value) : -1;
    if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length)) {
      this.isWellFormed = false;
    }
    this.contentLength = length;
  }

  #onPseudo(kind: number): void {
    this.hasPseudo = true;
    const bit = 1 << kind;
    if ((this.#pseudoSeen & bit) !== 0 || this.#regularSeen) this.isWellFormed = false;
    this.#pseudoSeen |= bit;
  }
}

const STATIC_FIELDS: readonly HeaderField[] = STATIC_TABLE.map(([name, value]) =>
  headerField(name, value),
);

export class HpackDecoder {
  readonly #table = new DynamicTable(hpackLimits.tableBytesMax);
  /** Moves with every change of the dynamic table: cached blocks of another epoch mean something else. */
  #epoch = 0;
  readonly #cache = new Map<string, RequestHead>();
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  /**
   * Decodes one complete header block.
   *
   * @returns what a gRPC server looks at, or HEADER_LIST_TOO_LARGE
   * @throws HpackError: the connection must end with COMPRESSION_ERROR
   */
  decode(
    bytes: Uint8Array,
    start: number,
    end: number,
  ): RequestHead | typeof HEADER_LIST_TOO_LARGE {
    const isShort = end - start <= hpackLimits.cachedBlockBytesMax;
    const key = isShort ? Buffer.prototype.latin1Slice.call(bytes, start, end) : "";
    if (isShort) {
      const known = this.#cache.get(key);
      if (known !== undefined) return known;
    }
    const epoch = this.#epoch;
    const head = this.#decodeBlock(bytes, start, end);
    if (this.#epoch !== epoch) {
      if (this.#cache.size > 0) this.#cache.clear();
    } else if (isShort && head !== HEADER_LIST_TOO_LARGE) {
      if (this.#cache.size >= hpackLimits.cachedBlocksMax) this.#cache.clear();
      this.#cache.set(key, head);
    }
    return head;
  }

  #decodeBlock(
    bytes: Uint8Array,
    start: number,
    end: number,
  ): RequestHead | typeof HEADER_LIST_TOO_LARGE {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    const fields = new HeadFields();
    let listBytes = 0;
    let sizeUpdateAllowed = true;
    while (this.#at < this.#end) {
      const first = bytes[this.#at]!;
      if ((first & 0xe0) === 0x20) {
        if (!sizeUpdateAllowed) throw new HpackError("table size update is not at the start");
        this.#resize(this.#integer(5));
        continue;
      }
      sizeUpdateAllowed = false;
      const field = this.#field(first);
      listBytes += field.byteLength;
      // Beyond the limit only the table is kept right: one byte can name an entry of 4 KiB, which must not be looked at
      // again and again.
      if (listBytes <= hpackLimits.headerListBytesMax) fields.add(field);
    }
    return listBytes > hpackLimits.headerListBytesMax ? HEADER_LIST_TOO_LARGE : fields;
  }

  #field(first: number): HeaderField {
    if ((first & 0x80) !== 0) return this.#entry(this.#integer(7));
    const isIndexed = (first & 0xc0) === 0x40;
    const nameIndex = this.#integer(isIndexed ? 6 : 4);
    const name = nameIndex === 0 ? this.#string() : this.#entry(nameIndex).name;
    const field = headerField(name, this.#string());
    if (isIndexed) {
      this.#epoch++;
      this.#table.insert(field);
    }
    return field;
  }

  #entry(index: number): HeaderField {
    if (index === 0) throw new HpackError("index 0");
    if (index <= STATIC_FIELDS.length) return STATIC_FIELDS[index - 1]!;
    const field = this.#table.get(index - STATIC_FIELDS.length - 1);
    if (field === undefined) throw new HpackError(`index ${index} is not in the table`);
    return field;
  }

  #resize(size: number): void {
    if (size > hpackLimits.tableBytesMax) throw new HpackError("table size above the setting");
    this.#epoch++;
    this.#table.resize(size);
  }

  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#bytes[this.#at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end) throw new HpackError("integer is cut off");
      if (shift > 21) throw new HpackError("integer is too large");
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
  }

  #string(): string {
    if (this.#at >= this.#end) throw new HpackError("string is cut off");
    const isHuffman = (this.#bytes[this.#at]! & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#at;
    const end = start + length;
    if (end > this.#end) throw new HpackError("string is longer than its block");
    this.#at = end;
    return isHuffman
      ? decodeHuffman(this.#bytes, start, end)
      : Buffer.prototype.latin1Slice.call(this.#bytes, start, end);
  }
}

/** One literal field without indexing, name and value as plain strings. */
export function literal(name: string, value: string): Buffer {
  const parts: Buffer[] = [Buffer.from([0x00])];
  for (const text of [name, value]) {
    const bytes = Buffer.from(text, "latin1");
    if (bytes.length < 127) {
      parts.push(Buffer.from([bytes.length]), bytes);
    } else {
      const rest: number[] = [127];
      let left = bytes.length - 127;
      while (left >= 128) {
        rest.push((left & 0x7f) | 0x80);
        left >>>= 7;
      }
      rest.push(left);
      parts.push(Buffer.from(rest), bytes);
    }
  }
  return Buffer.concat(parts);
}

const STATUS_200 = Buffer.from([0x88]);
const CONTENT_TYPE_GRPC = literal("content-type", "application/grpc");

/** `:status: 200`, `content-type: application/grpc` */
export const RESPONSE_HEAD: Buffer = Buffer.concat([STATUS_200, CONTENT_TYPE_GRPC]);
/** `grpc-status: 0` */
export const TRAILERS_OK: Buffer = literal("grpc-status", "0");
/** `grpc-status` and percent-encoded `grpc-message`, whose end is cut off when it is longer than peers have to take. */
export function trailers(status: number, message: string): Buffer {
  // Through UTF-8 and back, since half a surrogate pair can not be percent-encoded.
  const text = Buffer.from(message.slice(0, MESSAGE_CHARS_MAX)).toString();
  return Buffer.concat([
    literal("grpc-status", String(status)),
    literal("grpc-message", encodeURIComponent(text)),
  ]);
}
