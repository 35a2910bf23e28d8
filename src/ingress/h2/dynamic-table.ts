/**
 * HPACK's dynamic table (RFC 7541 §2.3.2): a ring, since each new entry moves the index of all others.
 *
 *   #ring   … [oldest] … [newest] …      index 0 is the newest
 * @module
 */
import type { HeaderField } from "./header-field.ts";

/** The least that an entry counts. */
const ENTRY_BYTES_MIN = 32;

export class DynamicTable {
  readonly #ring: (HeaderField | undefined)[];
  readonly #mask: number;
  /** Where the newest entry stands. */
  #head = 0;
  #count = 0;
  #byteLength = 0;
  #byteLengthMax: number;

  /** @param byteLengthMax what it may ever hold, by HPACK's count */
  constructor(byteLengthMax: number) {
    const capacity = 2 ** Math.ceil(Math.log2(byteLengthMax / ENTRY_BYTES_MIN + 1));
    this.#ring = new Array<HeaderField | undefined>(capacity).fill(undefined);
    this.#mask = capacity - 1;
    this.#byteLengthMax = byteLengthMax;
  }

  /** @param index 0 = the newest */
  get(index: number): HeaderField | undefined {
    return index < this.#count ? this.#ring[(this.#head - index) & this.#mask] : undefined;
  }

  insert(field: HeaderField): void {
    // The oldest make room first: an entry that is larger than the table empties it, and is not kept.
    this.#evict(this.#byteLengthMax - field.byteLength);
    if (field.byteLength > this.#byteLengthMax) return;
    this.#head = (this.#head + 1) & this.#mask;
    this.#ring[this.#head] = field;
    this.#count++;
    this.#byteLength += field.byteLength;
  }

  /** Changes what it may hold, up to what the constructor allowed. */
  resize(byteLengthMax: number): void {
    this.#byteLengthMax = byteLengthMax;
    this.#evict(byteLengthMax);
  }

  #evict(byteLengthMax: number): void {
    while (this.#count > 0 && this.#byteLength > byteLengthMax) {
      this.#count--;
      const oldest = (this.#head - this.#count) & this.#mask;
      this.#byteLength -= this.#ring[oldest]!.byteLength;
      this.#ring[oldest] = undefined;
    }
  }
}
