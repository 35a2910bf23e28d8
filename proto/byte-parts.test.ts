/**
 * Pieces of a run: large ones kept, small ones gathered, whatever the cuts.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteParts, bytePartsLimits } from "./byte-parts.ts";

const { keptBytesMin, ownBytesMax } = bytePartsLimits;

/** A run of `length` bytes that differ, in pieces of the given sizes and a last one of the rest. */
function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const out: Buffer[] = [];
  let from = 0;
  for (const size of sizes) {
    out.push(bytes.subarray(from, from + size));
    from += size;
  }
  out.push(bytes.subarray(from));
  return out;
}

function partsOf(chunks: readonly Uint8Array[]): ByteParts {
  const parts = new ByteParts();
  for (const chunk of chunks) parts.add(chunk);
  return parts;
}

describe("pieces", () => {
  test("large ones are the slices that came", () => {
    const chunks = [Buffer.alloc(keptBytesMin, 1), Buffer.alloc(keptBytesMin * 3, 2)];
    expect(partsOf(chunks).list).toEqual(chunks);
    expect(partsOf(chunks).list[1]).toBe(chunks[1]);
  });

  test("small ones are copied, so that the chunk they came in is not kept", () => {
    const chunk = Buffer.from("hello");
    const parts = partsOf([chunk]);
    chunk.fill(0);
    expect(Buffer.from(parts.joined()).toString()).toBe("hello");
  });

  test("none is empty, and clear leaves none", () => {
    const parts = partsOf([Buffer.alloc(0), Buffer.from("a"), Buffer.alloc(0)]);
    expect(parts.list.length).toBe(1);
    parts.clear();
    expect([parts.list.length, parts.byteLength, parts.joined().length]).toEqual([0, 0, 0]);
    parts.add(Buffer.from("b"));
    expect(Buffer.from(parts.joined()).toString()).toBe("b");
  });

  test("a run that comes byte by byte makes few pieces", () => {
    const parts = new ByteParts();
    for (let i = 0; i < 100_000; i++) parts.add(Buffer.of(i & 255));
    expect(parts.byteLength).toBe(100_000);
    expect(parts.list.length).toBeLessThan(100_000 / ownBytesMax + 8);
  });
});

test("any cuts give the same bytes, however they are passed on", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 60_000 }),
      fc.array(fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 9_000 }))),
      (length, sizes) => {
        const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 31) & 255));
        const parts = partsOf(pieces(bytes, sizes));
        const copy = new ByteParts();
        copy.addAll(parts);
        for (const run of [parts, copy]) {
          expect(run.byteLength).toBe(length);
          expect(bytes.equals(run.joined())).toBe(true);
          expect(run.list.every((piece) => piece.length > 0)).toBe(true);
        }
      },
    ),
  );
});
