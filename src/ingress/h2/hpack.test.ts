/**
 * HPACK against the examples of RFC 7541 and a second coder, and what hostile blocks can do: nothing but an HpackError.
 * @module
 */
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  encodeHuffman,
  encodeInteger,
  type Field,
  ReferenceEncoder,
} from "../../../test/support/h2-hpack.ts";
import {
  decodeHuffman,
  HEADER_LIST_TOO_LARGE,
  HpackDecoder,
  HpackError,
  hpackLimits,
  literal,
  type RequestHead,
  trailers,
} from "./hpack.ts";
import { HUFFMAN_CODES, HUFFMAN_LENGTHS, STATIC_TABLE } from "./hpack-tables.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

function headOf(decoder: HpackDecoder, block: Uint8Array): RequestHead {
  const head = decoder.decode(block, 0, block.length);
  if (head === HEADER_LIST_TOO_LARGE) throw new Error("header list is too large");
  return head;
}

function decodeAll(...blocks: string[]): [method: string, scheme: string, path: string][] {
  const decoder = new HpackDecoder();
  return blocks.map((block) => {
    const { method, path, scheme } = headOf(decoder, hex(block));
    return [method, scheme, path];
  });
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the examples of RFC 7541", () => {
  const requests = [
    ["GET", "http", "/"],
    ["GET", "http", "/"],
    ["GET", "https", "/index.html"],
  ];

  test("C.3: requests without Huffman coding", () => {
    expect(
      decodeAll(
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ),
    ).toEqual(requests);
  });

  test("C.4: requests with Huffman coding", () => {
    expect(
      decodeAll(
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ),
    ).toEqual(requests);
  });

  test.each([
    [
      "C.5: responses in a table of 256 bytes",
      "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "4803 3330 37c1 c0bf",
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ],
    [
      "C.6: the same with Huffman coding",
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ],
  ])("%s", (_, ...blocks) => {
    const decoder = new HpackDecoder();
    headOf(decoder, hex("3fe101")); // 256
    for (const block of blocks) headOf(decoder, hex(block));
    // Three entries are left: 62 to 64.
    expect(headOf(decoder, hex("be bf c0")).hasPseudo).toBe(false);
    expect(() => headOf(decoder, hex("c1"))).toThrow("index 65 is not in the table");
  });

  test("C.6: values of responses", () => {
    const values = [
      ["aec3771a4b", "private"],
      ["d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"],
      ["9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"],
    ] as const;
    for (const [code, text] of values) {
      const bytes = hex(code);
      expect(decodeHuffman(bytes, 0, bytes.length)).toBe(text);
    }
  });

  test("the Huffman code is complete: its lengths and that of the end of string use up all codes", () => {
    expect(HUFFMAN_CODES.length).toBe(256);
    const used = HUFFMAN_LENGTHS.reduce((sum, length) => sum + 2 ** (30 - length), 0);
    expect(used + 1).toBe(2 ** 30);
    expect(STATIC_TABLE.length).toBe(61);
  });
});

describe("Huffman coding", () => {
  test("gives every text back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = Buffer.from(bytes);
        const code = encodeHuffman(text);
        expect(decodeHuffman(code, 0, code.length)).toBe(text.toString("latin1"));
      }),
    );
  });

  test.each([
    ["padding of zeros", "1800"],
    ["padding of more than seven bits", "1fff"],
    ["the end of the string as a symbol", "ffffffff"],
  ])("is refused with %s", (_, code) => {
    const bytes = hex(code);
    expect(() => decodeHuffman(bytes, 0, bytes.length)).toThrow(HpackError);
  });
});

describe("the dynamic table", () => {
  /** Literal with incremental indexing. */
  const indexed = (name: string, value: string): Buffer => {
    const block = literal(name, value);
    block[0] = 0x40;
    return block;
  };

  test("forgets its oldest entries first, and all of them for one that does not fit", () => {
    const decoder = new HpackDecoder();
    headOf(decoder, indexed("content-type", "first"));
    headOf(decoder, indexed("content-type", "x".repeat(hpackLimits.tableBytesMax - 200)));
    expect(headOf(decoder, hex("bf")).contentType).toBe("first");
    headOf(decoder, indexed("content-type", "y".repeat(200)));
    expect(() => headOf(decoder, hex("bf"))).toThrow("index 63 is not in the table");
    const fresh = new HpackDecoder();
    headOf(fresh, indexed("content-type", "first"));
    headOf(fresh, indexed("content-type", "z".repeat(hpackLimits.tableBytesMax)));
    expect(() => headOf(fresh, hex("be"))).toThrow("index 62 is not in the table");
  });

  test("is emptied by a size update, which stands at the start and stays below the setting", () => {
    const decoder = new HpackDecoder();
    headOf(decoder, indexed("content-type", "first"));
    headOf(decoder, hex("20 3fe11f"));
    expect(() => headOf(decoder, hex("be"))).toThrow(HpackError);
    expect(() => headOf(new HpackDecoder(), hex("8220"))).toThrow("not at the start");
    expect(() => headOf(new HpackDecoder(), hex("3fe21f"))).toThrow("above the setting");
  });

  test("changes what a block means that was decoded before", () => {
    const decoder = new HpackDecoder();
    headOf(decoder, indexed("content-type", "one"));
    expect(headOf(decoder, hex("be")).contentType).toBe("one");
    expect(headOf(decoder, hex("be")).contentType).toBe("one");
    headOf(decoder, indexed("content-type", "two"));
    expect(headOf(decoder, hex("be")).contentType).toBe("two");
  });
});

describe("a head", () => {
  const POST = hex("83 86");
  const head = (...fields: (readonly [string, string])[]): RequestHead =>
    headOf(
      new HpackDecoder(),
      Buffer.concat([POST, ...fields.map(([name, value]) => literal(name, value))]),
    );

  test("has the fields that a gRPC server looks at", () => {
    expect(
      head(
        [":path", "/a/b"],
        ["content-type", "application/grpc"],
        ["grpc-encoding", "gzip"],
        ["content-length", "12"],
        ["te", "trailers"],
      ),
    ).toMatchObject({
      method: "POST",
      scheme: "http",
      path: "/a/b",
      contentType: "application/grpc",
      encoding: "gzip",
      contentLength: 12,
      isWellFormed: true,
      hasPseudo: true,
    });
  });

  test.each([
    ["an upper-case name", ["Content-Type", "x"]],
    ["a connection header", ["connection", "close"]],
    ["a te that is not trailers", ["te", "gzip"]],
    ["an unknown pseudo-header", [":status", "200"]],
    ["a pseudo-header twice", [":method", "GET"]],
    ["a length that is no number", ["content-length", "-1"]],
  ] as const)("with %s is malformed", (_, field) => {
    expect(head(field as readonly [string, string]).isWellFormed).toBe(false);
  });

  test("with a pseudo-header behind another one is malformed", () => {
    expect(head(["a", "b"], [":path", "/"]).isWellFormed).toBe(false);
  });

  test.each([
    ["no name", "", "x"],
    ["a space in its name", "a b", "x"],
    ["a control character in its name", "a\u0001", "x"],
    ["a byte above ASCII in its name", "\u00e9", "x"],
    ["a colon within its name", "a:b", "x"],
    ["a line end in its value", "a", "x\ny"],
    ["a carriage return in its value", "a", "x\ry"],
    ["NUL in its value", "a", "x\0y"],
    ["NUL in its path", ":path", "/a\0b"],
    ["a space before its value", "a", " x"],
    ["a tab behind its value", "a", "x\t"],
  ])("with %s is malformed", (_, name, value) => {
    expect(head([name, value]).isWellFormed).toBe(false);
  });

  test("may have any other character in a value", () => {
    expect(head(["a", "x \t y \u0001\u007f\u00ff"], ["b", ""]).isWellFormed).toBe(true);
  });

  test("with two lengths is malformed unless they are the same", () => {
    expect(head(["content-length", "5"], ["content-length", "5"])).toMatchObject({
      contentLength: 5,
      isWellFormed: true,
    });
    expect(head(["content-length", "5"], ["content-length", "6"]).isWellFormed).toBe(false);
    expect(head(["content-length", "6"], ["content-length", "x"]).isWellFormed).toBe(false);
    expect(head(["content-length", "9".repeat(16)]).isWellFormed).toBe(false);
  });

  test("far larger than the limit is not looked at again for each time that it names an entry", () => {
    const decoder = new HpackDecoder();
    headOf(decoder, Buffer.concat([hex("40"), literal("n".repeat(4000), "").subarray(1)]));
    const match = vi.spyOn(RegExp.prototype, "test");
    // Each byte names the entry of 4,000 characters.
    const bomb = Buffer.alloc(hpackLimits.headerListBytesMax, 0xbe);
    expect(decoder.decode(bomb, 0, bomb.length)).toBe(HEADER_LIST_TOO_LARGE);
    expect(match).not.toHaveBeenCalled();
  });

  test("larger than the limit is told, and the table goes on", () => {
    const decoder = new HpackDecoder();
    const block = Buffer.concat([
      hex("40 0163 0164"),
      ...Array.from({ length: 20 }, () => literal("a", "b".repeat(4000))),
    ]);
    expect(decoder.decode(block, 0, block.length)).toBe(HEADER_LIST_TOO_LARGE);
    expect(headOf(decoder, hex("be")).isWellFormed).toBe(true);
  });
});

test("what is sent is read back", () => {
  const message = "füllt – 100 %";
  const block = trailers(8, message);
  expect(block.includes(encodeURIComponent(message))).toBe(true);
  expect(() => trailers(8, "half a pair \ud83d")).not.toThrow();
  const long = literal("content-type", "x".repeat(5000));
  expect(headOf(new HpackDecoder(), long).contentType).toHaveLength(5000);
});

describe("an integer", () => {
  test.each([
    ["C.1.2", "3f9a0a"], // 1,337 as a table size
    ["the largest table", "3fe11f"],
    ["with bytes of nothing", "3f808000"], // 31
  ])("of several bytes is read: %s", (_, block) => {
    expect(headOf(new HpackDecoder(), hex(block)).isWellFormed).toBe(true);
  });

  test.each([
    ["that is cut off", "3f", "cut off"],
    ["that goes on behind the block", "3fff", "cut off"],
    ["of more bytes than any limit needs", "3f8080808000", "too large"],
    ["that would overflow", "7fffffffffffffff7f", "too large"],
    ["that is an index of the future", "ffffffff7f", "is not in the table"],
    ["that is index 0", "80", "index 0"],
    ["that is a string beyond its block", "40ffffff7f", "longer than its block"],
  ])("%s is refused", (_, block, reason) => {
    expect(() => headOf(new HpackDecoder(), hex(block))).toThrow(HpackError);
    expect(() => headOf(new HpackDecoder(), hex(block))).toThrow(reason);
  });

  test("is the one that was written, whatever its prefix", () => {
    fc.assert(
      fc.property(fc.nat(hpackLimits.tableBytesMax), fc.nat(20_000), (size, length) => {
        const decoder = new HpackDecoder();
        headOf(decoder, Buffer.from(encodeInteger(size, 5, 0x20)));
        // 31: content-type, without indexing.
        const name = Buffer.from(encodeInteger(31, 4, 0x00));
        const value = Buffer.alloc(length, "x");
        const block = Buffer.concat([name, Buffer.from(encodeInteger(length, 7, 0)), value]);
        expect(headOf(decoder, block).contentType).toHaveLength(length);
      }),
      { numRuns: 50 },
    );
  });
});

test("blocks of another coder are read as they were meant, one after the other on a connection", () => {
  const value = fc.oneof(
    fc.constantFrom("", "/", "gzip", "application/grpc", "x".repeat(300)),
    fc.string({ unit: fc.integer({ min: 0x21, max: 0xff }).map((c) => String.fromCharCode(c)) }),
  );
  const head = fc.record({ path: value, contentType: value, encoding: value, other: value });
  fc.assert(
    fc.property(
      fc.array(head, { maxLength: 12 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 100 }),
      (heads, numbers) => {
        const encoder = new ReferenceEncoder();
        const decoder = new HpackDecoder();
        let used = 0;
        const choose = (below: number): number => numbers[used++ % numbers.length]! % below;
        for (const { path, contentType, encoding, other } of heads) {
          const fields: Field[] = [
            [":method", "POST"],
            [":path", path],
            [":scheme", "https"],
            ["content-type", contentType],
            ["x-other", other],
            ["grpc-encoding", encoding],
          ];
          expect(headOf(decoder, encoder.encode(fields, choose))).toMatchObject({
            method: "POST",
            scheme: "https",
            path,
            contentType,
            encoding,
            isWellFormed: true,
          });
        }
        const last = 61 + encoder.table.length;
        headOf(decoder, Buffer.from(encodeInteger(last, 7, 0x80)));
        expect(() => headOf(decoder, Buffer.from(encodeInteger(last + 1, 7, 0x80)))).toThrow(
          "is not in the table",
        );
      },
    ),
    { numRuns: 300 },
  );
});

test("any bytes are decoded or refused with an HpackError, block after block", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 80 }),
          fc.array(fc.constantFrom(0x82, 0x86, 0xbe, 0x40, 0x01, 0x61, 0x00, 0x3f, 0x7f, 0x8c), {
            maxLength: 40,
          }),
        ),
        { maxLength: 6 },
      ),
      (blocks) => {
        const decoder = new HpackDecoder();
        for (const block of blocks) {
          try {
            decoder.decode(Uint8Array.from(block), 0, block.length);
          } catch (error) {
            expect(error).toBeInstanceOf(HpackError);
            return;
          }
        }
      },
    ),
    { numRuns: 2000 },
  );
});
