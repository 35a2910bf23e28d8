import { describe, expect, test } from "vitest";
import { nextInt, SeededRandom } from "../random.ts";
import { PrefixIndex } from "./prefix-index.ts";

/** Prompts are paths in a tree of blocks; equal paths get equal hashes, as chained hashing does. */
class Hasher {
  readonly #ids = new Map<string, number>();

  words(path: readonly number[]): Uint32Array {
    const words = new Uint32Array(path.length * 2);
    for (let i = 0; i < path.length; i++) {
      const key = path.slice(0, i + 1).join(",");
      const id = this.#ids.get(key) ?? this.#ids.size + 1;
      this.#ids.set(key, id);
      words[i * 2] = id % 5; // few buckets, long chains
      words[i * 2 + 1] = 0xf000_0000 + id;
    }
    return words;
  }
}

const SLOTS = 5;

function depthsOf(index: PrefixIndex, words: Uint32Array): number[] {
  const depths = new Float64Array(SLOTS);
  index.match(words, 0, words.length / 2, depths);
  return [...depths];
}

function insert(index: PrefixIndex, slot: number, words: Uint32Array): number {
  return index.insert(slot, words, 0, words.length / 2);
}

function truncate(index: PrefixIndex, slot: number, words: Uint32Array): number {
  return index.truncate(slot, words, 0, words.length / 2);
}

const roomy = { bytesMax: 1 << 16, capacityDefault: 100 };

describe("matching", () => {
  test("counts leading blocks per endpoint, and nothing for endpoints without block 0", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    insert(index, 0, hasher.words([1, 2, 3, 4]));
    insert(index, 1, hasher.words([1, 2]));
    insert(index, 2, hasher.words([9, 2, 3]));
    expect(depthsOf(index, hasher.words([1, 2, 3, 5, 6]))).toEqual([3, 2, 0, 0, 0]);
  });

  test("returns the best depth and adds to what the array holds, so that prompts sum up", () => {
    const index = new PrefixIndex(roomy);
    const words = new Hasher().words([1, 2, 3]);
    insert(index, 3, words);
    const depths = new Float64Array(SLOTS);
    expect(index.match(words, 0, 3, depths)).toBe(3);
    expect(index.match(words, 0, 2, depths)).toBe(2);
    expect([...depths]).toEqual([0, 0, 0, 5, 0]);
  });

  test("an empty index and an empty prompt match nothing", () => {
    const index = new PrefixIndex(roomy);
    const words = new Hasher().words([1]);
    expect(depthsOf(index, words)).toEqual([0, 0, 0, 0, 0]);
    insert(index, 0, words);
    expect(index.match(words, 0, 0, new Float64Array(SLOTS))).toBe(0);
  });

  test("a prompt in the middle of the words is addressed by its blocks", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    const words = new Uint32Array([...hasher.words([1, 2]), ...hasher.words([3, 4, 5])]);
    index.insert(1, words, 2, 5);
    const depths = new Float64Array(SLOTS);
    index.match(words, 2, 5, depths);
    index.match(words, 0, 2, depths);
    expect([...depths]).toEqual([0, 3, 0, 0, 0]);
  });

  test("a long prompt held to different depths by many endpoints gets every depth right", () => {
    const index = new PrefixIndex({ bytesMax: 1 << 20, capacityDefault: 2048 });
    const words = new Hasher().words(Array.from({ length: 300 }, (_, i) => i));
    const wanted = new Float64Array(200);
    for (let slot = 0; slot < 200; slot++) {
      wanted[slot] = (slot * 37) % 301;
      index.insert(slot, words, 0, wanted[slot]!);
    }
    const depths = new Float64Array(200);
    expect(index.match(words, 0, 300, depths)).toBe(Math.max(...wanted));
    expect(depths).toEqual(wanted);
  });
});

describe("capacity", () => {
  test("a prompt longer than the capacity keeps its head, and no phantom of its tail", () => {
    const index = new PrefixIndex(roomy);
    const words = new Hasher().words([1, 2, 3, 4, 5, 6]);
    index.setCapacity(0, 4);
    expect(insert(index, 0, words)).toBe(4);
    expect(depthsOf(index, words)[0]).toBe(4);
    expect([index.size, index.blocks]).toEqual([4, 4]);
    index.remove(0);
    expect(depthsOf(index, words)[0]).toBe(0);
  });

  test("the tail of the least recent prompt is evicted first", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    index.setCapacity(0, 6);
    insert(index, 0, hasher.words([1, 2, 3, 4]));
    insert(index, 0, hasher.words([7, 8, 9]));
    expect(depthsOf(index, hasher.words([1, 2, 3, 4]))[0]).toBe(3);
    expect(depthsOf(index, hasher.words([7, 8, 9]))[0]).toBe(3);
  });

  test("shrinking evicts the oldest blocks, growing lets more in", () => {
    const index = new PrefixIndex(roomy);
    const words = new Hasher().words([1, 2, 3, 4]);
    insert(index, 0, words);
    index.setCapacity(0, 2);
    expect(depthsOf(index, words)[0]).toBe(2);
    index.setCapacity(0, 3);
    insert(index, 0, words);
    expect(depthsOf(index, words)[0]).toBe(3);
  });
});

describe("taking back", () => {
  test("drops what was inserted once and keeps what was there before", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    insert(index, 0, hasher.words([1, 2]));
    expect(insert(index, 0, hasher.words([1, 2, 3, 4]))).toBe(2);
    expect(truncate(index, 0, hasher.words([1, 2, 3, 4]))).toBe(2);
    expect(depthsOf(index, hasher.words([1, 2, 3, 4]))[0]).toBe(2);
  });

  test("keeps what another request has touched since, with everything before it", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    const failed = hasher.words([1, 2, 3, 4]);
    insert(index, 0, failed);
    insert(index, 0, hasher.words([1, 2, 3]));
    expect(truncate(index, 0, failed)).toBe(1);
    expect(depthsOf(index, failed)[0]).toBe(3);
  });

  test("leaves a longer prompt whole when a shorter one that never got in is taken back", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    insert(index, 0, hasher.words([1, 2, 3]));
    expect(truncate(index, 0, hasher.words([1, 2]))).toBe(0);
    expect(depthsOf(index, hasher.words([1, 2, 3]))[0]).toBe(3);
  });

  test("takes back a prompt that repeats a hash without losing count", () => {
    const index = new PrefixIndex(roomy);
    const looping = new Uint32Array([1, 1, 1, 1]);
    insert(index, 0, new Hasher().words([1, 2, 3]));
    expect(insert(index, 0, looping)).toBe(1);
    expect(truncate(index, 0, looping)).toBe(1);
    expect(index.size).toBe(3);
    expect(insert(index, 0, looping)).toBe(1);
    expect(insert(index, 0, new Hasher().words([1, 2, 3]))).toBe(0);
    expect(index.size).toBe(4);
  });

  test("a prompt cut to the capacity is taken back as far as it got in", () => {
    const index = new PrefixIndex(roomy);
    const words = new Hasher().words([1, 2, 3, 4, 5]);
    index.setCapacity(0, 3);
    insert(index, 0, words);
    expect(truncate(index, 0, words)).toBe(3);
    expect([index.size, index.blocks]).toEqual([0, 0]);
  });

  test("does nothing for an endpoint that holds nothing", () => {
    const index = new PrefixIndex(roomy);
    const words = new Hasher().words([1]);
    expect(truncate(index, 4, words)).toBe(0);
    insert(index, 0, words);
    expect(truncate(index, 4, words)).toBe(0);
  });
});

describe("departed endpoints", () => {
  test("are forgotten at once and their rows freed by later insertions", () => {
    const index = new PrefixIndex({ bytesMax: 1 << 16, capacityDefault: 1000 });
    const hasher = new Hasher();
    const long = hasher.words(Array.from({ length: 900 }, (_, i) => i));
    insert(index, 0, long);
    index.remove(0);
    expect([index.size, index.sizeDeparted]).toEqual([0, 900]);
    expect(depthsOf(index, long)[0]).toBe(0);
    for (let i = 0; i < 4; i++) insert(index, 1, hasher.words([5000 + i]));
    expect([index.size, index.sizeDeparted, index.blocks]).toEqual([4, 0, 4]);
  });

  test("leave nothing to the next owner of their slot", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    index.setCapacity(2, 3);
    insert(index, 2, hasher.words([1, 2, 3]));
    index.remove(2);
    insert(index, 2, hasher.words([4, 5, 6, 7]));
    expect(depthsOf(index, hasher.words([1, 2, 3]))[2]).toBe(0);
    expect(depthsOf(index, hasher.words([4, 5, 6, 7]))[2]).toBe(4);
  });

  test("may come and go more often than there are list numbers", () => {
    const index = new PrefixIndex({ bytesMax: 1 << 20, capacityDefault: 8 });
    const words = new Hasher().words([1, 2, 3]);
    for (let i = 0; i < 20_000; i++) {
      index.setCapacity(0, 8);
      insert(index, 1 + (i % 4), words);
      index.remove(0);
      index.remove(1 + (i % 4));
    }
    expect(index.size).toBe(0);
    expect(index.sizeDeparted).toBeLessThanOrEqual(1000);
  });
});

describe("bounds", () => {
  test("nothing is allocated before the first insertion, and no more than the ceiling after it", () => {
    for (const bytesMax of [4096, 5000, 1 << 16, 100_000]) {
      const index = new PrefixIndex({ bytesMax, capacityDefault: 100 });
      expect(index.bytes).toBe(0);
      insert(index, 0, new Hasher().words([1]));
      expect(index.bytes).toBeLessThanOrEqual(bytesMax);
      expect(index.bytes).toBeGreaterThan(bytesMax * 0.9);
      expect(index.sizeMax * 28).toBeLessThan(bytesMax);
    }
  });

  test("a full table takes from endpoints above their share, so that each keeps its share", () => {
    const index = new PrefixIndex({ bytesMax: 4096, capacityDefault: 1000 });
    const hasher = new Hasher();
    for (let i = 0; i < 60; i++) insert(index, 0, hasher.words([i, 1, 2]));
    expect(index.size).toBe(index.sizeMax);
    for (let i = 0; i < 60; i++) insert(index, 1, hasher.words([1000 + i, 1, 2]));
    expect(index.size).toBe(index.sizeMax);
    const share = Math.floor(index.sizeMax / 2);
    expect(index.sizeOf(0)).toBeGreaterThanOrEqual(share);
    expect(index.sizeOf(1)).toBeGreaterThanOrEqual(share);
  });

  test("more endpoints than rows still work, one block each at most", () => {
    const index = new PrefixIndex({ bytesMax: 4096, capacityDefault: 1000 });
    const hasher = new Hasher();
    for (let slot = 0; slot < 300; slot++) insert(index, slot, hasher.words([slot, 1, 2]));
    expect(index.size).toBe(index.sizeMax);
    const depths = new Float64Array(300);
    index.match(hasher.words([299, 1, 2]), 0, 3, depths);
    expect(depths[299]).toBe(1);
  });

  test("thousands of blocks with uniform hashes are all found, then all gone", () => {
    const index = new PrefixIndex({ bytesMax: 1 << 18, capacityDefault: 5000 });
    const random = new SeededRandom(7);
    const words = new Uint32Array(6000).map(() => nextInt(random, 2 ** 32));
    for (let from = 0; from < 3000; from += 30) index.insert(0, words, from, from + 30);
    const depths = new Float64Array(1);
    for (let from = 0; from < 3000; from += 30) {
      depths[0] = 0;
      index.match(words, from, from + 30, depths);
      expect(depths[0]).toBe(30);
    }
    for (let from = 0; from < 3000; from += 30) index.truncate(0, words, from, from + 30);
    expect([index.size, index.blocks]).toEqual([0, 0]);
  });

  test("a prompt that fills the whole table keeps its head", () => {
    const index = new PrefixIndex({ bytesMax: 4096, capacityDefault: 1000 });
    const words = new Hasher().words(Array.from({ length: 500 }, (_, i) => i));
    expect(insert(index, 0, words)).toBe(index.sizeMax);
    expect(depthsOf(index, words)[0]).toBe(index.sizeMax);
    insert(index, 1, new Hasher().words([7, 8]));
    expect(depthsOf(index, words)[0]).toBe(index.sizeMax - 2);
  });

  test("impossible bounds are refused", () => {
    expect(() => new PrefixIndex({ bytesMax: 100, capacityDefault: 1 })).toThrow(/bytesMax/);
    expect(() => new PrefixIndex({ bytesMax: 4096, capacityDefault: 0 })).toThrow(
      /capacityDefault/,
    );
  });

  test("clearing forgets everything", () => {
    const index = new PrefixIndex(roomy);
    const hasher = new Hasher();
    insert(index, 0, hasher.words([1, 2, 3]));
    insert(index, 1, hasher.words([1, 2]));
    index.remove(1);
    index.clear();
    expect([index.size, index.sizeDeparted, index.blocks]).toEqual([0, 0, 0]);
    expect(depthsOf(index, hasher.words([1, 2, 3]))).toEqual([0, 0, 0, 0, 0]);
    insert(index, 1, hasher.words([1, 2]));
    expect(depthsOf(index, hasher.words([1, 2, 3]))).toEqual([0, 2, 0, 0, 0]);
  });
});
