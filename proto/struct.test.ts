/**
 * Structs and metadata against protobufjs, and their bounds.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  Dice,
  damage,
  filterMetadata,
  scramble,
  structObject,
} from "../test/support/wire-arbitraries.ts";
import {
  decodeOracle,
  encodeOracle,
  fromOracleStruct,
  messageType,
  metadata,
  type OracleStruct,
  toOracleStruct,
  withoutPrototypes,
} from "../test/support/wire-oracle.ts";
import {
  decodeMetadata,
  encodeStruct,
  metadataValue,
  type StructObject,
  type StructValue,
  structSize,
} from "./struct.ts";
import { WireStatus, Writer, wireLimits } from "./wire.ts";

const struct = messageType("google.protobuf.Struct");
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** An object without prototype, as decoded ones are. */
const plain = (members: StructObject): StructObject => Object.assign(Object.create(null), members);

function encoded(object: StructObject): Buffer {
  const w = new Writer();
  encodeStruct(w, object);
  return Buffer.from(w.bytes.subarray(0, w.length));
}

function encodedMetadata(namespaces: Record<string, StructObject>): Buffer {
  const entries = Object.entries(namespaces).map(([name, each]) => [name, toOracleStruct(each)]);
  return encodeOracle(metadata, { filterMetadata: Object.fromEntries(entries) });
}

/** Metadata with one namespace "n", whose Struct has one member "k" of this Value. */
function withValue(value: Buffer): Buffer {
  const field = (tag: number, content: Buffer): Buffer => {
    const w = new Writer();
    w.byte(tag);
    w.varint(content.length);
    w.raw(content);
    return Buffer.from(w.bytes.subarray(0, w.length));
  };
  const member = field(0x0a, Buffer.concat([hex("0a016b"), field(0x12, value)]));
  return field(0x0a, Buffer.concat([hex("0a016e"), field(0x12, member)]));
}

const decodeAll = (bytes: Uint8Array) => decodeMetadata(bytes, 0, bytes.length);
const decodeOne = (bytes: Uint8Array) => metadataValue(bytes, 0, bytes.length, "n", "k");

function read(bytes: Uint8Array): [string, StructObject][] {
  const all = decodeAll(bytes);
  if (typeof all === "number") throw new Error(`status ${all}`);
  return sorted([...all]);
}

function sorted<T>(entries: readonly [string, T][]): [string, T][] {
  return entries.toSorted((a, b) => (a[0] < b[0] ? -1 : 1));
}

function oracleRead(bytes: Uint8Array): [string, StructObject][] {
  const { filterMetadata: namespaces } = decodeOracle(metadata, bytes) as {
    filterMetadata?: Record<string, OracleStruct>;
  };
  return sorted(
    Object.entries(namespaces ?? {}).map(([name, each]) => [name, fromOracleStruct(each)]),
  );
}

describe("encoding", () => {
  test("is read by protobufjs as it was meant, in the size that was announced", () => {
    fc.assert(
      fc.property(structObject, (object) => {
        const bytes = encoded(object);
        expect(bytes.length).toBe(structSize(object));
        const expected = withoutPrototypes(object);
        expect(fromOracleStruct(decodeOracle(struct, bytes) as OracleStruct)).toEqual(expected);
      }),
    );
  });

  test("writes every kind of value, zeros too", () => {
    const object = { a: null, b: 0, c: "", d: false, e: {}, f: [] };
    expect(fromOracleStruct(decodeOracle(struct, encoded(object)) as OracleStruct)).toEqual(
      plain({ ...object, e: plain({}) }),
    );
  });
});

describe("decoding", () => {
  test("reads what protobufjs encodes as protobufjs reads it", () => {
    fc.assert(
      fc.property(filterMetadata, (namespaces) => {
        const bytes = encodedMetadata(namespaces);
        expect(read(bytes)).toEqual(oracleRead(bytes));
      }),
    );
  });

  test("reads it the same shuffled, split, and with unknown fields", () => {
    fc.assert(
      fc.property(filterMetadata, fc.integer(), (namespaces, seed) => {
        const bytes = scramble(metadata, encodedMetadata(namespaces), new Dice(seed));
        expect(read(bytes)).toEqual(oracleRead(bytes));
        expect(read(bytes)).toEqual(oracleRead(encodedMetadata(namespaces)));
      }),
      { numRuns: 300 },
    );
  });

  test("finds one value without the rest, equal to that of the whole", () => {
    fc.assert(
      fc.property(filterMetadata, fc.integer(), (namespaces, seed) => {
        const bytes = scramble(metadata, encodedMetadata(namespaces), new Dice(seed));
        for (const [name, each] of read(bytes)) {
          for (const key of [...Object.keys(each), "absent key"]) {
            const found = metadataValue(bytes, 0, bytes.length, name, key);
            expect(found).toEqual(each[key]);
          }
        }
        expect(metadataValue(bytes, 0, bytes.length, "absent namespace", "k")).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });

  test("of damaged bytes gives a reason or what protobufjs reads", () => {
    let bothRead = 0;
    fc.assert(
      fc.property(filterMetadata, fc.integer(), (namespaces, seed) => {
        const bytes = damage(encodedMetadata(namespaces), new Dice(seed));
        const all = decodeAll(bytes);
        const first = Object.keys(namespaces)[0] ?? "";
        metadataValue(bytes, 0, bytes.length, first, Object.keys(namespaces[first] ?? {})[0] ?? "");
        if (typeof all === "number") {
          expect(Object.values(WireStatus).slice(1)).toContain(all);
          return;
        }
        let expected: [string, StructObject][];
        try {
          expected = oracleRead(bytes);
        } catch {
          return; // it also refuses texts that are not UTF-8
        }
        bothRead++;
        expect(sorted([...all])).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
    expect(bothRead).toBeGreaterThan(50);
  });

  test("keeps keys that would reach a prototype as plain members", () => {
    const hostile = JSON.parse(
      '{"__proto__": {"polluted": true}, "constructor": 1}',
    ) as StructObject;
    const bytes = encodedMetadata({ n: hostile });
    const all = decodeAll(bytes);
    if (typeof all === "number") throw new Error(`status ${all}`);
    const decoded = all.get("n")!;
    expect(Object.getPrototypeOf(decoded)).toBeNull();
    expect(Object.keys(decoded).toSorted()).toEqual(["__proto__", "constructor"]);
    expect(Object.values(decoded)).toContainEqual(plain({ polluted: true }));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(metadataValue(bytes, 0, bytes.length, "n", "__proto__")).toEqual(
      plain({ polluted: true }),
    );
    const other = encodedMetadata({ n: {} });
    expect(metadataValue(other, 0, other.length, "n", "constructor")).toBeUndefined();
  });

  test("takes a Value without kind, and an entry without value, as null", () => {
    expect(decodeOne(withValue(Buffer.alloc(0)))).toBeNull();
    const noValue = hex("0a0a 0a016e 1205 0a03 0a016b");
    expect(decodeOne(noValue)).toBeNull();
    expect(read(noValue)).toEqual([["n", plain({ k: null })]]);
    expect(read(hex("0a03 0a016e"))).toEqual([["n", plain({})]]);
  });

  test("takes an entry without key as one of the empty key", () => {
    const bytes = hex("0a08 1206 0a04 1202 2001");
    expect(read(bytes)).toEqual([["", plain({ "": true })]]);
    expect(read(bytes)).toEqual(oracleRead(bytes));
    expect(metadataValue(bytes, 0, bytes.length, "", "")).toBe(true);
    expect(metadataValue(bytes, 0, bytes.length, "n", "")).toBeUndefined();
  });

  test("takes the last kind of a Value, and merges lists and Structs that come again", () => {
    const cases: [hex: string, value: StructValue][] = [
      ["1a0161 2001", true],
      ["2001 1a0161", "a"],
      ["2001 0800", null],
      ["3204 0a022001 3204 0a022000", [true, false]],
      ["2a07 0a05 0a0161 1200 2a07 0a05 0a0162 1200", plain({ a: null, b: null })],
      ["3204 0a022001 2a00", plain({})],
    ];
    for (const [bytes, value] of cases)
      expect(decodeOne(withValue(hex(bytes))), bytes).toEqual(value);
  });

  test("takes the last entry of a key", () => {
    const bytes = Buffer.concat([withValue(hex("2001")), withValue(hex("1a0162"))]);
    expect(decodeOne(bytes)).toBe("b");
    expect(read(bytes)).toEqual([["n", plain({ k: "b" })]]);
    const without = Buffer.concat([withValue(hex("2001")), hex("0a03 0a016e")]);
    expect(decodeOne(without)).toBeUndefined();
    expect(read(without)).toEqual([["n", plain({})]]);
  });

  test("merges a value that comes in pieces inside one entry", () => {
    // Entry "n" with two Structs: {a: null} and {k: null}.
    const bytes = hex("0a15 0a016e 1207 0a05 0a0161 1200 1207 0a05 0a016b 1200");
    expect(read(bytes)).toEqual([["n", plain({ a: null, k: null })]]);
    expect(decodeOne(bytes)).toBeNull();
    expect(metadataValue(bytes, 0, bytes.length, "n", "absent")).toBeUndefined();
    expect(read(bytes)).toEqual(oracleRead(bytes));
  });
});

describe("bounds", () => {
  function nested(levels: number): Buffer {
    let value: StructValue = null;
    for (let i = 0; i < levels; i++) value = [value];
    return encodedMetadata({ n: { k: value } });
  }

  test("values nest as deep as the limit and no deeper", () => {
    const deepest = nested(wireLimits.structDepthMax - 1);
    expect(decodeOne(deepest)).toBeDefined();
    expect(decodeAll(deepest)).toBeInstanceOf(Map);
    const tooDeep = nested(wireLimits.structDepthMax);
    expect(decodeOne(tooDeep)).toBeUndefined();
    expect(decodeAll(tooDeep)).toBe(WireStatus.TooDeep);
  });

  test("a list of all endpoints of the largest pool is read, and one without end is not", () => {
    const endpoints = Array.from({ length: 4096 }, (_, i) => `10.0.${i >> 8}.${i & 255}:8000`);
    expect(decodeOne(encodedMetadata({ n: { k: endpoints } }))).toEqual(endpoints);
    const count = 500_000;
    const list = Buffer.alloc(2 * count);
    for (let at = 0; at < list.length; at += 2) list[at] = 0x0a;
    const w = new Writer();
    w.open(6, list.length);
    w.raw(list);
    const bytes = withValue(Buffer.from(w.bytes.subarray(0, w.length)));
    expect(decodeAll(bytes)).toBe(WireStatus.TooLarge);
    expect(decodeOne(bytes)).toBeUndefined();
  });

  test("namespaces and members without value count too", () => {
    const namespace = hex("0a00");
    const many = Buffer.concat(
      Array.from({ length: wireLimits.structNodesMax + 1 }, () => namespace),
    );
    expect(decodeAll(many)).toBe(WireStatus.TooLarge);
    expect(decodeAll(many.subarray(2))).toBeInstanceOf(Map);
  });

  test("reasons are told apart", () => {
    expect(decodeAll(hex("0a05 0a016e"))).toBe(WireStatus.Truncated);
    expect(decodeAll(withValue(hex("1a05 61")))).toBe(WireStatus.Truncated);
    expect(decodeAll(withValue(hex("11 0000")))).toBe(WireStatus.Truncated);
    expect(decodeAll(withValue(hex("0c")))).toBe(WireStatus.Malformed);
    expect(decodeOne(withValue(hex("0c")))).toBeUndefined();
  });
});
