/**
 * What the product holds, by the garbage collector: at most four times what it was given, and what it has for itself.
 * @module
 */
import { collector } from "../support/heap-growth.ts";
import type { MemoryWatch } from "./fuzz-target.ts";

const HELD_PER_INPUT_BYTE = 4;
/** Answers that wait for a peer which does not read stop the reading at 4 MiB; the rest is code and tables. */
const HELD_FREE_BYTES = 6 << 20;

export class HeapWatch implements MemoryWatch {
  readonly #collect = collector();
  #before = 0;

  start(): void {
    this.#before = this.#bytes();
  }

  check(inputBytes: number): void {
    const held = this.#bytes() - this.#before;
    if (held <= HELD_PER_INPUT_BYTE * inputBytes + HELD_FREE_BYTES) return;
    throw new Error(`${inputBytes} bytes of input hold ${held} bytes of memory`);
  }

  #bytes(): number {
    this.#collect();
    this.#collect(); // buffers are given back behind a collection; the next one waits for that
    const { external, heapUsed } = process.memoryUsage();
    return heapUsed + external;
  }
}
