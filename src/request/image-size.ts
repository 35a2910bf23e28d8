/**
 * Width and height of an image given as base64, read from its header without decoding the rest: PNG, JPEG, GIF, WebP.
 * @module
 */

export interface ImageSize {
  width: number;
  height: number;
}

/** JPEG segments walked until the frame header; cameras write a dozen (EXIF, ICC profile in pieces, tables). */
const JPEG_SEGMENTS_MAX = 256;

/** Container and chunk header and the size behind them, in the longest of the three forms. */
const WEBP_HEADER_BYTES = 30;

const NOT_BASE64 = 255;

const DIGITS = makeDigits();

function makeDigits(): Uint8Array {
  const digits = new Uint8Array(256).fill(NOT_BASE64);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (let i = 0; i < alphabet.length; i++) digits[alphabet.charCodeAt(i)] = i;
  digits["-".charCodeAt(0)] = 62; // the URL-safe variant
  digits["_".charCodeAt(0)] = 63;
  return digits;
}

/** Bytes of a base64 text by index; -1 behind the end or where the text is not base64. */
class Base64Bytes {
  readonly #text: Uint8Array;
  readonly #start: number;
  readonly #end: number;

  constructor(text: Uint8Array, start: number, end: number) {
    this.#text = text;
    this.#start = start;
    this.#end = end;
  }

  at(index: number): number {
    const offset = index % 3;
    const group = this.#start + ((index - offset) / 3) * 4;
    const left = this.#digit(group + offset);
    const right = this.#digit(group + offset + 1);
    if (left === NOT_BASE64 || right === NOT_BASE64) return -1;
    // digits hold 6 bits: a byte takes 6 + 2, 4 + 4 or 2 + 6 of two neighbors
    return ((left << (2 + offset * 2)) | (right >>> (4 - offset * 2))) & 0xff;
  }

  big16(index: number): number {
    return (this.at(index) << 8) | this.at(index + 1);
  }

  little16(index: number): number {
    return this.at(index) | (this.at(index + 1) << 8);
  }

  is(index: number, signature: string): boolean {
    for (let i = 0; i < signature.length; i++) {
      if (this.at(index + i) !== signature.charCodeAt(i)) return false;
    }
    return true;
  }

  #digit(position: number): number {
    return position < this.#end ? DIGITS[this.#text[position]!]! : NOT_BASE64;
  }
}

/**
 * @param text base64 in [start, end), without white space
 * @returns    the size in pixels, or null when the format is another one or the header is broken
 */
export function imageSize(text: Uint8Array, start: number, end: number): ImageSize | null {
  const bytes = new Base64Bytes(text, start, end);
  const size = readSize(bytes);
  return size !== null && size.width > 0 && size.height > 0 ? size : null;
}

function readSize(bytes: Base64Bytes): ImageSize | null {
  if (bytes.is(0, "\x89PNG\r\n\x1a\n") && bytes.is(12, "IHDR")) {
    return {
      width: bytes.big16(16) * 65_536 + bytes.big16(18),
      height: bytes.big16(20) * 65_536 + bytes.big16(22),
    };
  }
  if (bytes.is(0, "\xff\xd8\xff")) return jpegSize(bytes);
  if (bytes.is(0, "GIF8")) return { width: bytes.little16(6), height: bytes.little16(8) };
  if (bytes.is(0, "RIFF") && bytes.is(8, "WEBP")) return webpSize(bytes);
  return null;
}

/** Walks the segments (0xFF, marker, length) up to the frame header, SOF0 … SOF15. */
function jpegSize(bytes: Base64Bytes): ImageSize | null {
  let at = 2;
  for (let segment = 0; segment < JPEG_SEGMENTS_MAX; segment++) {
    if (bytes.at(at) !== 0xff) return null;
    const marker = bytes.at(at + 1);
    if (marker === 0xff) {
      at++; // fill byte
      continue;
    }
    // 0xC4, 0xC8 and 0xCC are tables, an extension and conditioning, not frames
    const isFrame =
      marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { height: bytes.big16(at + 5), width: bytes.big16(at + 7) };
    const length = bytes.big16(at + 2);
    if (marker < 0 || length < 2) return null;
    at += 2 + length;
  }
  return null;
}

function webpSize(bytes: Base64Bytes): ImageSize | null {
  if (bytes.at(WEBP_HEADER_BYTES - 1) < 0) return null;
  if (bytes.is(12, "VP8 ")) {
    return { width: bytes.little16(26) & 0x3fff, height: bytes.little16(28) & 0x3fff };
  }
  if (bytes.is(12, "VP8L")) {
    const low = bytes.little16(21);
    const high = bytes.little16(23);
    return {
      width: (low & 0x3fff) + 1,
      height: ((low >>> 14) | ((high & 0xfff) << 2)) + 1,
    };
  }
  if (bytes.is(12, "VP8X")) {
    return {
      width: (bytes.little16(24) | (bytes.at(26) << 16)) + 1,
      height: (bytes.little16(27) | (bytes.at(29) << 16)) + 1,
    };
  }
  return null;
}
