import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { imageSize } from "./image-size.ts";

function sizeOf(image: Buffer, encoding: "base64" | "base64url" = "base64"): string | null {
  const text = Buffer.from(`data,${image.toString(encoding)}`);
  const size = imageSize(text, 5, text.length);
  return size === null ? null : `${size.width}x${size.height}`;
}

const anySide = fc.integer({ min: 1, max: 16_000 });

function png(width: number, height: number): Buffer {
  const image = Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR........\x08\x06\0\0\0", "latin1");
  image.writeUInt32BE(width, 16);
  image.writeUInt32BE(height, 20);
  return image;
}

function segment(marker: number, content: Buffer): Buffer {
  const head = Buffer.of(0xff, marker, 0, 0);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([head, content]);
}

/** A JPEG up to its frame header, behind application segments of these sizes. */
function jpeg(width: number, height: number, sizes: readonly number[], frame = 0xc2): Buffer {
  const header = Buffer.from([8, 0, 0, 0, 0, 3]);
  header.writeUInt16BE(height, 1);
  header.writeUInt16BE(width, 3);
  return Buffer.concat([
    Buffer.of(0xff, 0xd8),
    ...sizes.map((size, i) => segment(0xe0 + (i % 16), Buffer.alloc(size, 0xc0))),
    segment(0xc4, Buffer.alloc(20)),
    Buffer.of(0xff), // a fill byte
    segment(frame, header),
  ]);
}

function webp(kind: string, fill: (image: Buffer) => void): Buffer {
  const image = Buffer.alloc(30);
  image.write("RIFF\0\0\0\0WEBP", "latin1");
  image.write(kind, 12, "latin1");
  fill(image);
  return image;
}

describe("reads width and height of", () => {
  test("PNG", () => {
    fc.assert(
      fc.property(anySide, anySide, (width, height) => {
        expect(sizeOf(png(width, height))).toBe(`${width}x${height}`);
      }),
    );
  });

  test("JPEG, however much stands before the frame header", () => {
    const sizes = fc.array(fc.nat(60_000), { maxLength: 4 });
    fc.assert(
      fc.property(anySide, anySide, sizes, (width, height, before) => {
        expect(sizeOf(jpeg(width, height, before), "base64url")).toBe(`${width}x${height}`);
      }),
      { numRuns: 30 },
    );
  });

  test("GIF", () => {
    const image = Buffer.from("GIF89a\x40\x01\xc8\x00..", "latin1");
    expect(sizeOf(image)).toBe("320x200");
  });

  test("WebP in its three forms", () => {
    const lossy = webp("VP8 ", (image) => {
      image.writeUInt16LE(0x4000 | 640, 26); // the two upper bits are a scale
      image.writeUInt16LE(360, 28);
    });
    expect(sizeOf(lossy)).toBe("640x360");
    const lossless = webp("VP8L", (image) => {
      image.writeUInt32LE(((1000 - 1) | ((2000 - 1) << 14)) >>> 0, 21);
    });
    expect(sizeOf(lossless)).toBe("1000x2000");
    const extended = webp("VP8X", (image) => {
      image.writeUIntLE(70_000 - 1, 24, 3);
      image.writeUIntLE(3 - 1, 27, 3);
    });
    expect(sizeOf(extended)).toBe("70000x3");
  });
});

describe("gives null for", () => {
  test("other formats, text and nothing", () => {
    expect(sizeOf(Buffer.alloc(0))).toBeNull();
    expect(sizeOf(Buffer.from("BM0000"))).toBeNull();
    expect(sizeOf(webp("ABCD", () => {}))).toBeNull();
    const text = Buffer.from("***** this is no base64 *****");
    expect(imageSize(text, 0, text.length)).toBeNull();
  });

  test("headers that end too early", () => {
    const whole = jpeg(640, 480, [50]);
    for (const image of [png(5, 5), whole]) {
      const end = image === whole ? image.length - 3 : 23;
      for (let length = 0; length < end; length++) {
        expect(sizeOf(image.subarray(0, length)), `${length} bytes`).toBeNull();
      }
    }
    const cut = webp("VP8L", (image) => image.fill(1, 21));
    expect(sizeOf(cut.subarray(0, 24))).toBeNull();
  });

  test("a size of zero", () => {
    expect(sizeOf(png(0, 5))).toBeNull();
  });

  test("a JPEG that never comes to its frame header", () => {
    expect(sizeOf(jpeg(640, 480, new Array(300).fill(0)))).toBeNull();
    expect(sizeOf(Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0]))).toBeNull();
  });
});
