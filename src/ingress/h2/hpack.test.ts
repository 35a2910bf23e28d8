/**
 * HPACK against the examples of RFC 7541 and a second coder, and what hostile blocks can do: nothing but an HpackError.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
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

/** Huffman coding as RFC 7541 §5.2 has it. */
function encodeHuffman(text: Buffer): Buffer {
  let bits = "";
  for (const byte of text) {
    bits += HUFFMAN_CODES[byte]!.toString(2).padStart(HUFFMAN_LENGTHS[byte]!, "0");
  }
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

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
  const long = literal("content-type", "x".repeat(5000));
  expect(headOf(new HpackDecoder(), long).contentType).toHaveLength(5000);
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
