import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Side, writeTrailersReply } from "../../proto/index.ts";
import { type ProcessingResponse, streamedBodyOf } from "../../test/support/ext-proc-messages.ts";
import { decodeOracle, processingResponse, splitFrames } from "../../test/support/wire-oracle.ts";
import { BODY_REPLY_BYTES_MAX, ReplyBuffer } from "./reply-buffer.ts";
import type { GrpcStream } from "./transport.ts";

/** A stream that keeps each write as it was handed over. */
class Writes implements GrpcStream {
  readonly encoding = "identity";
  readonly writes: (readonly Uint8Array[])[] = [];

  write(segments: readonly Uint8Array[], byteLength: number): void {
    expect(segments.reduce((sum, { length }) => sum + length, 0)).toBe(byteLength);
    this.writes.push(segments);
  }
  end(): void {}
  fail(): void {}

  replies(): ProcessingResponse[] {
    return splitFrames(Buffer.concat(this.writes.flat())).map(
      (frame) => decodeOracle(processingResponse, frame) as ProcessingResponse,
    );
  }

  bodies(): { body: Buffer; endOfStream: boolean }[] {
    return this.replies().map(streamedBodyOf);
  }
}

/** Bytes that tell where they are. */
function body(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = i % 251;
  return bytes;
}

describe("a body", () => {
  test.each([
    [0, [0]],
    [1, [1]],
    [BODY_REPLY_BYTES_MAX, [BODY_REPLY_BYTES_MAX]],
    [BODY_REPLY_BYTES_MAX + 1, [BODY_REPLY_BYTES_MAX, 1]],
    [2 * BODY_REPLY_BYTES_MAX, [BODY_REPLY_BYTES_MAX, BODY_REPLY_BYTES_MAX]],
  ])("of %i bytes goes in replies of %j", (length, sizes) => {
    for (const endOfStream of [true, false]) {
      const reply = new ReplyBuffer();
      const stream = new Writes();
      reply.body(Side.Request, [body(length)], length, endOfStream);
      reply.flush(stream);
      const bodies = stream.bodies();
      expect(bodies.map((each) => each.body.length)).toEqual(sizes);
      const ends = bodies.map((each) => each.endOfStream);
      expect(ends).toEqual(sizes.map((_, i) => endOfStream && i === sizes.length - 1));
    }
  });

  test("arrives whole and in full replies, however it is cut", () => {
    const cuts = fc.array(fc.integer({ min: 0, max: 70_000 }), { maxLength: 6 });
    fc.assert(
      fc.property(cuts, fc.boolean(), (sizes, endOfStream) => {
        const whole = body(sizes.reduce((sum, size) => sum + size, 0));
        const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
        const pieces = sizes.map((size, i) => whole.subarray(starts[i]!, starts[i]! + size));
        const reply = new ReplyBuffer();
        const stream = new Writes();
        reply.body(Side.Response, pieces, whole.length, endOfStream);
        reply.flush(stream);
        const bodies = stream.bodies();
        expect(Buffer.concat(bodies.map((each) => each.body)).equals(whole)).toBe(true);
        for (const each of bodies.slice(0, -1)) {
          expect(each.body.length).toBe(BODY_REPLY_BYTES_MAX);
          expect(each.endOfStream).toBe(false);
        }
        expect(bodies.at(-1)!.endOfStream).toBe(endOfStream);
      }),
      { numRuns: 50 },
    );
  });

  test("that is large is not copied", () => {
    const reply = new ReplyBuffer();
    const stream = new Writes();
    const piece = body(40_000);
    reply.body(Side.Response, [piece], piece.length, false);
    reply.flush(stream);
    expect(stream.writes[0]).toContain(piece);
  });

  test("that is small leaves in one piece with its framing", () => {
    const reply = new ReplyBuffer();
    const stream = new Writes();
    reply.body(Side.Response, [body(10), body(20)], 30, false);
    writeTrailersReply(reply.writer, Side.Response);
    reply.flush(stream);
    expect(stream.writes[0]!.length).toBe(1);
  });
});

describe("a burst", () => {
  test("keeps the order of its replies, whatever they are", () => {
    for (const size of [10, 50_000]) {
      const reply = new ReplyBuffer();
      const stream = new Writes();
      writeTrailersReply(reply.writer, Side.Request);
      reply.body(Side.Response, [body(size)], size, false);
      reply.body(Side.Response, [], 0, true);
      writeTrailersReply(reply.writer, Side.Response);
      reply.flush(stream);
      expect(stream.replies().map(({ response }) => response)).toEqual([
        "requestTrailers",
        "responseBody",
        "responseBody",
        "responseTrailers",
      ]);
    }
  });

  test("is handed over: what comes after it does not touch it", () => {
    for (const size of [10, 50_000]) {
      const reply = new ReplyBuffer();
      const stream = new Writes();
      reply.body(Side.Response, [body(size)], size, true);
      reply.flush(stream);
      const before = Buffer.concat(stream.writes.flat());
      reply.body(Side.Request, [Buffer.alloc(size, 0xff)], size, false);
      reply.flush(new Writes());
      expect(Buffer.concat(stream.writes.flat()).equals(before)).toBe(true);
    }
  });

  test("that is empty, flushed before or discarded writes nothing", () => {
    const reply = new ReplyBuffer();
    const stream = new Writes();
    reply.flush(stream);
    reply.body(Side.Request, [body(9)], 9, true);
    reply.discard();
    reply.flush(stream);
    expect(stream.writes).toEqual([]);
    writeTrailersReply(reply.writer, Side.Request);
    reply.flush(stream);
    reply.flush(stream);
    expect(stream.writes.length).toBe(1);
  });

  test("is not sent to the next stream when the write to its own throws", () => {
    const reply = new ReplyBuffer();
    const broken = new Writes();
    broken.write = () => {
      throw new Error("gone");
    };
    reply.body(Side.Request, [body(9)], 9, true);
    expect(() => reply.flush(broken)).toThrow("gone");
    const next = new Writes();
    reply.flush(next);
    expect(next.writes).toEqual([]);
  });
});
