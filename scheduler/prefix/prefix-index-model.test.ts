import fc from "fast-check";
import { expect, test } from "vitest";
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

/** The obvious index: per endpoint an array of keys, newest first; which were inserted again, which ended an insertion. */
class NaiveIndex {
  readonly #held = new Map<number, string[]>();
  readonly #repeated = new Map<number, Set<string>>();
  readonly #last = new Map<number, Set<string>>();
  readonly #capacities = new Map<number, number>();
  readonly #capacityDefault: number;

  constructor(capacityDefault: number) {
    this.#capacityDefault = capacityDefault;
  }

  static keys(words: Uint32Array): string[] {
    return Array.from(
      { length: words.length / 2 },
      (_, i) => `${words[i * 2]}:${words[i * 2 + 1]}`,
    );
  }

  capacity(slot: number): number {
    return this.#capacities.get(slot) ?? this.#capacityDefault;
  }

  size(slot: number): number {
    return this.#held.get(slot)?.length ?? 0;
  }

  setCapacity(slot: number, blocks: number): void {
    this.#capacities.set(slot, blocks);
    this.#store(slot, this.#held.get(slot) ?? []);
  }

  match(slot: number, words: Uint32Array): number {
    const held = this.#held.get(slot) ?? [];
    const keys = NaiveIndex.keys(words);
    const gap = keys.findIndex((key) => !held.includes(key));
    return gap < 0 ? keys.length : gap;
  }

  insert(slot: number, words: Uint32Array): number {
    const before = this.#held.get(slot) ?? [];
    const head = NaiveIndex.keys(words).slice(0, this.capacity(slot));
    const repeated = this.#repeated.get(slot) ?? new Set();
    const last = this.#last.get(slot) ?? new Set();
    this.#repeated.set(slot, repeated);
    this.#last.set(slot, last);
    for (const key of head) {
      if (before.includes(key)) repeated.add(key);
      else {
        repeated.delete(key);
        last.delete(key);
      }
    }
    const end = head.at(-1)!;
    if (!before.includes(end)) last.add(end);
    this.#store(slot, [...head, ...before.filter((key) => !head.includes(key))]);
    return head.filter((key) => !before.includes(key)).length;
  }

  truncate(slot: number, words: Uint32Array): number {
    const doomed = NaiveIndex.keys(words).slice(0, this.match(slot, words));
    if (!this.#last.get(slot)?.has(doomed.at(-1) ?? "")) return 0;
    const from = doomed.findLastIndex((key) => this.#repeated.get(slot)?.has(key)) + 1;
    const removed = doomed.slice(from);
    const held = this.#held.get(slot) ?? [];
    this.#held.set(
      slot,
      held.filter((key) => !removed.includes(key)),
    );
    return removed.length;
  }

  remove(slot: number): void {
    this.#held.delete(slot);
    this.#repeated.delete(slot);
    this.#last.delete(slot);
    this.#capacities.delete(slot);
  }

  #store(slot: number, keys: string[]): void {
    this.#held.set(slot, keys.slice(0, this.capacity(slot)));
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

/** Prompts that share long heads: a trunk of up to 12 blocks, left at some block for one of two branches. */
const path = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.nat(12), fc.integer({ min: 1, max: 2 }))
  .map(([length, leave, branch]) => Array.from({ length }, (_, i) => (i < leave ? 0 : branch)));
const slot = fc.nat(SLOTS - 1);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("insert" as const), slot, path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("truncate" as const), slot, path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), slot, path }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("resize" as const),
      slot,
      path,
      to: fc.integer({ min: 1, max: 30 }),
    }),
  },
);

test("any sequence of operations gives the same matches, sizes and results", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
      const index = new PrefixIndex({ bytesMax: 1 << 16, capacityDefault: 20 });
      const model = new NaiveIndex(20);
      const hasher = new Hasher();
      for (const op of operations) {
        const words = hasher.words(op.path);
        if (op.kind === "insert") {
          expect(insert(index, op.slot, words)).toBe(model.insert(op.slot, words));
        } else if (op.kind === "truncate") {
          expect(truncate(index, op.slot, words)).toBe(model.truncate(op.slot, words));
        } else if (op.kind === "remove") {
          index.remove(op.slot);
          model.remove(op.slot);
        } else {
          index.setCapacity(op.slot, op.to);
          model.setCapacity(op.slot, op.to);
        }
        const expected = Array.from({ length: SLOTS }, (_, i) => model.match(i, words));
        expect(depthsOf(index, words)).toEqual(expected);
        let total = 0;
        for (let i = 0; i < SLOTS; i++) {
          expect(index.sizeOf(i)).toBe(model.size(i));
          expect(model.size(i)).toBeLessThanOrEqual(model.capacity(i));
          total += model.size(i);
        }
        expect(index.size).toBe(total);
      }
    }),
    { numRuns: 300 },
  );
});

test("with a table far too small, prompts still have no gaps and the bound holds", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ slot: fc.nat(40), path, remove: fc.nat(9) }), { maxLength: 150 }),
      (operations) => {
        const index = new PrefixIndex({ bytesMax: 4096, capacityDefault: 50 });
        const hasher = new Hasher();
        const depths = new Float64Array(41);
        for (const op of operations) {
          const words = hasher.words(op.path);
          if (op.remove === 0) index.remove(op.slot);
          else insert(index, op.slot, words);
          expect(index.size + index.sizeDeparted).toBeLessThanOrEqual(index.sizeMax);
          depths.fill(0);
          index.match(words, 0, op.path.length, depths);
          for (let i = 0; i <= 40; i++) {
            for (let block = 0; block < op.path.length; block++) {
              expect(index.holds(i, words, block)).toBe(block < depths[i]!);
            }
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("colliding hashes, in one prompt or across prompts, neither hang nor break the bounds", () => {
  const block = fc.nat(6);
  fc.assert(
    fc.property(
      fc.array(fc.record({ slot, blocks: fc.array(block, { maxLength: 12 }), kind: fc.nat(5) }), {
        maxLength: 120,
      }),
      (operations) => {
        const index = new PrefixIndex({ bytesMax: 4096, capacityDefault: 9 });
        for (const op of operations) {
          const words = Uint32Array.from(op.blocks.flatMap((id) => [id % 2, id]));
          if (op.kind === 0) index.remove(op.slot);
          else if (op.kind === 1) truncate(index, op.slot, words);
          else insert(index, op.slot, words);
          for (const depth of depthsOf(index, words)) {
            expect(depth).toBeLessThanOrEqual(op.blocks.length);
          }
          for (let i = 0; i < SLOTS; i++) expect(index.sizeOf(i)).toBeLessThanOrEqual(9);
        }
        for (let i = 0; i < SLOTS; i++) index.remove(i);
        for (let i = 0; i < 3; i++) insert(index, 0, new Uint32Array([99, 99]));
        expect([index.size, index.sizeDeparted, index.blocks]).toEqual([1, 0, 1]);
      },
    ),
    { numRuns: 300 },
  );
});
