import { expect, test } from "vitest";
import { nextInt, SeededRandom } from "../random.ts";
import { BlockRows, LISTS_MAX } from "./block-rows.ts";

/** `count` blocks with uniform hashes. */
function uniform(count: number): Uint32Array {
  const random = new SeededRandom(3);
  return new Uint32Array(count * 2).map(() => nextInt(random, 2 ** 32));
}

test("buckets stay short from the first block to a full table", () => {
  const rows = new BlockRows(1 << 18);
  rows.allocate();
  const words = uniform(rows.rowsMax);
  for (let block = 0; block < rows.rowsMax; block++) {
    expect(rows.add(1, words, block, 0)).toBeGreaterThan(0);
    if ((block & (block + 1)) === 0) expect(rows.bucketLengthMax()).toBeLessThanOrEqual(12);
  }
  expect(rows.bucketLengthMax()).toBeLessThanOrEqual(12);
  expect([rows.used, rows.blocks, rows.sizes[1]]).toEqual([
    rows.rowsMax,
    rows.rowsMax,
    rows.rowsMax,
  ]);
});

test("the leader counts the holders of its block, whoever leaves", () => {
  const rows = new BlockRows(4096);
  rows.allocate();
  const words = uniform(1);
  const [first, second, third] = [1, 2, LISTS_MAX].map((list) => rows.add(list, words, 0, 0));
  expect(rows.leader(words, 0)).toBe(first);
  expect(rows.holders(first!)).toBe(3);
  rows.drop(second!);
  expect(rows.holders(first!)).toBe(2);
  rows.drop(first!);
  expect(rows.leader(words, 0)).toBe(third);
  expect([rows.holders(third!), rows.listOf(third!), rows.blocks]).toEqual([1, LISTS_MAX, 1]);
  rows.drop(third!);
  expect([rows.leader(words, 0), rows.blocks, rows.used]).toEqual([0, 0, 0]);
});

test("a list that holds a block is not given it again", () => {
  const rows = new BlockRows(4096);
  rows.allocate();
  const words = uniform(1);
  rows.add(1, words, 0, 0);
  expect(rows.add(1, words, 0, 0)).toBe(0);
  expect(rows.used).toBe(1);
});
