import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { histogramOf, parseExposition, sumOf } from "../../test/support/exposition.ts";
import type { FamilyDefinition } from "./catalog.ts";
import { Family, SERIES_PER_FAMILY_MAX } from "./registry.ts";

const counter: FamilyDefinition = { name: "c", type: "counter", help: "Help.", labels: ["a", "b"] };
const histogram: FamilyDefinition = {
  name: "h",
  type: "histogram",
  help: "Help.",
  labels: [],
  buckets: [1, 2, 5],
};

function textOf(family: Family): string {
  return family
    .blocks()
    .map(({ text }) => text)
    .join("");
}

describe("a counter", () => {
  test("adds by row, and has a row per combination of label values", () => {
    const family = new Family(counter);
    const row = family.row("x", "y");
    family.add(row);
    family.add(family.row("x", "y"), 2.5);
    family.add(family.row("y", "x"));
    expect(family.get(row)).toBe(3.5);
    expect(textOf(family)).toBe(
      '# HELP c [ALPHA] Help.\n# TYPE c counter\nc{a="x",b="y"} 3.5\nc{a="y",b="x"} 1\n',
    );
  });

  test("without labels is there from the start, as 0", () => {
    expect(textOf(new Family({ ...counter, labels: [] }))).toContain("\nc 0\n");
  });

  test("with labels shows nothing until there is something", () => {
    expect(textOf(new Family(counter))).toBe("# HELP c [ALPHA] Help.\n# TYPE c counter\n");
  });

  test("prints whole numbers as integers", () => {
    const family = new Family({ ...counter, labels: [] });
    family.set(0, 12_345_678_901);
    expect(textOf(family)).toContain("\nc 12345678901\n");
  });

  test("keeps its rows apart whatever stands in the values", () => {
    const family = new Family(counter);
    const values = ["", "\u0000", "a", "a\u0000", "\u0000a", "a\u0000b", "b"];
    const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
    expect(new Set(pairs.map(([a, b]) => family.row(a, b))).size).toBe(pairs.length);
  });

  test("escapes label values so that they come back", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'\\"\n,}{=a ') }), (value) => {
        const family = new Family(counter);
        family.set(family.row(value, "b"), 7);
        expect(sumOf(parseExposition(textOf(family)), "c", { a: value })).toBe(7);
      }),
    );
  });

  test("sorts its series by label values", () => {
    const family = new Family(counter);
    for (const a of ["b", "", "a", "ab"]) family.row(a, "");
    expect([...textOf(family).matchAll(/a="(\w*)"/g)].map((match) => match[1])).toEqual([
      "",
      "a",
      "ab",
      "b",
    ]);
  });
});

describe("a family that is full", () => {
  test("counts all later label sets in one row, and keeps those it has", () => {
    const family = new Family(counter);
    for (let i = 0; i < SERIES_PER_FAMILY_MAX; i++) family.add(family.row("model", String(i)));
    const first = family.row("model", "0");
    const overflow = family.row("model", "new");
    expect(family.row("another", "new")).toBe(overflow);
    family.add(overflow, 5);
    family.add(first);
    const samples = parseExposition(textOf(family));
    expect(sumOf(samples, "c", { a: "other", b: "other" })).toBe(5);
    expect(sumOf(samples, "c", { a: "model", b: "0" })).toBe(2);
    expect(samples).toHaveLength(SERIES_PER_FAMILY_MAX + 1);
  });

  test("has room again once it is cleared", () => {
    const family = new Family({ ...counter, type: "gauge" });
    for (let i = 0; i <= SERIES_PER_FAMILY_MAX; i++) family.set(family.row("x", String(i)), 1);
    family.clear();
    expect(parseExposition(textOf(family))).toEqual([]);
    expect(family.get(family.row("new", ""))).toBe(0);
  });
});

describe("a histogram", () => {
  test("counts a value on a bound in that bucket, and cumulates", () => {
    const family = new Family(histogram);
    for (const value of [0, 1, 1.5, 2, 5, 5.1, 100]) family.observe(0, value);
    expect(textOf(family)).toBe(
      "# HELP h [ALPHA] Help.\n# TYPE h histogram\n" +
        'h_bucket{le="1"} 2\nh_bucket{le="2"} 4\nh_bucket{le="5"} 5\nh_bucket{le="+Inf"} 7\n' +
        "h_sum 114.6\nh_count 7\n",
    );
  });

  test("puts le behind the labels", () => {
    const family = new Family({ ...histogram, labels: ["a"] });
    family.observe(family.row("x"), 1);
    const text = textOf(family);
    expect(text).toContain('h_bucket{a="x",le="1"} 1\n');
    expect(text).toContain('h_sum{a="x"} 1\n');
  });

  test("writes bounds as Go does, so that series of both picker kinds can be summed by le", () => {
    const buckets = [1e-6, 0.0001, 0.00205, 0.5, 1, 65_536, 524_288, 1_048_576, 1_073_741_824];
    const text = textOf(new Family({ ...histogram, buckets }));
    expect([...text.matchAll(/le="([^"]*)"/g)].map((match) => match[1])).toEqual([
      "1e-06",
      "0.0001",
      "0.00205",
      "0.5",
      "1",
      "65536",
      "524288",
      "1.048576e+06",
      "1.073741824e+09",
      "+Inf",
    ]);
  });

  test("agrees with counting one by one", () => {
    const bounds = fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 1 });
    const values = fc.array(fc.integer({ min: -60, max: 60 }), { minLength: 1 });
    fc.assert(
      fc.property(bounds, values, (unsorted, observed) => {
        const buckets = [...unsorted].sort((a, b) => a - b);
        const family = new Family({ ...histogram, buckets });
        for (const value of observed) family.observe(0, value);
        const read = histogramOf(parseExposition(textOf(family)), "h")!;
        for (const [bound, count] of read.buckets) {
          expect(count).toBe(observed.filter((value) => value <= bound).length);
        }
        expect(read.count).toBe(observed.length);
        expect(read.sum).toBe(observed.reduce((sum, value) => sum + value, 0));
      }),
    );
  });

  test("is not poisoned by a value that is no number", () => {
    const family = new Family(histogram);
    family.observe(0, Number.NaN);
    family.observe(0, 1);
    expect(textOf(family)).toContain("h_sum 1\nh_count 1\n");
  });
});

describe("a deprecated twin", () => {
  const twin = { name: "old", labels: ["b"], labelNames: ["renamed"] };

  test("shows the same series under its own name and label names", () => {
    const family = new Family({ ...counter, labels: ["b"], twin });
    family.add(family.row("x"), 3);
    expect(family.blocks().map(({ name }) => name)).toEqual(["c", "old"]);
    expect(textOf(family)).toContain(
      "# HELP old [ALPHA] [Deprecated: Use c] Help.\n# TYPE old counter\n" + 'old{renamed="x"} 3\n',
    );
  });

  test("sums over the labels it lacks", () => {
    const family = new Family({ ...counter, twin });
    family.add(family.row("x", "1"), 1);
    family.add(family.row("y", "1"), 2);
    family.add(family.row("y", "2"), 4);
    const samples = parseExposition(textOf(family));
    expect(sumOf(samples, "old", { renamed: "1" })).toBe(3);
    expect(sumOf(samples, "old", { renamed: "2" })).toBe(4);
  });

  test("sums the buckets of histograms, without touching the family's own", () => {
    const family = new Family({
      ...histogram,
      labels: ["a"],
      twin: { name: "old", labels: [] },
    });
    family.observe(family.row("x"), 1);
    family.observe(family.row("y"), 2);
    for (let i = 0; i < 2; i++) {
      const samples = parseExposition(textOf(family));
      expect(histogramOf(samples, "old")).toEqual({
        buckets: [
          [1, 1],
          [2, 2],
          [5, 2],
          [Number.POSITIVE_INFINITY, 2],
        ],
        sum: 3,
        count: 2,
      });
      expect(histogramOf(samples, "h", { a: "x" })?.count).toBe(1);
    }
  });
});
