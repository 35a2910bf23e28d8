/**
 * Finds which of a few known member names a JSON string is, comparing bytes; no string is made for the others.
 * @module
 */

interface Key {
  readonly index: number;
  readonly bytes: Uint8Array;
}

const BACKSLASH = 0x5c;
/** `\u0061` for one letter: the longest way to write it. */
const ESCAPED_LETTER_BYTES = 6;

/** A fixed set of names of ASCII letters and underscores. */
export class KeyTable {
  /** Number of names. */
  readonly size: number;
  readonly #names: readonly string[];
  readonly #byLength: (readonly Key[] | undefined)[] = [];
  readonly #escapedLengthMin: number;
  readonly #escapedLengthMax: number;

  constructor(names: readonly string[]) {
    this.size = names.length;
    this.#names = names;
    const lengths = names.map((name) => name.length);
    this.#escapedLengthMin = Math.min(...lengths) + ESCAPED_LETTER_BYTES - 1;
    this.#escapedLengthMax = Math.max(...lengths) * ESCAPED_LETTER_BYTES;
    names.forEach((name, index) => {
      const key = { index, bytes: new TextEncoder().encode(name) };
      this.#byLength[name.length] = [...(this.#byLength[name.length] ?? []), key];
    });
  }

  /**
   * @param start first byte behind the opening quote
   * @param end   the closing quote
   * @returns     position of the name in the list given to the constructor, -1 when it is none of them
   */
  find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const keys = this.#byLength[length];
    if (keys !== undefined) {
      for (let k = 0; k < keys.length; k++) {
        const key = keys[k]!;
        const name = key.bytes;
        let i = 0;
        while (i < length && bytes[start + i] === name[i]) i++;
        if (i === length) return key.index;
      }
    }
    if (length < this.#escapedLengthMin || length > this.#escapedLengthMax) return -1;
    for (let i = start; i < end; i++) {
      if (bytes[i] === BACKSLASH) return this.#findEscaped(bytes.subarray(start, end));
    }
    return -1;
  }

  #findEscaped(raw: Uint8Array): number {
    return this.#names.indexOf(JSON.parse(`"${new TextDecoder().decode(raw)}"`));
  }
}
