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
  const used = () => {
    collect();
    const { arrayBuffers, heapUsed } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const objects: T[] = [];
    const before = used();
    for (let i = 0; i < count; i++) objects.push(make());
    least = Math.min(least, (used() - before) / count);
    for (const object of objects) drop(object);
  }
  return least;
}
