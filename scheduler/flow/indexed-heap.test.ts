import fc from "fast-check";
import { expect, test } from "vitest";
import { IndexedHeap } from "./indexed-heap.ts";

interface Item {
  key: number;
  readonly id: number;
  at: number;
}

const heapOf = () =>
  new IndexedHeap<Item>({
    indexOf: ({ at }) => at,
    setIndex: (item, index) => {
      item.at = index;
    },
  });

const sorted = (items: readonly Item[]) => [...items].sort((a, b) => a.key - b.key || a.id - b.id);

test("an empty heap has no first", () => {
  const heap = heapOf();
  expect(heap.first).toBeNull();
  expect(heap.size).toBe(0);
  expect(heap.remove({ key: 1, id: 1, at: -1 })).toBe(false);
});

test("what is not in a heap can not leave it, even with the place of one that is", () => {
  const heap = heapOf();
  const member = { key: 1, id: 1, at: -1 };
  heap.add(member, 1, 1);
  expect(heap.remove({ key: 1, id: 1, at: 0 })).toBe(false);
  expect(heap.first).toBe(member);
});

test("first is the least of a plain list, whatever comes, leaves or changes; places are right", () => {
  const operation = fc.tuple(fc.nat(5), fc.integer({ min: 0, max: 9 }), fc.nat());
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
      const heap = heapOf();
      let list: Item[] = [];
      let id = 0;
      for (const [what, key, pick] of operations) {
        const chosen = list[pick % Math.max(1, list.length)];
        if (what <= 2 || chosen === undefined) {
          const item = { key, id: id++, at: -1 };
          heap.add(item, key, item.id);
          list.push(item);
        } else if (what === 3) {
          expect(heap.remove(chosen)).toBe(true);
          expect(heap.remove(chosen)).toBe(false);
          expect(chosen.at).toBe(-1);
          list = list.filter((item) => item !== chosen);
        } else if (what === 4) {
          chosen.key = key;
          heap.update(chosen, key, chosen.id);
        } else {
          heap.clear();
          for (const item of list) {
            expect(item.at).toBe(-1);
            item.key = (item.key * 7 + key) % 10;
            heap.add(item, item.key, item.id);
          }
        }
        expect(heap.first).toBe(sorted(list)[0] ?? null);
        expect(heap.size).toBe(list.length);
        heap.items.forEach((item, index) => {
          expect(item.at).toBe(index);
        });
      }
      heap.clear();
      expect(heap.size).toBe(0);
      for (const item of list) expect(item.at).toBe(-1);
    }),
  );
});
