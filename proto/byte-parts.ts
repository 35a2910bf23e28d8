/**
 * A run of bytes that came in pieces: large pieces stay the slices they are, small ones are copied side by side, so that
 * a peer that sends byte by byte can make us keep neither an object nor a chunk for each.
 *
 *   list   [slice ≥ 4 KiB][small small small …│room][slice] …
 *                          └ own memory ┘
 * @module
 */

export const bytePartsLimits = {
  /** Pieces from this size on are kept as they are: they hold at most a chunk of 64 KiB alive. */
  keptBytesMin: 4096,
  /** Memory for small pieces: begins with the first, doubles with the second. */
  ownBytesMin: 256,
  ownBytesMax: 16 * 1024,
} as const;

const EMPTY: Uint8Array = new Uint8Array(0);

export class ByteParts {
  /** The pieces in order, none empty. The array is the reader's to look at, not to keep or change. */
  list: Uint8Array[] = [];
  byteLength = 0;
  #own: Buffer | null = null;
  #ownFill = 0;

  /** Appends bytes, which nobody may write any more. */
  add(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length === 0) return;
    this.byteLength += length;
    if (length >= bytePartsLimits.keptBytesMin) {
      this.list.push(bytes);
      this.#own = null;
    } else {
      this.#copy(bytes);
    }
  }

  /** Appends a slice as it is, whatever its size: for who holds the run for a moment only. */
  addSlice(bytes: Uint8Array): void {
    this.byteLength += bytes.length;
    this.list.push(bytes);
    this.#own = null;
  }

  /** Appends all pieces of another run. */
  addAll(parts: ByteParts): void {
    for (const part of parts.list) this.add(part);
  }

  /** Becomes the empty run. */
  clear(): void {
    if (this.list.length > 0) this.list = [];
    this.byteLength = 0;
    this.#own = null;
  }

  /** The run as one piece; copies when it has several. */
  joined(): Uint8Array {
    if (this.list.length === 0) return EMPTY;
    return this.list.length === 1 ? this.list[0]! : Buffer.concat(this.list, this.byteLength);
  }

  #copy(bytes: Uint8Array): void {
    const own = this.#own;
    const { length } = bytes;
    if (own !== null && own.length - this.#ownFill >= length) {
      own.set(bytes, this.#ownFill);
      this.#ownFill += length;
      this.list[this.list.length - 1] = own.subarray(0, this.#ownFill);
      return;
    }
    const { ownBytesMin, ownBytesMax } = bytePartsLimits;
    const size = own === null ? ownBytesMin : Math.min(own.length * 2, ownBytesMax);
    const next = Buffer.allocUnsafe(Math.max(size, length));
    next.set(bytes);
    this.#own = next;
    this.#ownFill = length;
    this.list.push(next.length === length ? next : next.subarray(0, length));
  }
}
