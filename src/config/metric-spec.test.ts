import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseMetricSpec } from "./metric-spec.ts";

describe("a selector", () => {
  test("is a metric name alone", () => {
    expect(parseMetricSpec("vllm:num_requests_waiting")).toEqual({
      name: "vllm:num_requests_waiting",
      labels: [],
    });
  });

  test.each(["m{a=b,c=d}", 'm{a="b",c="d"}', ' m { a = b , c = "d" } ', 'm{a="b",c=d,}'])(
    "has labels, quoted or not, with spaces anywhere: %s",
    (text) => {
      expect(parseMetricSpec(text)).toEqual({
        name: "m",
        labels: [
          ["a", "b"],
          ["c", "d"],
        ],
      });
    },
  );

  test.each(["m{}", "m{ }", "m{,}"])("may have an empty list: %s", (text) => {
    expect(parseMetricSpec(text)).toEqual({ name: "m", labels: [] });
  });

  test.each([
    ['m{a="x,y"}', "x,y"],
    ['m{a="x}y"}', "x}y"],
    ['m{a="x=y"}', "x=y"],
    ['m{a="~x"}', "~x"],
    ['m{a=""}', ""],
    ['m{a="say \\"x\\" \\\\ \\n"}', 'say "x" \\ \n'],
    ["m{a=x y}", "x y"],
    ["m{a=0.5}", "0.5"],
    ["m{a=http://x:1}", "http://x:1"],
  ])("takes a value as it stands in quotes: %s", (text, value) => {
    expect(parseMetricSpec(text)).toEqual({ name: "m", labels: [["a", value]] });
  });

  test.each([
    ["", '"" is not a metric name'],
    ["1m", "is not a metric name"],
    ["m-x", "is not a metric name"],
    ["{a=b}", "is not a metric name"],
    ["m{a=b", "not closed"],
    ['m{a="b', "not closed"],
    ["m{a=b}x", "not closed"],
    ["m{a=b},c=d}", "not closed"],
    ["m{a}", "is not label=value"],
    ["m{1a=b}", "is not a label name"],
    ["m{a!=b}", "only = is supported"],
    ['m{a=~"b"}', "only = is supported"],
    ["m{a!~b}", "is not label=value"],
    ['m{a="b"c}', "is not a label value"],
    ['m{a=b"c"}', "is not a label value"],
    ["m{a=b,a=c}", 'label "a" stands twice'],
    ["m[5m]", "is not a metric name"],
  ])("is refused with a reason: %j", (text, reason) => {
    expect(parseMetricSpec(text)).toEqual(expect.stringContaining(reason));
  });
});

test("what is written out is read back", () => {
  const label = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,8}$/);
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,20}$/),
      fc.uniqueArray(
        fc.tuple(label, fc.string({ unit: fc.constantFrom(...'ab"\\\n,{}= é𝄞\u0000') })),
        { selector: ([l]) => l },
      ),
      (name, labels) => {
        const pairs = labels.map(
          ([key, value]) =>
            `${key}="${value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`,
        );
        const text = pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
        expect(parseMetricSpec(text)).toEqual({ name, labels });
      },
    ),
  );
});

test("any text gives a selector or a sentence", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'m{}=",~!\\ ab\n') }), (text) => {
      expect(["string", "object"]).toContain(typeof parseMetricSpec(text));
    }),
  );
});
