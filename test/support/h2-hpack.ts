/**
 * A second coder of header blocks (RFC 7541), written for clarity: it uses every form that a peer may use, as its caller
 * chooses.
 * @module
 */
import { HUFFMAN_CODES, HUFFMAN_LENGTHS, STATIC_TABLE } from "../../src/ingress/h2/hpack-tables.ts";

export type Field = readonly [name: string, value: string];

const ENTRY_OVERHEAD = 32;
/** The codes as text of 0 and 1. */
const HUFFMAN_TEXTS = HUFFMAN_CODES.map((code, symbol) =>
  code.toString(2).padStart(HUFFMAN_LENGTHS[symbol]!, "0"),
);

/** An integer with a prefix of so many bits, behind the bits of `form` (§5.1). */
export function encodeInteger(value: number, prefixBits: number, form: number): number[] {
  const limit = 2 ** prefixBits - 1;
  if (value < limit) return [form | value];
  const bytes = [form | limit];
  let left = value - limit;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push(128 + (left % 128));
  bytes.push(left);
  return bytes;
}

/** Huffman code, padded with ones (§5.2). */
export function encodeHuffman(text: Uint8Array): Buffer {
  let bits = "";
  for (const byte of text) bits += HUFFMAN_TEXTS[byte]!;
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

/** A string of Latin-1 (§5.2). */
export function encodeString(text: string, isHuffman: boolean): Buffer {
  const plain = Buffer.from(text, "latin1");
  const bytes = isHuffman ? encodeHuffman(plain) : plain;
  return Buffer.concat([Buffer.from(encodeInteger(bytes.length, 7, isHuffman ? 0x80 : 0)), bytes]);
}

export class ReferenceEncoder {
  /** Newest first. */
  readonly table: Field[] = [];
  #bytesMax = 4096;

  /** @param choose gives a number from 0 to below its argument */
  encode(fields: readonly Field[], choose: (below: number) => number): Buffer {
    const parts: Uint8Array[] = [];
    if (choose(8) === 0) parts.push(this.resize(choose(4097)));
    for (const field of fields) parts.push(this.#encodeField(field, choose));
    return Buffer.concat(parts);
  }

  /** A size update (§6.3). */
  resize(bytesMax: number): Buffer {
    this.#bytesMax = bytesMax;
    this.#evict();
    return Buffer.from(encodeInteger(bytesMax, 5, 0x20));
  }

  #encodeField([name, value]: Field, choose: (below: number) => number): Buffer {
    const all = [...STATIC_TABLE, ...this.table];
    const whole = all.findIndex((entry) => entry[0] === name && entry[1] === value) + 1;
    if (whole > 0 && choose(4) > 0) return Buffer.from(encodeInteger(whole, 7, 0x80));
    const known = choose(4) > 0 ? all.findIndex((entry) => entry[0] === name) + 1 : 0;
    const form = choose(3);
    const head =
      form === 0
        ? encodeInteger(known, 6, 0x40)
        : encodeInteger(known, 4, form === 1 ? 0x00 : 0x10);
    if (form === 0) {
      this.table.unshift([name, value]);
      this.#evict();
    }
    return Buffer.concat([
      Buffer.from(head),
      known > 0 ? Buffer.alloc(0) : encodeString(name, choose(2) === 0),
      encodeString(value, choose(2) === 0),
    ]);
  }

  #evict(): void {
    const bytes = (): number =>
      this.table.reduce(
        (sum, [name, value]) => sum + name.length + value.length + ENTRY_OVERHEAD,
        0,
      );
    while (bytes() > this.#bytesMax) this.table.pop();
  }
}

/** Opens a stream of an unknown method whose path of 1,024 bytes goes into the table, with the content type behind it. */
export const LONG_PATH_HEAD: Buffer = Buffer.concat([
  // Literals with indexing: :path (4), 1024 bytes in three; content-type (31) as a string of 16.
  Buffer.from([0x83, 0x86, 0x44, 0x7f, 0x81, 0x07]),
  Buffer.from("/none"),
  Buffer.alloc(1019, 0xe9),
  Buffer.from([0x5f, 0x10]),
  Buffer.from("application/grpc"),
]);
/** The same by the names that are then in the table, in four bytes. */
export const LONG_PATH_AGAIN: Buffer = Buffer.from([0x83, 0x86, 0xbf, 0xbe]);
