import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rewriteModel } from "./model-rewrite.ts";
import { BodyScan, Member } from "./scan-json.ts";

const scan = new BodyScan();

function span(body: Uint8Array): [number, number] {
  scan.reset();
  expect(scan.scan(body)).toBeNull();
  if (!scan.has(Member.model)) return [-1, -1];
  return [scan.start(Member.model) - scan.area.body, scan.end(Member.model) - scan.area.body];
}

function cut(body: Buffer, at: readonly number[]): Buffer[] {
  const borders = [...at.map((x) => x % (body.length + 1)), 0, body.length].sort((a, b) => a - b);
  return borders.slice(1).map((end, i) => body.subarray(borders[i], end));
}

const anyName = fc.string({ unit: "binary", maxLength: 20 });
const anyMembers = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 5 });
const anyCuts = fc.array(fc.nat(), { maxLength: 6 });

describe("a body with a model", () => {
  test("bytes outside of the value stay, and the result parses to the same with the new model", () => {
    fc.assert(
      fc.property(
        anyMembers,
        fc.oneof(anyName, fc.constant(null), fc.constant(7)),
        anyMembers,
        anyName,
        anyCuts,
        (before, model, after, newModel, cuts) => {
          const text = JSON.stringify({ ...before, model, ...after }, null, cuts.length);
          const body = Buffer.from(text);
          const [start, end] = span(body);
          const out = Buffer.concat(rewriteModel(cut(body, cuts), start, end, newModel));
          expect(out.subarray(0, start)).toEqual(body.subarray(0, start));
          const tail = body.length - end;
          expect(out.subarray(out.length - tail)).toEqual(body.subarray(end));
          expect(JSON.parse(out.toString())).toEqual({ ...JSON.parse(text), model: newModel });
        },
      ),
    );
  });

  test("chunks that do not touch the value are the same slices", () => {
    const chunks = ['{"a":1,', '"model":"o', 'ld","b"', ":2}"].map((text) => Buffer.from(text));
    const [start, end] = span(Buffer.concat(chunks));
    const out = rewriteModel(chunks, start, end, "new");
    expect(out[0]).toBe(chunks[0]);
    expect(out.at(-1)).toBe(chunks[3]);
    expect(out.map(String)).toEqual(['{"a":1,', '"model":', '"new"', ',"b"', ":2}"]);
  });

  test("numbers, escapes, order and white space stay as they were", () => {
    const body = Buffer.from('{ "seed":9007199254740993, "x":1.0,"model" : "a","y":"<\\u00e9>" }');
    const [start, end] = span(body);
    expect(Buffer.concat(rewriteModel([body], start, end, 'b"\n')).toString()).toBe(
      '{ "seed":9007199254740993, "x":1.0,"model" : "b\\"\\n","y":"<\\u00e9>" }',
    );
  });

  test("of repeated members the last is replaced, which is the one that counts", () => {
    const body = Buffer.from('{"model":"a","model":"b"}');
    const [start, end] = span(body);
    const out = Buffer.concat(rewriteModel([body], start, end, "c")).toString();
    expect(out).toBe('{"model":"a","model":"c"}');
  });
});

describe("a body without a model", () => {
  test("gets one as its first member", () => {
    fc.assert(
      fc.property(anyMembers, anyName, anyCuts, fc.constantFrom("", " ", "\n\t"), (...given) => {
        const [{ model: _, ...members }, newModel, cuts, space] = given;
        const text = space + JSON.stringify(members, null, cuts.length) + space;
        const out = Buffer.concat(rewriteModel(cut(Buffer.from(text), cuts), -1, -1, newModel));
        const parsed = JSON.parse(out.toString());
        expect(parsed).toEqual({ ...JSON.parse(text), model: newModel });
        expect(out.toString().startsWith(`${space}{"model":`)).toBe(true);
        const rest = text.slice(space.length + 1);
        expect(out.toString().endsWith(rest)).toBe(true);
      }),
    );
  });

  test("an empty object needs no comma", () => {
    const chunks = [Buffer.from(" {"), Buffer.from(" } ")];
    expect(Buffer.concat(rewriteModel(chunks, -1, -1, "m")).toString()).toBe(' {"model":"m" } ');
  });

  test("what is no object is refused", () => {
    expect(() => rewriteModel([Buffer.from("[]")], -1, -1, "m")).toThrow(RangeError);
    expect(() => rewriteModel([], -1, -1, "m")).toThrow("body is not a JSON object");
  });
});
