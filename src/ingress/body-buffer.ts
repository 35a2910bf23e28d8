/**
 * The chunks of one request body as they came, with a bound per request and one for all requests together.
 * @module
 */
import { ByteParts } from "../../proto/index.ts";
import type { BodyBytes } from "../request/work-area.ts";

/** Bytes of requests held at one time, over all streams. */
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
  readonly #parts = new ByteParts();
  /** Counted in the budget for a message that has not all come. */
  #pendingBytes = 0;
  /** The body without its content encoding; null = it has none, or nobody has looked. */
  #decoded: Uint8Array | null = null;

  constructor(budget: BodyBudget, bytesMax: number) {
    this.#budget = budget;
    this.#bytesMax = bytesMax;
  }

  get byteLength(): number {
    return this.#parts.byteLength;
  }

  /** The body so far, in pieces. */
  get pieces(): readonly Uint8Array[] {
    return this.#parts.list;
  }

  /** Whether it was decoded. */
  get isDecoded(): boolean {
    return this.#decoded !== null;
  }

  /** The body as it is read: without its content encoding. The same object each time, until it changes. */
  get readable(): BodyBytes {
    return this.#decoded ?? this.#parts.list;
  }

  get readableLength(): number {
    return this.#decoded?.length ?? this.byteLength;
  }

  /** Keeps what the body decodes to beside it. @returns false when the budget has no room for it */
  keepDecoded(decoded: Uint8Array): boolean {
    if (this.#budget.bytes + decoded.length > this.#budget.bytesMax) return false;
    this.#decoded = decoded;
    this.#budget.bytes += decoded.length;
    return true;
  }

  /** Keeps a chunk unless a bound says no; then nothing of it is kept. */
  append(chunk: ByteParts): AppendResult {
    const length = chunk.byteLength;
    if (this.byteLength + length > this.#bytesMax) return "too-large";
    if (this.#budget.bytes + length > this.#budget.bytesMax) return "budget";
    this.#parts.addAll(chunk);
    this.#budget.bytes += length;
    return "ok";
  }

  /**
   * Counts what is held elsewhere of a message on its way here; replaces what was told before.
   *
   * @returns false when the budget has no room for it; then nothing is counted
   */
  expect(byteLength: number): boolean {
    const budget = this.#budget;
    budget.bytes -= this.#pendingBytes;
    const hasRoom = budget.bytes + byteLength <= budget.bytesMax;
    this.#pendingBytes = hasRoom ? byteLength : 0;
    budget.bytes += this.#pendingBytes;
    return hasRoom;
  }

  /** Gives everything back; safe to call again. */
  release(): void {
    this.#budget.bytes -= this.byteLength + this.#pendingBytes + (this.#decoded?.length ?? 0);
    this.#pendingBytes = 0;
    this.#decoded = null;
    this.#parts.clear();
  }
}
