/**
 * Reading a block of headers, in the usual form and in others.
 * @module
 */
import { describe, expect, test } from "vitest";
import { encodeOracle, messageType } from "../test/support/wire-oracle.ts";
import { HeaderBlock } from "./header-block.ts";
import { HeaderId } from "./header-names.ts";
import { WireStatus, wireLimits } from "./wire.ts";

const headerMap = messageType("envoy.config.core.v3.HeaderMap");

interface Header {
  readonly key?: string;
  readonly value?: string;
  readonly rawValue?: Buffer;
}

function blockOf(...headers: readonly Header[]): HeaderBlock {
  const bytes = encodeOracle(headerMap, { headers });
  const block = new HeaderBlock();
  block.clear(bytes);
  expect(block.add(0, bytes.length)).toBe(WireStatus.Ok);
  return block;
}

const raw = (key: string, value: string): Header => ({ key, rawValue: Buffer.from(value) });

describe("values", () => {
  test("are found by number, the last one of a name wins", () => {
    const block = blockOf(raw(":path", "/a"), raw("x-request-id", "1"), raw("x-request-id", "2"));
    expect(block.count).toBe(3);
    expect(block.get(HeaderId.path)).toBe("/a");
    expect(block.get(HeaderId.requestId)).toBe("2");
    expect(block.get(HeaderId.method)).toBeUndefined();
    expect(block.has(HeaderId.path)).toBe(true);
    expect(block.has(HeaderId.method)).toBe(false);
  });

  test("are found by names without a number, the last one wins", () => {
    const block = blockOf(raw("X-Tenant", "a"), raw("x-tenant", "b"), raw("x-tenants", "c"));
    expect(block.id[0]).toBe(0);
    expect(block.getByName("x-tenant")).toBe("b");
    expect(block.getByName("x-tenan")).toBeUndefined();
  });

  test("come from raw_value, and from value where that is empty", () => {
    const block = blockOf(
      { key: "a", value: "text", rawValue: Buffer.from("raw") },
      { key: "b", value: "text" },
      { key: "c", value: "text", rawValue: Buffer.alloc(0) },
      { key: "d" },
    );
    expect([0, 1, 2, 3].map((i) => block.value(i))).toEqual(["raw", "text", "text", ""]);
  });

  test("are UTF-8, and other bytes do no harm", () => {
    const block = blockOf(raw("a", "grüße"), { key: "b", rawValue: Buffer.of(0x61, 0xff) });
    expect(block.value(0)).toBe("grüße");
    expect(block.value(1)).toBe("a\ufffd");
  });
});

test("names are compared without case and told in lower case", () => {
  const block = blockOf(raw("X-Request-ID", "1"), raw("Accept", "a"));
  expect(block.get(HeaderId.requestId)).toBe("1");
  expect(block.name(0)).toBe("x-request-id");
  expect(block.name(1)).toBe("accept");
});

test("every length of name and value is read, at the borders of one and two bytes of varint too", () => {
  for (const keyLength of [0, 1, 127, 128, 20_000]) {
    for (const valueLength of [0, 1, 100, 127, 128, 16_383, 16_384, 20_000]) {
      const [key, value] = ["k".repeat(keyLength), "v".repeat(valueLength)];
      const block = blockOf(raw("first", "1"), raw(key, value), raw("last", "2"));
      expect(block.count).toBe(3);
      expect([block.name(1), block.value(1), block.value(2)]).toEqual([key, value, "2"]);
    }
  }
});

test("a name of two bytes of length is not read as one byte of length and a shorter name", () => {
  // Read with one byte of length, the name ends before its last character, and 0x1a looks like the tag of raw_value.
  const key = `${"k".repeat(127)}\u001a`;
  const block = blockOf(raw(key, "v".repeat(0x1a - 1)), raw("last", "2"));
  expect(block.count).toBe(2);
  expect([block.name(0), block.value(0)]).toEqual([key, "v".repeat(0x1a - 1)]);
});

test("a block is as long as the limit and no longer", () => {
  const most = Array.from({ length: wireLimits.headersMax }, (_, i) => raw(`h${i}`, `${i}`));
  const block = blockOf(...most);
  expect(block.count).toBe(wireLimits.headersMax);
  expect(block.value(999)).toBe("999");
  for (const extra of [raw("one-more", "1"), { key: "one-more", value: "1" }]) {
    const bytes = encodeOracle(headerMap, { headers: [...most, extra] });
    block.clear(bytes);
    expect(block.add(0, bytes.length)).toBe(WireStatus.TooManyHeaders);
  }
});

test("an instance that was grown and cleared holds the next block alone", () => {
  const block = blockOf(...Array.from({ length: 300 }, (_, i) => raw(`h${i}`, "x")));
  const bytes = encodeOracle(headerMap, { headers: [raw(":path", "/")] });
  block.clear(bytes);
  block.add(0, bytes.length);
  expect([block.count, block.get(HeaderId.path), block.getByName("h1")]).toEqual([
    1,
    "/",
    undefined,
  ]);
});
