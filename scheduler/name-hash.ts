/**
 * 64-bit hash of an adapter or model name, as two u32 halves: names cross threads as numbers (scrapers write them
 * into shared memory, the scheduler compares them with the hash of the requested model).
 * @module
 */

/** Two halves of a name hash. */
export interface NameHash {
  readonly lo: number;
  readonly hi: number;
}

const FNV_PRIME = 0x01000193;
const LO_BASIS = 0x811c9dc5;
const HI_BASIS = 0x9747b28c; // a second basis gives an independent 32-bit lane

const encoder = new TextEncoder();

/**
 * Hashes a name (its UTF-8 bytes) with two FNV-1a lanes. The empty name hashes to 0/0, which no other name is given.
 *
 * @param name adapter or model name
 */
export function hashName(name: string): NameHash {
  return hashNameBytes(encoder.encode(name), 0, -1);
}

/** The same over bytes `[start, end)`; `end` = -1 means up to the end. */
export function hashNameBytes(bytes: Uint8Array, start: number, end: number): NameHash {
  const stop = end < 0 ? bytes.length : end;
  if (stop === start) return { lo: 0, hi: 0 };
  let lo = LO_BASIS;
  let hi = HI_BASIS;
  for (let i = start; i < stop; i++) {
    const byte = bytes[i]!;
    lo = Math.imul(lo ^ byte, FNV_PRIME);
    hi = Math.imul(hi ^ byte ^ 0x5c, FNV_PRIME);
  }
  lo >>>= 0;
  hi >>>= 0;
  return lo === 0 && hi === 0 ? { lo: 1, hi: 0 } : { lo, hi };
}
