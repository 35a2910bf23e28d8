import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BlockHasher,
  blockHashesHex,
  blockHashLimits,
  hashTokens,
  rootHash,
} from "./block-hash.ts";

const hasher = new BlockHasher();

function put(bytes: Uint8Array, at = 0): number {
  hasher.ensure(at + bytes.length);
  hasher.input.set(bytes, at);
  return at + bytes.length;
}

function hash(bytes: Uint8Array, seed = 0n, at = 0): bigint {
  const end = put(bytes, at);
  hasher.xxh64(at, end, Number(seed & 0xffff_ffffn), Number(seed >> 32n));
  return (BigInt(hasher.hi) << 32n) | BigInt(hasher.lo);
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

// ── reference: XXH64 as its specification words it, in BigInt ─────────────────────────────────────────────────────

const MASK = (1n << 64n) - 1n;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;

const rotate = (x: bigint, bits: bigint): bigint => ((x << bits) | (x >> (64n - bits))) & MASK;
const round = (acc: bigint, lane: bigint): bigint =>
  (rotate((acc + lane * P2) & MASK, 31n) * P1) & MASK;

function little(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i]!);
  return value;
}

function reference(bytes: Uint8Array, seed = 0n): bigint {
  let at = 0;
  let h = (seed + P5) & MASK;
  if (bytes.length >= 32) {
    const v = [seed + P1 + P2, seed + P2, seed, seed - P1].map((x) => x & MASK);
    for (; at + 32 <= bytes.length; at += 32) {
      for (let lane = 0; lane < 4; lane++) {
        v[lane] = round(v[lane]!, little(bytes, at + lane * 8, 8));
      }
    }
    h = rotate(v[0]!, 1n) + rotate(v[1]!, 7n) + rotate(v[2]!, 12n) + rotate(v[3]!, 18n);
    for (const lane of v) h = (((h & MASK) ^ round(0n, lane)) * P1 + P4) & MASK;
  }
  h = (h + BigInt(bytes.length)) & MASK;
  for (; at + 8 <= bytes.length; at += 8) {
    h = (rotate(h ^ round(0n, little(bytes, at, 8)), 27n) * P1 + P4) & MASK;
  }
  if (at + 4 <= bytes.length) {
    h = (rotate(h ^ ((little(bytes, at, 4) * P1) & MASK), 23n) * P2 + P3) & MASK;
    at += 4;
  }
  for (; at < bytes.length; at++) {
    h = (rotate(h ^ ((BigInt(bytes[at]!) * P5) & MASK), 11n) * P1) & MASK;
  }
  h = ((h ^ (h >> 33n)) * P2) & MASK;
  h = ((h ^ (h >> 29n)) * P3) & MASK;
  return h ^ (h >> 32n);
}

function pair(first: bigint, second: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, first, true);
  view.setBigUint64(8, second, true);
  return bytes;
}

function referenceBlocks(bytes: Uint8Array, blockBytes: number, max: number, root: bigint) {
  const hashes: bigint[] = [];
  let previous = root;
  for (let at = 0; at < bytes.length && hashes.length < max; at += blockBytes) {
    previous = reference(pair(reference(bytes.subarray(at, at + blockBytes)), previous));
    hashes.push(previous);
  }
  return hashes;
}

function words(out: Uint32Array, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => {
    return (BigInt(out[i * 2 + 1]!) << 32n) | BigInt(out[i * 2]!);
  });
}

describe("xxh64", () => {
  test.each([
    ["", 0n, "ef46db3751d8e999"],
    ["a", 0n, "d24ec4f1a98c6e5b"],
    ["abc", 0n, "44bc2cf5ad770999"],
    ["xxhash", 20141025n, "b559b98d844e0635"],
    ["Nobody inspects the spammish repetition", 0n, "fbcea83c8a378bf1"],
  ])("gives the published value for %j, seed %s", (text, seed, expected) => {
    expect(hash(utf8(text), seed).toString(16).padStart(16, "0")).toBe(expected);
  });

  test("agrees with the reference at every length from 0 to 200", () => {
    const bytes = Uint8Array.from({ length: 200 }, (_, i) => (i * 151 + 7) & 0xff);
    for (let length = 0; length <= 200; length++) {
      const part = bytes.subarray(0, length);
      expect(hash(part), `length ${length}`).toBe(reference(part));
    }
  });

  test("agrees with the reference for any bytes, seed and position", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 600 }),
        fc.bigInt({ min: 0n, max: MASK }),
        fc.nat(100),
        (bytes, seed, at) => {
          expect(hash(bytes, seed, at)).toBe(reference(bytes, seed));
        },
      ),
    );
  });
});

describe("hashBlocks", () => {
  test("agrees with the reference for any bytes, block size, cap and root", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 800 }),
        fc.integer({ min: 1, max: 96 }),
        fc.nat(40),
        fc.bigInt({ min: 0n, max: MASK }),
        (bytes, blockBytes, max, root) => {
          put(bytes);
          const out = new Uint32Array(2 + 2 * Math.min(max, Math.ceil(bytes.length / blockBytes)));
          const lo = Number(root & 0xffff_ffffn);
          const hi = Number(root >> 32n);
          const count = hasher.hashBlocks(0, bytes.length, blockBytes, max, lo, hi, out, 2);
          const expected = referenceBlocks(bytes, blockBytes, max, root);
          expect(words(out.subarray(2), count)).toEqual(expected);
        },
      ),
    );
  });

  test("chains over more blocks than one call takes", () => {
    const bytes = Uint8Array.from({ length: 5000 * 4 }, (_, i) => (i * 31) >>> 3);
    put(bytes);
    const out = new Uint32Array(10_000);
    expect(hasher.hashBlocks(0, bytes.length, 4, 5000, 1, 2, out, 0)).toBe(5000);
    expect(words(out, 5000)).toEqual(referenceBlocks(bytes, 4, 5000, (2n << 32n) | 1n));
    expect(hasher.hashBlocks(0, bytes.length, 4, 2049, 1, 2, out, 0)).toBe(2049);
  });

  test("hashes of a prefix are a prefix of the hashes", () => {
    const bytes = Uint8Array.from({ length: 1024 }, (_, i) => i * 13);
    put(bytes);
    const long = new Uint32Array(32);
    const short = new Uint32Array(32);
    hasher.hashBlocks(0, 1024, 64, 16, 3, 4, long, 0);
    const count = hasher.hashBlocks(0, 640, 64, 16, 3, 4, short, 0);
    expect(count).toBe(10);
    expect(short.subarray(0, 20)).toEqual(long.subarray(0, 20));
  });
});

describe("the input area", () => {
  test("keeps its contents when it grows", () => {
    const own = new BlockHasher();
    const before = own.input.length;
    own.input.fill(7);
    own.ensure(before * 3);
    expect(own.input.length).toBeGreaterThanOrEqual(before * 3);
    expect(own.input.subarray(0, before).every((byte) => byte === 7)).toBe(true);
    own.xxh64(0, 0);
    expect(own.hi).toBe(0xef46db37);
  });

  test("refuses to grow past its limit", () => {
    expect(() => new BlockHasher().ensure(blockHashLimits.inputBytesMax + 1)).toThrow(
      `hash input of ${blockHashLimits.inputBytesMax + 1} bytes; at most ${blockHashLimits.inputBytesMax}`,
    );
  });
});

describe("roots", () => {
  const root = (model: string, salt: string, upstream: boolean): string => {
    const { lo, hi } = rootHash(hasher, model, salt, upstream);
    return `${hi}:${lo}`;
  };

  test("upstream's root is the hash of model and salt run together", () => {
    const { lo, hi } = rootHash(hasher, "mod", "el", true);
    expect((BigInt(hi) << 32n) | BigInt(lo)).toBe(reference(utf8("model")));
    expect(root("mod", "el", true)).toBe(root("model", "", true));
  });

  test("by default model and salt do not run together", () => {
    expect(root("mod", "el", false)).not.toBe(root("model", "", false));
    expect(root("model", "", false)).not.toBe(root("", "model", false));
    const bytes = Uint8Array.of(1, 0, 0, 0, 109, 2, 0, 0, 0, 0xc3, 0xa9);
    const { lo, hi } = rootHash(hasher, "m", "é", false);
    expect((BigInt(hi) << 32n) | BigInt(lo)).toBe(reference(bytes));
  });

  test("the bytes are put where the caller says and nowhere else", () => {
    hasher.ensure(4096);
    hasher.input.fill(9, 0, 4096);
    const expected = root("some-model", "salt", false);
    hasher.input.fill(9, 0, 4096);
    const { lo, hi } = rootHash(hasher, "some-model", "salt", false, 2000);
    expect(`${hi}:${lo}`).toBe(expected);
    expect(hasher.input.subarray(0, 2000).every((byte) => byte === 9)).toBe(true);
  });
});

interface HashVector {
  id: string;
  plugin: string;
  parameters: { blockSizeTokens: number; maxBlocks?: number };
  request: { targetModel: string; cacheSalt?: string; prompts: number[][] };
  expected: { hashes: string[][] };
}

const fixture = new URL("../../test/fixtures/prompt-vectors.json", import.meta.url);
const vectors: HashVector[] = JSON.parse(readFileSync(fixture, "utf8")).vectors.filter(
  (vector: HashVector) => vector.plugin === "approx-prefix-hash",
);

describe("vectors of llm-d-router", () => {
  test.each(vectors)("$id", ({ parameters, request, expected }) => {
    const hashes = hashTokens(
      request.prompts,
      request.targetModel,
      request.cacheSalt ?? "",
      parameters.blockSizeTokens,
      parameters.maxBlocks ?? 2048,
      true,
    );
    expect(blockHashesHex(hashes)).toEqual(expected.hashes);
  });

  test("there are four of them", () => {
    expect(vectors).toHaveLength(4);
  });

  test("a prompt's last block is marked when it is short and was hashed", () => {
    const ids = [1, 2, 3, 4, 5];
    const prompts = [ids, Uint32Array.from(ids.slice(0, 4)), []];
    expect(hashTokens(prompts, "m", "", 4, 9, false).partialTail).toEqual(Uint8Array.of(1, 0, 0));
    expect(hashTokens(prompts, "m", "", 4, 1, false).partialTail).toEqual(Uint8Array.of(0, 0, 0));
    expect(hashTokens(prompts, "m", "", 4, 9, false).promptStarts).toEqual(
      Int32Array.of(0, 2, 3, 3),
    );
  });
});
