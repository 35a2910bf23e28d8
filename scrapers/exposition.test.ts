/**
 * Numbers and labels read from bytes.
 * @module
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  LABELS_PER_LINE_MAX,
  readLabelInteger,
  readNumber,
  readTrailingValue,
  SampleLine,
  unescapeLabel,
} from "./exposition.ts";

function number(text: string): number {
  const page = Buffer.from(`<${text}>`);
  return readNumber(page, 1, page.length - 1);
}

test("any double is read back exactly, in every notation", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true }), fc.nat(30), (value, digits) => {
      for (const text of [String(value), value.toExponential(), value.toPrecision(digits + 1)]) {
        expect(number(text)).toBe(Number(text));
      }
    }),
    { numRuns: 2000 },
  );
});

test("digits with a point and an exponent anywhere are read as the platform reads them", () => {
  const digits = fc.stringMatching(/^[0-9]{0,25}$/);
  fc.assert(
    fc.property(digits, digits, fc.integer({ min: -400, max: 400 }), (whole, part, exponent) => {
      const text = `${whole}.${part}e${exponent}`;
      const expected = whole + part === "" ? Number.NaN : Number(text);
      expect(number(text)).toBe(expected);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ["Inf", Number.POSITIVE_INFINITY],
  ["+inf", Number.POSITIVE_INFINITY],
  ["-INFINITY", Number.NEGATIVE_INFINITY],
  ["nan", Number.NaN],
  ["1e400", Number.POSITIVE_INFINITY],
  ["1e-400", 0],
  ["1e99999999999999999999", Number.POSITIVE_INFINITY],
  ["", Number.NaN],
  ["+", Number.NaN],
  [".", Number.NaN],
  ["1e", Number.NaN],
  ["1e+", Number.NaN],
  ["1.2.3", Number.NaN],
  ["0x1p3", Number.NaN],
  ["--1", Number.NaN],
])("%s is %d", (text, expected) => {
  expect(number(text)).toBe(expected);
});

test("digits beyond 2,048 are no number", () => {
  expect(number("1".repeat(2048))).toBe(Number.POSITIVE_INFINITY);
  expect(number("1".repeat(2049))).toBeNaN();
});

test("labels come out with their escapes marked, and resolved on demand", () => {
  const text = ' { a = "x\\\\y\\"z\\n" ,b="",} 7 100 # {} 3';
  const page = Buffer.from(text);
  const line = new SampleLine();
  expect(line.parse(page, 0, page.length)).toBe(true);
  expect(line.labelCount).toBe(2);
  expect(Array.from(line.escaped.subarray(0, 2))).toEqual([1, 0]);
  const out = Buffer.alloc(32);
  const length = unescapeLabel(page, line.valueStarts[0]!, line.valueEnds[0]!, out);
  expect(out.toString("latin1", 0, length)).toBe('x\\y"z\n');
  expect(line.indexOf(page, Buffer.from("b"))).toBe(1);
  expect(line.indexOf(page, Buffer.from("c"))).toBe(-1);
  expect([line.value, line.timestamp]).toEqual([7, 100]);
});

test(`a line with more than ${LABELS_PER_LINE_MAX} labels is refused`, () => {
  const labels = (count: number): Buffer =>
    Buffer.from(`{${Array.from({ length: count }, (_, i) => `l${i}="v"`).join(",")}} 1`);
  const line = new SampleLine();
  expect(line.parse(labels(LABELS_PER_LINE_MAX), 0, labels(LABELS_PER_LINE_MAX).length)).toBe(true);
  const tooMany = labels(LABELS_PER_LINE_MAX + 1);
  expect(line.parse(tooMany, 0, tooMany.length)).toBe(false);
});

test("a value at the end of a line is read without the labels, but not a timestamp", () => {
  const trailing = (text: string): number => {
    const page = Buffer.from(text);
    return readTrailingValue(page, 0, page.length);
  };
  expect(trailing('{a="} 3"} 7.5 \r')).toBe(7.5);
  expect(trailing('{a="b"}7')).toBe(7);
  expect(trailing('{a="b"} 7 100')).toBeNaN();
  expect(trailing(" 7")).toBeNaN();
});

test.each([
  ["16", 16],
  [" 16 ", 16],
  ["", -1],
  ["None", Number.NaN],
  ["16.0", Number.NaN],
  ["-1", Number.NaN],
])("the label %j is the integer %d", (text, expected) => {
  const page = Buffer.from(text);
  expect(readLabelInteger(page, 0, page.length)).toBe(expected);
});
