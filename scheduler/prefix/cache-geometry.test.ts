import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  blocksMax,
  effectiveGeometry,
  type GeometryParameters,
  matchBlocks,
} from "./cache-geometry.ts";

const defaults: GeometryParameters = {
  autoTune: true,
  blockSizeTokens: 16,
  maxPrefixTokensToMatch: 131_072,
  maxPrefixBlocksToMatch: 2048,
  lruCapacityPerServer: 31_250,
};

describe("geometry", () => {
  const mixed = [
    { cacheBlockSize: 16, cacheBlocks: 27_000 },
    { cacheBlockSize: 128, cacheBlocks: 0 },
  ];

  test("is that of the largest engine block, capacities in tokens over it", () => {
    expect(effectiveGeometry(defaults, mixed, false)).toEqual({
      blockSizeTokens: 128,
      maxBlocks: 1024,
      lruCapacity: [3375, 31_250],
    });
  });

  test("upstream's is that of the first endpoint, capacities in engine blocks", () => {
    expect(effectiveGeometry(defaults, mixed, true)).toEqual({
      blockSizeTokens: 64,
      maxBlocks: 2048,
      lruCapacity: [27_000, 31_250],
    });
  });

  test("without autoTune only the parameters count", () => {
    const fixed = {
      ...defaults,
      autoTune: false,
      blockSizeTokens: 128,
      maxPrefixTokensToMatch: 0,
      lruCapacityPerServer: 500,
    };
    const geometry = { blockSizeTokens: 128, maxBlocks: 2048, lruCapacity: [500] };
    const endpoints = [{ cacheBlockSize: 256, cacheBlocks: 99 }];
    expect(effectiveGeometry(fixed, endpoints, true)).toEqual(geometry);
    expect(effectiveGeometry(fixed, endpoints, false)).toEqual(geometry);
  });

  test("without engines the configured block size counts, from 64 on, under either name", () => {
    const size = (parameters: Partial<GeometryParameters>) =>
      effectiveGeometry({ ...defaults, ...parameters }, [], false).blockSizeTokens;
    expect(size({})).toBe(64);
    expect(size({ blockSizeTokens: 256 })).toBe(256);
    expect(size({ blockSize: 128 })).toBe(128);
    expect(size({ blockSizeTokens: 256, blockSize: 128 })).toBe(256);
  });

  test("nonsense block sizes of engines are ignored", () => {
    const endpoints = [{ cacheBlockSize: 2_000_000_000, cacheBlocks: 100 }];
    expect(effectiveGeometry(defaults, endpoints, false).blockSizeTokens).toBe(64);
    expect(effectiveGeometry(defaults, endpoints, false).lruCapacity).toEqual([25]);
  });

  test("capacityTokens overrides the metrics, and no capacity is below one block", () => {
    const endpoints = [{ cacheBlockSize: 16, cacheBlocks: 3 }];
    const capacity = (parameters: Partial<GeometryParameters>) =>
      effectiveGeometry({ ...defaults, ...parameters }, endpoints, false).lruCapacity;
    expect(capacity({})).toEqual([1]);
    expect(capacity({ capacityTokens: 6400 })).toEqual([100]);
    expect(capacity({ capacityTokens: 1 })).toEqual([1]);
    expect(capacity({ autoTune: false, lruCapacityPerServer: 0 })).toEqual([31_250]);
  });

  test("the cap per prompt is in tokens, else in blocks, else far away", () => {
    expect(blocksMax(defaults, 256)).toBe(512);
    expect(blocksMax({ ...defaults, maxPrefixTokensToMatch: 63 }, 64)).toBe(0);
    expect(blocksMax({ ...defaults, maxPrefixTokensToMatch: 0 }, 256)).toBe(2048);
    const unlimited = { ...defaults, maxPrefixTokensToMatch: 0, maxPrefixBlocksToMatch: 0 };
    expect(blocksMax(unlimited, 64)).toBe(1 << 20);
  });
});

describe("matching", () => {
  test("a contiguous match ends at the first gap, upstream's at the first block that nobody holds", () => {
    const holders = new Map([
      ["h0", ["p0", "p1"]],
      ["h1", ["p0"]],
      ["h2", ["p0", "p1"]],
      ["h3", ["p1"]],
    ]);
    const prompt = [["h0", "h1", "h2", "h3"]];
    const endpoints = ["p0", "p1", "p2"];
    expect(matchBlocks(prompt, holders, endpoints, "contiguous")).toEqual({
      matchBlocks: { p0: 3, p1: 1, p2: 0 },
      totalBlocks: 4,
    });
    expect(matchBlocks(prompt, holders, endpoints, "upstream")).toEqual({
      matchBlocks: { p0: 3, p1: 3, p2: 0 },
      totalBlocks: 4,
    });
  });

  test("prompts are matched one by one and summed", () => {
    const holders = new Map([
      ["a", ["p0"]],
      ["b", ["p0"]],
    ]);
    const { matchBlocks: matched, totalBlocks } = matchBlocks(
      [["a", "x", "b"], ["b"]],
      holders,
      ["p0"],
      "contiguous",
    );
    expect([matched, totalBlocks]).toEqual([{ p0: 2 }, 4]);
  });

  test("the contiguous match never exceeds upstream's, and equals it where nobody has gaps", () => {
    const endpoints = ["p0", "p1", "p2"];
    const hashes = ["a", "b", "c", "d", "e"];
    const held = fc.array(fc.subarray(endpoints), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(held, (rows) => {
        const holders = new Map(hashes.map((hash, i) => [hash, rows[i]!]));
        const contiguous = matchBlocks([hashes], holders, endpoints, "contiguous").matchBlocks;
        const upstream = matchBlocks([hashes], holders, endpoints, "upstream").matchBlocks;
        for (const id of endpoints) {
          expect(contiguous[id]).toBeLessThanOrEqual(upstream[id]!);
          const count = rows.filter((row) => row.includes(id)).length;
          const depth = rows.findIndex((row) => !row.includes(id));
          if (depth < 0 || depth === count) expect(contiguous[id]).toBe(upstream[id]);
        }
      }),
    );
  });
});
