import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KeyTable } from "./key-table.ts";
import { TOO_DEEP, WorkArea, workAreaLimits } from "./work-area.ts";

const area = new WorkArea();

function load(text: string | Uint8Array): void {
  expect(area.load(Buffer.from(text as string))).toBe(true);
}

/** JSON text of a string, each UTF-16 unit written plainly, shortly or as \u escape, as `choices` say. */
function spell(text: string, choices: readonly number[]): string {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const unit = text[i]!;
    const code = text.charCodeAt(i);
    const choice = choices[i % choices.length]!;
    const short = JSON.stringify(unit).slice(1, -1);
    const isSurrogate = code >= 0xd800 && code <= 0xdfff;
    if (choice === 0 || isSurrogate) out += `\\u${code.toString(16).padStart(4, "0")}`;
    else if (choice === 1 && unit === "/") out += "\\/";
    else out += short;
  }
  return `"${out}"`;
}

const anyText = fc.string({ unit: "binary", maxLength: 80 });
const brokenText = fc
  .array(fc.oneof(fc.constantFrom(0xd83d, 0xde00, 0xdbff, 0xdc00, 0x41), fc.nat(0xffff)))
  .map((units) => String.fromCharCode(...units));

describe("copyString", () => {
  test("resolves escapes and surrogates as JSON.parse and UTF-8 do, in whole and in part", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyText, brokenText),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 9 }),
        fc.nat(120),
        (text, choices, room) => {
          const json = spell(text, choices);
          expect(JSON.parse(json)).toBe(text);
          load(json);
          const expected = new TextEncoder().encode(text);
          area.reserveStream(1024);
          const start = area.body + 1;
          const end = area.bodyEnd - 1;
          const length = area.copyString(start, end, area.stream, 1000);
          expect(length).toBe(expected.length);
          expect(area.bytes.subarray(area.stream, area.stream + length)).toEqual(
            Buffer.from(expected),
          );
          // in part: the first bytes are right, the length is that of the whole, nothing far behind is touched
          area.bytes.fill(0xaa, area.stream, area.stream + 1024);
          expect(area.copyString(start, end, area.stream, room)).toBe(expected.length);
          const part = Math.min(room, expected.length);
          expect(area.bytes.subarray(area.stream, area.stream + part)).toEqual(
            Buffer.from(expected.subarray(0, part)),
          );
          const behind = area.bytes.subarray(area.stream + room + 16, area.stream + 1024);
          expect(behind.every((byte) => byte === 0xaa)).toBe(true);
        },
      ),
    );
  });

  test("stringLength writes nothing, however long the string", () => {
    load(`"ab\\u00e9\\ud83d\\ude00${"x".repeat(100_000)}"`);
    const before = Buffer.from(area.bytes);
    expect(area.stringLength(area.body + 1, area.bodyEnd - 1)).toBe(100_008);
    expect(area.text(area.body, area.bodyEnd)).toHaveLength(100_005);
    expect(area.bytes.equals(before)).toBe(true);
  });

  test("text gives the string, escaped or not, with a leading byte order mark", () => {
    for (const text of ["", "plain", "é😀", "\ufeffx", 'a"b\\c\n', "\ud800"]) {
      load(JSON.stringify(text));
      expect(area.text(area.body, area.bodyEnd)).toBe(text);
    }
  });
});

describe("copyIds", () => {
  function ids(text: string): number[] | null {
    load(text);
    area.reserveStream(4096);
    const count = area.copyIds(area.body, area.stream, 4096);
    if (count < 0) return null;
    return Array.from({ length: count }, (_, i) => area.bytes.readUInt32LE(area.stream + i * 4));
  }

  test("copies integers of 32 bits, whatever the white space", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(0xffff_ffff), { minLength: 1 }),
        fc.constantFrom(",", " ,\n", ", "),
        (numbers, separator) => {
          expect(ids(`[ ${numbers.join(separator)} ]`)).toEqual(numbers);
        },
      ),
    );
  });

  test.each(["[]", "[-1]", "[1.5]", "[1e2]", '["1"]', "[4294967296]", "[[1]]", "[1,null]"])(
    "%s is no list of token ids",
    (text) => {
      expect(ids(text)).toBeNull();
    },
  );

  test("a number of any length does not wrap around", () => {
    expect(ids("[18446744073709551617]")).toBeNull();
    expect(ids(`[1${"0".repeat(64)}]`)).toBeNull();
  });

  test("writes only what fits and counts the rest", () => {
    load("[1,2,3,4]");
    area.reserveStream(64);
    area.bytes.fill(0xaa, area.stream, area.stream + 64);
    expect(area.copyIds(area.body, area.stream, 9)).toBe(4);
    expect(area.bytes.readUInt32LE(area.stream + 4)).toBe(2);
    expect(area.bytes.readUInt32LE(area.stream + 8)).toBe(0xaaaaaaaa);
  });
});

describe("collect", () => {
  const table = new KeyTable(["model", "x"]);
  const ranges = new Int32Array(4);
  const text = (start: number, end: number): string => area.bytes.toString("utf8", start, end);

  test("notes where values stand, of repeated names the last", () => {
    load(' { "x" : [1, {"x": 2}] , "model":"a","y":{"model":0}, "m\\u006fdel" : "b" } ');
    const start = area.skipSpace(area.body);
    expect(area.skipSpace(area.collect(start, table, ranges))).toBe(area.bodyEnd);
    expect(text(ranges[0]!, ranges[1]!)).toBe('"b"');
    expect(text(ranges[2]!, ranges[3]!)).toBe('[1, {"x": 2}]');
  });

  test("missing members are -1", () => {
    load('{"y":1}');
    area.collect(area.body, table, ranges);
    expect([...ranges]).toEqual([-1, -1, -1, -1]);
    load("{ }");
    expect(area.collect(area.body, table, ranges)).toBe(area.bodyEnd);
  });

  test("a wrong byte comes back as the complement of its address", () => {
    load('{"x":1;}');
    expect(~area.collect(area.body, table, ranges) - area.body).toBe(6);
  });
});

test("nesting is proven down to the limit and refused below it", () => {
  const { depthMax } = workAreaLimits;
  load("[".repeat(depthMax) + "]".repeat(depthMax));
  expect(area.skipValue(area.body)).toBe(area.bodyEnd);
  load("[".repeat(depthMax + 1) + "]".repeat(depthMax + 1));
  expect(area.skipValue(area.body)).toBe(TOO_DEEP);
});

describe("memory", () => {
  test("a body that is larger than the limit is not loaded", () => {
    expect(area.load(new Uint8Array(workAreaLimits.bodyBytesMax + 1))).toBe(false);
  });

  test("grows for a large body and is given back after many small ones", () => {
    const own = new WorkArea();
    const before = own.bytes.length;
    expect(own.load(new Uint8Array(2 * workAreaLimits.keptBytesMax))).toBe(true);
    expect(own.bytes.length).toBeGreaterThan(2 * workAreaLimits.keptBytesMax);
    for (let i = 0; i < 300; i++) own.load(Buffer.from("{}"));
    expect(own.bytes.length).toBe(before);
    expect(own.skipValue(own.body)).toBe(own.bodyEnd);
  });

  test("what is behind a shorter body is not seen", () => {
    load('{"a":"a much longer body than the next one"}');
    load('{"a"');
    const ranges = new Int32Array(2);
    expect(~area.collect(area.body, new KeyTable(["a"]), ranges)).toBe(area.bodyEnd);
  });

  test("the same body is copied in once, and again after unload", () => {
    const body = Buffer.from("[1]");
    area.load(body);
    area.bytes[area.body + 1] = 0x32;
    area.load(body);
    expect(area.bytes.toString("utf8", area.body, area.bodyEnd)).toBe("[2]");
    area.unload();
    area.load(body);
    expect(area.bytes.toString("utf8", area.body, area.bodyEnd)).toBe("[1]");
  });
});
