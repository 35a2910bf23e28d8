/**
 * The chunks of one request body as they came, with a bound per request and one for all requests together.
 * @module
 */

/** Bytes of request bodies held at one time, over all streams. */
export class BodyBudget {
  readonly bytesMax: number;
  bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }
}

export type AppendResult = "ok" | "too-large" | "budget";

export class BodyBuffer {
  readonly #budget: BodyBudget;
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  byteLength = 0;

  constructor(budget: BodyBudget, bytesMax: number) {
    this.#budget = budget;
    this.#bytesMax = bytesMax;
  }

  /** Keeps a chunk (no copy) unless a bound says no; then nothing is kept. */
  append(chunk: Uint8Array): AppendResult {
    const { length } = chunk;
    if (length === 0) return "ok";
    if (this.byteLength + length > this.#bytesMax) return "too-large";
    if (this.#budget.bytes + length > this.#budget.bytesMax) return "budget";
    this.#chunks.push(chunk);
    this.byteLength += length;
    this.#budget.bytes += length;
    return "ok";
  }

  /** The whole body as one run of bytes; copies only when there is more than one chunk. */
  joined(): Uint8Array {
    if (this.#chunks.length === 1) return this.#chunks[0]!;
    if (this.#chunks.length > 1) {
      this.#chunks = [Buffer.concat(this.#chunks, this.byteLength)];
      return this.#chunks[0]!;
    }
    return EMPTY;
  }

  /** Gives everything back; safe to call again. */
  release(): void {
    this.#budget.bytes -= this.byteLength;
    this.byteLength = 0;
    this.#chunks = [];
  }
}

const EMPTY = new Uint8Array(0);
