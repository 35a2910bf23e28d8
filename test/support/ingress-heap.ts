/**
 * What objects keep alive, on the heap and in buffers.
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const ROUNDS = 3;

/** The collector, without a flag on the command line: a context made while the flag is set has it as a global. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  return collect;
}

/**
 * Bytes that one of `count` objects holds. The least of some rounds: what an object holds is in each of them, code that is
 * compiled meanwhile is not.
 *
 * @param make makes an object; those of a round live until its end
 * @param drop is told of each object at the end of its round
 */
export function heldBytes<T>(count: number, make: () => T, drop: (object: T) => void): number {
  const collect = collector();
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) least = Math.min(least, round(count, make, drop, collect));
  return least;
}

/** A function of its own: what it has on the stack is gone when the next round begins. */
function round<T>(
  count: number,
  make: () => T,
  drop: (object: T) => void,
  collect: () => void,
): number {
  const before = used(collect);
  const objects: T[] = [];
  for (let i = 0; i < count; i++) objects.push(make());
  const after = used(collect);
  for (const object of objects) drop(object);
  objects.length = 0;
  return (after - before) / count;
}

function used(collect: () => void): number {
  collect();
  collect(); // buffers are given back by the collection after the one that finds them dead
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
