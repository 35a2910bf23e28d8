/**
 * A second decoder of header blocks (RFC 7541), written for clarity, without a cache; and what a gRPC server makes of a list.
 * @module
 */
import {
  HEADER_LIST_TOO_LARGE,
  hpackLimits,
  type RequestHead,
} from "../../src/ingress/h2/hpack.ts";
import { HUFFMAN_CODES, HUFFMAN_LENGTHS, STATIC_TABLE } from "../../src/ingress/h2/hpack-tables.ts";
import type { Field } from "../support/h2-hpack.ts";

const ENTRY_OVERHEAD = 32;
/** A code of up to 30 bits and its length as one number. */
const CODE_SCALE = 64;
/** Our own limit: bytes of an integer behind its prefix. */
const INTEGER_BYTES_MAX = 4;

/** Symbols by code and its length. */
const SYMBOLS = new Map(
  HUFFMAN_CODES.map((code, symbol) => [code * CODE_SCALE + HUFFMAN_LENGTHS[symbol]!, symbol]),
);
const CODE_BITS_MAX = Math.max(...HUFFMAN_LENGTHS);

function sizeOf([name, value]: Field): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}

function huffman(bytes: Uint8Array): string {
  let text = "";
  let code = 0;
  let bits = 0;
  for (const byte of bytes) {
    for (let place = 128; place >= 1; place /= 2) {
      code = code * 2 + (Math.floor(byte / place) % 2);
      bits++;
      const symbol = SYMBOLS.get(code * CODE_SCALE + bits);
      if (symbol !== undefined) {
        text += String.fromCharCode(symbol);
        code = 0;
        bits = 0;
      } else if (bits >= CODE_BITS_MAX) {
        throw new Error("no such code"); // the end of the string is 30 ones
      }
    }
  }
  if (bits > 7 || code !== 2 ** bits - 1) throw new Error("wrong padding");
  return text;
}

export class ReferenceDecoder {
  /** Newest first. */
  readonly #table: Field[] = [];
  #bytesMax = 4096;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** @throws Error for what RFC 7541 forbids */
  decode(block: Uint8Array): Field[] {
    this.#bytes = block;
    this.#at = 0;
    const fields: Field[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      if (first >= 0x80) {
        fields.push(this.#entry(this.#integer(7)));
      } else if (first >= 0x40) {
        const field = this.#literal(6);
        fields.push(field);
        this.#table.unshift(field);
        this.#evict();
      } else if (first >= 0x20) {
        if (fields.length > 0) throw new Error("a size update behind a field");
        this.#bytesMax = this.#integer(5);
        if (this.#bytesMax > hpackLimits.tableBytesMax) throw new Error("more than was allowed");
        this.#evict();
      } else {
        fields.push(this.#literal(4));
      }
    }
    return fields;
  }

  #entry(index: number): Field {
    const entry = index === 0 ? undefined : [...STATIC_TABLE, ...this.#table][index - 1];
    if (entry === undefined) throw new Error("no such entry");
    return [entry[0], entry[1]];
  }

  #literal(prefixBits: number): Field {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.#entry(index)[0];
    return [name, this.#string()];
  }

  #string(): string {
    if (this.#at >= this.#bytes.length) throw new Error("cut off");
    const isHuffman = this.#bytes[this.#at]! >= 0x80;
    const length = this.#integer(7);
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error("cut off");
    this.#at += length;
    return isHuffman ? huffman(bytes) : Buffer.from(bytes).toString("latin1");
  }

  #integer(prefixBits: number): number {
    const limit = 2 ** prefixBits - 1;
    let value = this.#bytes[this.#at++]! % (limit + 1);
    if (value < limit) return value;
    for (let i = 0; i < INTEGER_BYTES_MAX; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error("cut off");
      value += (byte % 128) * 128 ** i;
      if (byte < 128) return value;
    }
    throw new Error("too large");
  }

  #evict(): void {
    while (this.#table.reduce((sum, field) => sum + sizeOf(field), 0) > this.#bytesMax) {
      this.#table.pop();
    }
  }
}

const PSEUDO = [":method", ":path", ":scheme", ":authority"];
const OF_CONNECTIONS = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
];
const READ = ["content-type", "grpc-encoding", "content-length", "te"];

/** What a list of fields means to a gRPC server (RFC 9113 §8.2, §8.3). */
export function headOf(fields: readonly Field[]): RequestHead | typeof HEADER_LIST_TOO_LARGE {
  const bytes = fields.reduce((sum, field) => sum + sizeOf(field), 0);
  if (bytes > hpackLimits.headerListBytesMax) return HEADER_LIST_TOO_LARGE;
  const last = (name: string): string => fields.findLast((field) => field[0] === name)?.[1] ?? "";
  const lengths = fields.filter(([name]) => name === "content-length").map(([, value]) => value);
  const numbers = lengths.map((text) => (/^[0-9]{1,15}$/.test(text) ? Number(text) : -1));
  return {
    method: last(":method"),
    path: last(":path"),
    scheme: last(":scheme"),
    contentType: last("content-type"),
    encoding: last("grpc-encoding"),
    contentLength: numbers.at(-1) ?? -1,
    isWellFormed:
      fields.every(([, value]) => isGoodValue(value)) &&
      fields.every(([name], i) => isGoodName(name, i, fields)) &&
      fields.every(([name, value]) => name !== "te" || value === "trailers") &&
      numbers.every((number) => number >= 0 && number === numbers[0]),
    hasPseudo: fields.some(([name]) => name.startsWith(":")),
  };
}

function isGoodValue(value: string): boolean {
  const isTrimmed = !/^[ \t]/.test(value) && !/[ \t]$/.test(value);
  return isTrimmed && !["\0", "\r", "\n"].some((bad) => value.includes(bad));
}

function isGoodName(name: string, at: number, fields: readonly Field[]): boolean {
  if (name.startsWith(":")) {
    const before = fields.slice(0, at).map((field) => field[0]);
    const isFirst = before.every((other) => other.startsWith(":") && other !== name);
    return PSEUDO.includes(name) && isFirst;
  }
  if (READ.includes(name)) return true;
  return /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && !OF_CONNECTIONS.includes(name);
}
