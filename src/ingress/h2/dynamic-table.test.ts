import fc from "fast-check";
import { expect, test } from "vitest";
import { DynamicTable } from "./dynamic-table.ts";
import { type HeaderField, headerField } from "./header-field.ts";

const BYTES_MAX = 256;

/** The table as RFC 7541 §4 tells it. */
class Model {
  entries: HeaderField[] = [];
  max = BYTES_MAX;

  insert(field: HeaderField): void {
    this.entries.unshift(field);
    this.evict();
  }

  evict(): void {
    while (this.entries.reduce((sum, { byteLength }) => sum + byteLength, 0) > this.max) {
      this.entries.pop();
    }
  }
}

test("entries and evictions are those of a list, whatever comes", () => {
  const step = fc.oneof(
    fc.string({ maxLength: BYTES_MAX }).map((value) => ({ value })),
    fc.string({ maxLength: 3 }).map((value) => ({ value })),
    fc.integer({ min: 0, max: BYTES_MAX }).map((size) => ({ size })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new DynamicTable(BYTES_MAX);
      const model = new Model();
      for (const one of steps) {
        if ("size" in one) {
          table.resize(one.size);
          model.max = one.size;
          model.evict();
        } else {
          const field = headerField("a", one.value);
          table.insert(field);
          model.insert(field);
        }
        for (let i = 0; i <= model.entries.length; i++) expect(table.get(i)).toBe(model.entries[i]);
      }
    }),
  );
});

test("it holds as many of the smallest entries as its size allows", () => {
  const table = new DynamicTable(4096);
  const smallest = headerField("", "");
  for (let i = 0; i < 1000; i++) table.insert(smallest);
  expect([table.get(127), table.get(128)]).toEqual([smallest, undefined]);
});
