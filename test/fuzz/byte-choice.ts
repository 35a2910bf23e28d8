/**
 * Bytes as a source of choices: an input of no structure that decides how something structured is made.
 * @module
 */

export class ByteChoice {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** An integer from 0 to below `sides`; 0 when there are no bytes left. */
  roll(sides: number): number {
    let value = 0;
    for (let reach = 1; reach < sides; reach *= 256) value = value * 256 + this.#byte();
    return value % sides;
  }

  #byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }
}
