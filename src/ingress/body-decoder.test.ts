import { randomBytes } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { BodyDecoder, bodyDecoderLimits, type Decoded } from "./body-decoder.ts";

const MIB = 1024 * 1024;
const ENCODERS = [
  ["gzip", gzipSync],
  ["deflate", deflateSync],
  ["deflate", deflateRawSync],
  ["br", brotliCompressSync],
] as const;

class Owner {
  isFinished = false;
  readonly told: Decoded[] = [];
  onDecoded(decoded: Decoded): void {
    this.told.push(decoded);
  }
}

async function settled(owner: Owner): Promise<Decoded> {
  while (owner.told.length === 0) await setImmediate();
  return owner.told[0]!;
}

/** Decodes, at once or later. */
async function decode(encoding: string, body: Uint8Array, bytesMax = 8 * MIB): Promise<Decoded> {
  const owner = new Owner();
  return new BodyDecoder().decode(encoding, [body], bytesMax, owner) ?? (await settled(owner));
}

describe.each(ENCODERS)("%s", (encoding, encode) => {
  test("small bodies are decoded at once, also in pieces", () => {
    const encoded = encode(Buffer.from("hello"));
    const pieces = [...encoded].map((byte) => Buffer.of(byte));
    const owner = new Owner();
    const decoded = new BodyDecoder().decode(encoding, pieces, MIB, owner);
    expect(Buffer.from(decoded as Uint8Array).toString()).toBe("hello");
  });

  test("large ones later", async () => {
    const body = Buffer.concat([randomBytes(bodyDecoderLimits.smallBytesMax), Buffer.alloc(MIB)]);
    const owner = new Owner();
    expect(new BodyDecoder().decode(encoding, [encode(body)], 8 * MIB, owner)).toBeNull();
    expect(Buffer.from((await settled(owner)) as Uint8Array).equals(body)).toBe(true);
  });

  test("the bound is met by the last byte, not before", async () => {
    for (const bytes of [1000, MIB]) {
      const encoded = encode(Buffer.alloc(bytes));
      expect(((await decode(encoding, encoded, bytes)) as Uint8Array).length).toBe(bytes);
      expect(await decode(encoding, encoded, bytes - 1)).toEqual({
        code: "EPP_REQUEST_BODY_TOO_LARGE",
        detail: `${bytes - 1} bytes, decoded`,
      });
    }
  });

  test("what is broken or cut is refused", async () => {
    const broken = { code: "EPP_REQUEST_BODY_INVALID", detail: `body is not valid ${encoding}` };
    const encoded = encode(Buffer.from("hello hello hello"));
    for (const body of [encoded.subarray(0, -1), Buffer.alloc(0), Buffer.from('{"a":1}')]) {
      expect(await decode(encoding, body)).toEqual(broken);
    }
    const large = encode(randomBytes(2 * bodyDecoderLimits.smallBytesMax));
    expect(await decode(encoding, large.subarray(0, -1))).toEqual(broken);
  });
});

test("a bomb is given up when it is as large as a body may be", async () => {
  const bomb = gzipSync(Buffer.alloc(64 * MIB));
  expect(bomb.length).toBeLessThan(bodyDecoderLimits.smallBytesMax * 2);
  expect(await decode("gzip", bomb, MIB)).toMatchObject({ code: "EPP_REQUEST_BODY_TOO_LARGE" });
});

test("codings that nobody knows, and several of them, are refused", async () => {
  for (const encoding of ["zstd", "gzip, gzip", "__proto__"]) {
    expect(await decode(encoding, Buffer.from("x"))).toEqual({
      code: "EPP_REQUEST_ENCODING_UNSUPPORTED",
      detail: JSON.stringify(encoding),
    });
  }
});

describe("several large bodies", () => {
  const body = gzipSync(Buffer.alloc(MIB));

  test("are decoded one after the other, in the order of their coming", async () => {
    const decoder = new BodyDecoder();
    const order: number[] = [];
    const owners = [0, 1, 2].map((i) => {
      const owner = new Owner();
      owner.onDecoded = (decoded) => {
        order.push(i);
        owner.told.push(decoded);
      };
      decoder.decode("gzip", [body], 8 * MIB, owner);
      return owner;
    });
    await settled(owners[2]!);
    expect(order).toEqual([0, 1, 2]);
  });

  test("who does not wait any more is not told, and holds up nobody", async () => {
    const decoder = new BodyDecoder();
    const owners = Array.from({ length: 1000 }, () => new Owner());
    for (const owner of owners) decoder.decode("gzip", [body], 8 * MIB, owner);
    for (const owner of owners.slice(0, -1)) owner.isFinished = true;
    await settled(owners.at(-1)!);
    expect(owners.reduce((sum, owner) => sum + owner.told.length, 0)).toBe(1);
  });
});
