/**
 * Memory that calls leave behind.
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const CALLS = 10_000;
const WARMUP_CALLS = 1000;
const ROUNDS_MAX = 6;

/** Above this CALLS calls leak: 32 bytes a call, less than the smallest object worth keeping. */
export const HEAP_GROWTH_MAX = 32 * CALLS;

/** The collector, without a flag on the command line: a context made while the flag is set has it as a global. */
export function collector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  return collect;
}

/**
 * Bytes of heap that 10,000 calls leave occupied, garbage collected. The least of some rounds: a leak is in each of them,
 * code that is compiled meanwhile is not.
 */
export function heapGrowth(call: (i: number) => void): number {
  const collect = collector();
  for (let i = 0; i < WARMUP_CALLS; i++) call(i);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS_MAX && least >= HEAP_GROWTH_MAX; round++) {
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < CALLS; i++) call(i);
    collect();
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  return least;
}
