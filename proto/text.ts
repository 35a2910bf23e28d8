/**
 * UTF-8 between strings and bytes, made for names and values of a few dozen ASCII characters.
 * @module
 */

/**
 * Text of bytes[start, end); what is not UTF-8 becomes U+FFFD, a byte order mark is kept.
 */
export function utf8(bytes: Uint8Array, start: number, end: number): string {
  if (start === end) return "";
  const buffer =
    bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString("utf8", start, end);
}

/** Bytes of a text in UTF-8; a lone surrogate counts as U+FFFD, which is what is written for it. */
export function utf8Size(text: string): number {
  const { length } = text;
  let size = length;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    size += unit < 0x800 ? 1 : 2;
    // A pair is four bytes for two units: two were counted with the length, two with the first unit.
    if (isHighSurrogate(unit) && isLowSurrogate(text.charCodeAt(i + 1))) i++;
  }
  return size;
}

/** True when bytes[start, end) are the UTF-8 of `text`. */
export function equalsText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  const { length } = text;
  // One UTF-16 unit is at most three bytes, and never less than one.
  if (end - start < length || end - start > 3 * length) return false;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return utf8(bytes, start, end) === text;
    if (bytes[start + i] !== unit) return false;
  }
  return end - start === length;
}

/** True when bytes[start, end), with ASCII letters in lower case, are `lowerCaseText`, which is ASCII. */
export function equalsTextIgnoreCase(
  bytes: Uint8Array,
  start: number,
  end: number,
  lowerCaseText: string,
): boolean {
  const { length } = lowerCaseText;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) {
    if (lowerAscii(bytes[start + i]!) !== lowerCaseText.charCodeAt(i)) return false;
  }
  return true;
}

/** ASCII letter in lower case, any other byte as it is. */
export function lowerAscii(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

function isLowSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xdc00;
}
