/**
 * Collects the chunks of one answer. A page that comes in one piece is not copied.
 * @module
 */

/** A page above is refused; the largest real ones (eight ranks behind one server) have some hundred kB. */
export const PAGE_BYTES_MAX = 4 * 1024 * 1024;

/** Bytes that all unfinished pages of a thread may hold together: hosts that drip can not fill the memory. */
export const UNFINISHED_BYTES_MAX = 64 * 1024 * 1024;

const FIRST_BUFFER_BYTES = 64 * 1024;

/** Free buffers kept for later pages, and the greatest that is kept. */
const FREE_BUFFERS_MAX = 32;
const FREE_BUFFER_BYTES_MAX = 1024 * 1024;

const EMPTY = Buffer.alloc(0);

/** Buffers of one thread. */
export class PageBuffers {
  /** Bytes lent out. */
  lentBytes = 0;
  readonly #free: Buffer[] = [];

  /** @returns a buffer of at least `bytes`, or null when too much is lent out */
  lend(bytes: number): Buffer | null {
    let buffer = this.#free.pop();
    if (buffer === undefined || buffer.length < bytes) {
      buffer = Buffer.allocUnsafeSlow(Math.max(bytes, FIRST_BUFFER_BYTES));
    }
    if (this.lentBytes + buffer.length > UNFINISHED_BYTES_MAX) return null;
    this.lentBytes += buffer.length;
    return buffer;
  }

  giveBack(buffer: Buffer): void {
    this.lentBytes -= buffer.length;
    if (this.#free.length < FREE_BUFFERS_MAX && buffer.length <= FREE_BUFFER_BYTES_MAX) {
      this.#free.push(buffer);
    }
  }
}

/** One page on its way. */
export class PageBuffer {
  length = 0;
  readonly #buffers: PageBuffers;
  /** The only chunk so far, as it came. */
  #single: Buffer = EMPTY;
  /** All chunks, once there are two. */
  #buffer: Buffer | null = null;

  constructor(buffers: PageBuffers) {
    this.#buffers = buffers;
  }

  /**
   * Takes a chunk; it must stay as it is until `keep` or `release`.
   *
   * @returns false when the page is above PAGE_BYTES_MAX or there is no memory for it
   */
  append(chunk: Buffer): boolean {
    const length = this.length + chunk.length;
    if (length > PAGE_BYTES_MAX) return false;
    if (this.length === 0) {
      this.#single = chunk;
      this.length = length;
      return true;
    }
    if (!this.#reserve(length)) return false;
    chunk.copy(this.#buffer!, this.length);
    this.length = length;
    return true;
  }

  /** Makes the page independent of its chunks' memory. @returns false when there is none for it */
  keep(): boolean {
    return this.#single.length === 0 || this.#reserve(this.length);
  }

  /** Makes `#buffer` hold what there is, with room for `length` bytes. */
  #reserve(length: number): boolean {
    if (this.#buffer !== null && this.#buffer.length >= length) return true;
    const larger = this.#buffers.lend(Math.min(2 * length, PAGE_BYTES_MAX));
    if (larger === null) return false;
    if (this.#buffer === null) this.#single.copy(larger);
    else {
      this.#buffer.copy(larger, 0, 0, this.length);
      this.#buffers.giveBack(this.#buffer);
    }
    this.#single = EMPTY;
    this.#buffer = larger;
    return true;
  }

  /** The page so far; valid until `release`. */
  page(): Buffer {
    return this.#buffer === null ? this.#single : this.#buffer.subarray(0, this.length);
  }

  release(): void {
    if (this.#buffer !== null) this.#buffers.giveBack(this.#buffer);
    this.#buffer = null;
    this.#single = EMPTY;
    this.length = 0;
  }
}
