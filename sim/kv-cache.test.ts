import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chained } from "../test/support/sim-requests.ts";
import { KvCache } from "./kv-cache.ts";

/** Blocks taken as private and named one after the other, as a prefill does. */
function fill(cache: KvCache, hashes: Float64Array): void {
  const hits = cache.lookup(hashes);
  expect(cache.acquire(hashes, hits, hashes.length - hits)).toBe(true);
  for (const hash of hashes.subarray(hits)) cache.name(hash);
}

describe("sharing", () => {
  test("a prompt's blocks are found by the next one with the same beginning, and cost nothing again", () => {
    const cache = new KvCache(10);
    fill(cache, chained([1, 2, 3]));
    expect(cache.lookup(chained([1, 2, 4]))).toBe(2);
    fill(cache, chained([1, 2, 4]));
    expect(cache.inUse).toBe(4);
  });

  test("a block is not found before it is full", () => {
    const cache = new KvCache(10);
    const hashes = chained([1, 2]);
    cache.acquire(hashes, 0, 2);
    expect(cache.lookup(hashes)).toBe(0);
    cache.name(hashes[0]!);
    expect(cache.lookup(hashes)).toBe(1);
  });

  test("equal blocks that two requests fill at the same time become one", () => {
    const cache = new KvCache(10);
    const hashes = chained([1]);
    cache.acquire(hashes, 0, 1);
    cache.acquire(hashes, 0, 1);
    cache.name(hashes[0]!);
    cache.name(hashes[0]!);
    expect(cache.inUse).toBe(1);
    cache.release(hashes, 1, 0);
    expect(cache.inUse).toBe(1);
    cache.release(hashes, 1, 0);
    expect([cache.inUse, cache.cached]).toEqual([0, 1]);
  });
});

describe("room", () => {
  test("a failed take changes nothing", () => {
    const cache = new KvCache(3);
    const hashes = chained([1, 2]);
    fill(cache, hashes);
    cache.release(hashes, 2, 0);
    // The two hits are idle: taking them leaves one block, not three.
    expect(cache.acquire(hashes, 2, 2)).toBe(false);
    expect(cache.extend(4)).toBe(false);
    expect([cache.inUse, cache.cached, cache.lookup(hashes)]).toEqual([0, 2, 2]);
    expect(cache.acquire(hashes, 2, 1)).toBe(true);
    expect(cache.utilization).toBe(1);
  });

  test("free blocks go before cached ones, and of those the least recently used", () => {
    const cache = new KvCache(4);
    for (const name of [1, 2, 3]) {
      fill(cache, chained([name]));
      cache.release(chained([name]), 1, 0);
    }
    fill(cache, chained([1]));
    cache.release(chained([1]), 1, 0);
    cache.extend(1);
    expect([1, 2, 3].map((name) => cache.lookup(chained([name])))).toEqual([1, 1, 1]);
    cache.extend(1);
    expect([1, 2, 3].map((name) => cache.lookup(chained([name])))).toEqual([1, 0, 1]);
    cache.extend(1);
    expect([1, 2, 3].map((name) => cache.lookup(chained([name])))).toEqual([1, 0, 0]);
  });

  test("the end of a prompt is evicted before its beginning", () => {
    const cache = new KvCache(3);
    fill(cache, chained([1, 2, 3]));
    cache.release(chained([1, 2, 3]), 3, 0);
    cache.extend(2);
    expect(cache.lookup(chained([1, 2, 3]))).toBe(1);
  });
});

/** The same cache as a plain list of blocks that is searched from end to end. */
class NaiveCache {
  readonly blocks: { hash: number | null; refs: number; releasedAt: number }[];
  #clock = 0;

  constructor(count: number) {
    this.blocks = Array.from({ length: count }, () => ({ hash: null, refs: 0, releasedAt: 0 }));
  }

  get inUse(): number {
    return this.blocks.filter(({ refs }) => refs > 0).length;
  }

  get cached(): number {
    return this.blocks.filter(({ hash, refs }) => refs === 0 && hash !== null).length;
  }

  find(hash: number) {
    return this.blocks.find((block) => block.hash === hash);
  }

  lookup(hashes: Float64Array): number {
    const miss = hashes.findIndex((hash) => this.find(hash) === undefined);
    return miss < 0 ? hashes.length : miss;
  }

  /** One more block without a name; null when all are in use. */
  take() {
    const unused = this.blocks.filter(({ refs }) => refs === 0);
    const block =
      unused.find(({ hash }) => hash === null) ??
      unused.sort((a, b) => a.releasedAt - b.releasedAt)[0];
    if (block === undefined) return null;
    block.refs = 1;
    block.hash = null;
    return block;
  }

  release(block: { refs: number; releasedAt: number }): void {
    block.refs--;
    block.releasedAt = ++this.#clock;
  }
}

test("agrees with a list of blocks on room, hits and evictions, whatever happens in whatever order", () => {
  const paths = [[1], [1, 2], [1, 2, 3], [1, 4], [1, 4, 5, 6], [7], [7, 8, 9], [1, 2, 3, 10, 11]];
  const prompts = paths.map(chained);
  const operation = fc.record({
    kind: fc.constantFrom("open", "open", "name", "name", "name", "extend", "close"),
    at: fc.nat(),
    count: fc.nat({ max: 3 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.array(operation, { maxLength: 60 }),
      (blocks, operations) => {
        const cache = new KvCache(blocks);
        const naive = new NaiveCache(blocks);
        type Block = NaiveCache["blocks"][number];
        const open: { hashes: Float64Array; named: Block[]; own: Block[] }[] = [];
        for (const { at, count, kind } of operations) {
          const request = open[at % Math.max(1, open.length)];
          if (kind === "open") {
            const hashes = prompts[at % prompts.length]!;
            const hits = Math.min(naive.lookup(hashes), count);
            const named = [...hashes.subarray(0, hits)].map((hash) => naive.find(hash)!);
            const idleHits = named.filter(({ refs }) => refs === 0).length;
            const fits = blocks - naive.inUse - idleHits >= count;
            expect(cache.acquire(hashes, hits, count)).toBe(fits);
            if (!fits) continue;
            for (const block of named) block.refs++;
            open.push({ hashes, named, own: Array.from({ length: count }, () => naive.take()!) });
          } else if (request === undefined) {
            continue;
          } else if (kind === "extend") {
            const fits = blocks - naive.inUse >= count;
            expect(cache.extend(count)).toBe(fits);
            for (let i = 0; fits && i < count; i++) request.own.push(naive.take()!);
          } else if (kind === "name") {
            const hash = request.hashes[request.named.length];
            if (hash === undefined || request.own.length === 0) continue;
            cache.name(hash);
            const block = request.own.pop()!;
            const equal = naive.find(hash);
            if (equal === undefined) block.hash = hash;
            else {
              naive.release(block);
              equal.refs++;
            }
            request.named.push(equal ?? block);
          } else {
            open.splice(open.indexOf(request), 1);
            cache.release(request.hashes, request.named.length, request.own.length);
            for (const block of [...request.named].reverse()) naive.release(block);
            for (const block of request.own) naive.release(block);
          }
          expect([cache.inUse, cache.cached]).toEqual([naive.inUse, naive.cached]);
          expect(cache.available).toBe(blocks - naive.inUse);
          expect(prompts.map((prompt) => cache.lookup(prompt))).toEqual(
            prompts.map((prompt) => naive.lookup(prompt)),
          );
        }
      },
    ),
    { numRuns: 500 },
  );
});
