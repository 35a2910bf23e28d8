/**
 * Varints, skipping and the growing writer.
 * @module
 */
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { equalsText, equalsTextIgnoreCase, utf8, utf8Size } from "./text.ts";
import { Reader, varintSize, WireStatus, WireType, Writer, wireLimits } from "./wire.ts";

function reader(...bytes: readonly number[]): Reader {
  const out = new Reader();
  out.reset(Uint8Array.from(bytes), 0, bytes.length);
  return out;
}

const written = (write: (w: Writer) => void): Buffer => {
  const w = new Writer();
  write(w);
  return w.bytes.subarray(0, w.length);
};

describe("varints", () => {
  test("what is written is read again, in as many bytes as were announced", () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(), fc.nat(300)), (value) => {
        const bytes = written((w) => w.varint(value));
        expect(bytes.length).toBe(varintSize(value));
        expect(reader(...bytes).varint()).toBe(value);
      }),
    );
  });

  test("sizes change at powers of 128, also where shifts end", () => {
    for (const power of [7, 14, 21, 28, 31, 32, 35, 42, 49]) {
      for (const value of [2 ** power - 1, 2 ** power]) {
        const bytes = written((w) => w.varint(value));
        expect(bytes.length, `2^${power}`).toBe(varintSize(value));
        expect(Number(protobuf.Reader.create(bytes).uint64()), `2^${power}`).toBe(value);
      }
    }
  });

  test("int32 takes the lower 32 bits, signed", () => {
    expect(reader(0x81, 0x80, 0x80, 0x80, 0x10).int32()).toBe(1);
    expect(reader(...Array(9).fill(0xff), 1).int32()).toBe(-1);
    fc.assert(
      fc.property(fc.integer(), (value) => {
        const bytes = protobuf.Writer.create().int32(value).finish();
        expect(reader(...bytes).int32()).toBe(value);
      }),
    );
  });

  test("more than ten bytes are malformed, an end too early is truncated", () => {
    for (const read of ["varint", "int32"] as const) {
      const long = reader(...Array(11).fill(0x80));
      expect(long[read]()).toBe(0);
      expect(long.status).toBe(WireStatus.Malformed);
      const short = reader(0x80, 0x80);
      expect(short[read]()).toBe(0);
      expect(short.status).toBe(WireStatus.Truncated);
    }
  });
});

describe("fields", () => {
  test("a length behind the end is truncated, however large it is", () => {
    for (const length of [4, 200, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63]) {
      const lie = written((w) => w.varint(length));
      const r = reader(0x0a, ...lie, 1, 2, 3);
      expect(r.next()).toBe(true);
      expect(r.range(), `${length}`).toBe(false);
      expect(r.status).toBe(WireStatus.Truncated);
    }
  });

  test("field number 0 and tags of more than 32 bits are malformed", () => {
    for (const tag of [[0x00], [0x02], [0x80, 0x80, 0x80, 0x80, 0x10]]) {
      const r = reader(...tag, 0);
      expect(r.next()).toBe(false);
      expect(r.status).toBe(WireStatus.Malformed);
    }
  });

  test("every wire type is passed over, groups with what they hold", () => {
    const cases: [type: number, value: number[]][] = [
      [WireType.Varint, [0x96, 1]],
      [WireType.Fixed64, [1, 2, 3, 4, 5, 6, 7, 8]],
      [WireType.Bytes, [2, 0xff, 0xff]],
      [WireType.StartGroup, [0x08, 1, 0x13, 0x0d, 1, 2, 3, 4, 0x14, 0xa4, 1]],
      [WireType.Fixed32, [1, 2, 3, 4]],
    ];
    for (const [type, value] of cases) {
      const tag = [0xa0 | type, 1]; // field 20
      const r = reader(...tag, ...value, 0x08, 7);
      expect(r.next() && r.skip(), `type ${type}`).toBe(true);
      expect(r.next()).toBe(true);
      expect(r.varint()).toBe(7);
      expect(r.next()).toBe(false);
      for (let cut = tag.length; cut < tag.length + value.length; cut++) {
        const short = reader(...[...tag, ...value].slice(0, cut));
        short.next();
        expect(short.skip(), `type ${type}, ${cut} bytes`).toBe(false);
        expect(short.status).toBe(WireStatus.Truncated);
      }
    }
  });

  test("an end of group without its beginning, or of another one, is malformed", () => {
    for (const bytes of [[0x0c], [0x0b, 0x14], [0x0e], [0x0f]]) {
      const r = reader(...bytes);
      r.next();
      expect(r.skip()).toBe(false);
      expect(r.status).toBe(WireStatus.Malformed);
    }
  });

  test("groups nest as deep as the limit and no deeper", () => {
    for (const [depth, status] of [
      [wireLimits.structDepthMax, WireStatus.Ok],
      [wireLimits.structDepthMax + 1, WireStatus.TooDeep],
      [1_000_000, WireStatus.TooDeep],
    ] as const) {
      const bytes = Buffer.concat([Buffer.alloc(depth, 0x0b), Buffer.alloc(depth, 0x0c)]);
      const r = new Reader();
      r.reset(bytes, 0, bytes.length);
      r.next();
      r.skip();
      expect(r.status, `${depth}`).toBe(status);
    }
  });
});

describe("texts", () => {
  test("sizes and bytes are those of UTF-8, lone surrogates included", () => {
    const unit = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
      fc.nat(100).map((length) => "a".repeat(length)),
      fc.nat(100).map((length) => `${"a".repeat(length)}é`),
    );
    fc.assert(
      fc.property(unit, (text) => {
        const expected = Buffer.from(text);
        expect(utf8Size(text)).toBe(expected.length);
        expect(written((w) => w.text(text, utf8Size(text)))).toEqual(expected);
        expect(utf8(expected, 0, expected.length)).toBe(expected.toString());
        expect(utf8(Uint8Array.from(expected), 0, expected.length)).toBe(expected.toString());
        expect(equalsText(expected, 0, expected.length, expected.toString())).toBe(true);
      }),
    );
  });

  test("texts are compared as wholes", () => {
    const bytes = Buffer.from("xabcéx");
    expect(equalsText(bytes, 1, 6, "abcé")).toBe(true);
    expect(equalsText(bytes, 1, 6, "abc")).toBe(false);
    expect(equalsText(bytes, 1, 4, "abcé")).toBe(false);
    expect(equalsText(bytes, 1, 3, "abc")).toBe(false);
    expect(equalsText(bytes, 1, 4, "abd")).toBe(false);
    expect(equalsText(bytes, 1, 1, "")).toBe(true);
  });

  test("only ASCII letters lose their case", () => {
    const bytes = Buffer.from("X-ReQuest[ID]");
    expect(equalsTextIgnoreCase(bytes, 0, bytes.length, "x-request[id]")).toBe(true);
    expect(equalsTextIgnoreCase(bytes, 0, bytes.length, "x-request{id}")).toBe(false);
    expect(equalsTextIgnoreCase(bytes, 0, bytes.length - 1, "x-request[id]")).toBe(false);
  });
});

describe("Writer", () => {
  test("keeps what was written when it grows", () => {
    const w = new Writer();
    const pieces: Buffer[] = [];
    for (let i = 1; i < 200; i++) {
      const piece = Buffer.alloc(i, i);
      pieces.push(piece);
      w.raw(piece);
    }
    expect(w.bytes.subarray(0, w.length)).toEqual(Buffer.concat(pieces));
  });

  test("reset keeps ordinary memory and gives unusually much back", () => {
    const w = new Writer();
    w.reserve(100_000);
    const ordinary = w.bytes;
    w.reset();
    expect(w.bytes).toBe(ordinary);
    w.raw(Buffer.alloc(wireLimits.writerKeepBytesMax + 1));
    w.reset();
    expect(w.length).toBe(0);
    expect(w.bytes.length).toBeLessThan(100_000);
  });
});
