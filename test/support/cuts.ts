/**
 * Bytes cut into pieces, for readers to which the cuts must make no difference.
 * @module
 */
import fc from "fast-check";

/** Places to cut at, as shares of the whole; the same place twice gives an empty piece. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.array(
  fc.double({ min: 0, max: 1, noNaN: true }),
  {
    maxLength: 12,
  },
);

export function piecesOf(bytes: Buffer, shares: readonly number[]): Buffer[] {
  const places = shares.map((share) => Math.floor(share * bytes.length)).sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const place of [...places, bytes.length]) {
    pieces.push(bytes.subarray(from, place));
    from = place;
  }
  return pieces;
}

/** Every byte a piece of its own. */
export function crumbsOf(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}
