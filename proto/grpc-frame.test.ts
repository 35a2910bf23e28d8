/**
 * gRPC frames however their bytes are cut.
 * @module
 */
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type FindRun, GrpcFrameReader, writeGrpcFramePrefix } from "./grpc-frame.ts";
import { Writer } from "./wire.ts";

const LIMIT = 1_000_000;

function frame(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Pushes the chunks; every message is kept as a view and copied out only at the end. */
function read(chunks: readonly Uint8Array[], reader = new GrpcFrameReader(LIMIT)): Buffer[] {
  const views: Uint8Array[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    while (reader.next()) views.push(reader.bytes.subarray(reader.start, reader.end));
  }
  return views.map((view) => Buffer.from(view));
}

function cut(bytes: Buffer, points: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let from = 0;
  for (const point of [...points.toSorted((a, b) => a - b), bytes.length]) {
    chunks.push(Buffer.from(bytes.subarray(from, point)));
    from = point;
  }
  return chunks;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("messages", () => {
  const message = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

  test("are the same wherever the bytes are cut once", () => {
    const messages = ["", "a", "", "hello world", "b".repeat(700)].map((text) => Buffer.from(text));
    const bytes = Buffer.concat(messages.map((each) => frame(each)));
    for (let i = 0; i <= bytes.length; i++) {
      expect(read(cut(bytes, [i])), `cut at ${i}`).toEqual(messages);
    }
  });

  test("are the same when the bytes come one by one", () => {
    const messages = ["", "a", "hello world", "b".repeat(2000)].map((text) => Buffer.from(text));
    const bytes = Buffer.concat(messages.map((each) => frame(each)));
    expect(read([...bytes].map((byte) => Buffer.of(byte)))).toEqual(messages);
  });

  test("are the same for any cuts", () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (messages, points) => {
          const bytes = Buffer.concat(messages.map((each) => frame(each)));
          const inside = points.map((point) => point % (bytes.length + 1));
          const reader = new GrpcFrameReader(LIMIT);
          expect(read(cut(bytes, inside), reader)).toEqual(messages);
          expect(reader.pendingBytes).toBe(0);
          expect(reader.error).toBeNull();
        },
      ),
    );
  });

  test("are views of the chunk when they lie in it, and have memory of their own otherwise", () => {
    const reader = new GrpcFrameReader(LIMIT);
    const first = Buffer.concat([
      frame(Buffer.from("whole")),
      frame(Buffer.from("cut")).subarray(0, 6),
    ]);
    reader.push(first);
    expect(reader.next()).toBe(true);
    expect(reader.bytes).toBe(first);
    expect(reader.next()).toBe(false);
    const second = Buffer.from("ut");
    reader.push(second);
    expect(reader.next()).toBe(true);
    const { bytes, start, end } = reader;
    expect(bytes).not.toBe(second);
    expect([start, end, bytes.length, bytes.buffer.byteLength]).toEqual([0, 3, 3, 3]);
  });

  test("know whether they are compressed", () => {
    const reader = new GrpcFrameReader(LIMIT);
    reader.push(Buffer.concat([frame(Buffer.from("a"), 1), frame(Buffer.from("b"))]));
    expect(reader.next() && reader.compressed).toBe(true);
    expect(reader.next() && !reader.compressed).toBe(true);
  });

  test("are not lost when a chunk comes before the last was read to its end", () => {
    const reader = new GrpcFrameReader(LIMIT);
    reader.push(frame(Buffer.from("one")));
    reader.push(frame(Buffer.from("two")));
    expect(read([Buffer.alloc(0)], reader).map(String)).toEqual(["one", "two"]);
  });
});

describe("what is not complete", () => {
  test("is counted", () => {
    const reader = new GrpcFrameReader(LIMIT);
    const bytes = frame(Buffer.from("hello"));
    for (let i = 0; i < bytes.length - 1; i++) {
      expect(reader.pendingBytes).toBe(i);
      reader.push(bytes.subarray(i, i + 1));
      expect(reader.next()).toBe(false);
    }
    reader.push(bytes.subarray(bytes.length - 1));
    expect(reader.next()).toBe(true);
    expect(reader.pendingBytes).toBe(0);
  });

  test("keeps no chunk alive", () => {
    const reader = new GrpcFrameReader(LIMIT);
    reader.push(Buffer.concat([frame(Buffer.from("hello")), Buffer.of(0, 0)]));
    while (reader.next());
    expect(reader.bytes.length).toBe(0);
    expect(reader.pendingBytes).toBe(2);
  });

  test("is forgotten by reset, errors too", () => {
    const reader = new GrpcFrameReader(10);
    read([frame(Buffer.from("hello")).subarray(0, 7)], reader);
    reader.reset();
    expect(reader.pendingBytes).toBe(0);
    expect(read([frame(Buffer.from("next"))], reader).map(String)).toEqual(["next"]);
    read([frame(Buffer.alloc(11))], reader);
    expect(reader.error).toBe("too-large");
    reader.reset();
    expect(read([frame(Buffer.from("next"))], reader).map(String)).toEqual(["next"]);
  });
});

describe("limits", () => {
  test("a message of the longest length is read, one byte more is an error that stays", () => {
    const reader = new GrpcFrameReader(100);
    expect(read([frame(Buffer.alloc(100))], reader).length).toBe(1);
    expect(reader.error).toBeNull();
    const prefix = frame(Buffer.alloc(101)).subarray(0, 5);
    expect(read([prefix, frame(Buffer.from("good"))], reader)).toEqual([]);
    expect(reader.error).toBe("too-large");
  });

  test("what comes after an error is not kept", () => {
    const concat = vi.spyOn(Buffer, "concat");
    const reader = new GrpcFrameReader(100);
    reader.push(Buffer.of(0, 0, 0, 0, 101));
    expect(reader.next()).toBe(false);
    for (let i = 0; i < 100; i++) reader.push(Buffer.alloc(1000));
    expect(reader.next()).toBe(false);
    expect([reader.pendingBytes, concat.mock.calls.length]).toEqual([5, 0]);
  });

  test("a length of 4 GiB is an error for any limit below it", () => {
    const reader = new GrpcFrameReader(2 ** 31);
    read([Buffer.of(0, 0xff, 0xff, 0xff, 0xff)], reader);
    expect(reader.error).toBe("too-large");
  });

  test("memory follows what has come, not what was announced", () => {
    const allocate = vi.spyOn(Buffer, "allocUnsafeSlow");
    const reader = new GrpcFrameReader(2 ** 30);
    read([Buffer.of(0, 0x3f, 0xff, 0xff, 0xff)], reader);
    expect(allocate).not.toHaveBeenCalled();
    let come = 0;
    for (let i = 0; i < 40; i++) {
      const chunk = Buffer.alloc(1 + i * 50);
      come += chunk.length;
      read([chunk], reader);
      for (const [size] of allocate.mock.calls) {
        expect(size).toBeLessThanOrEqual(Math.max(512, 4 * come));
      }
    }
  });

  test("a long message in small pieces is copied a bounded number of times", () => {
    const allocate = vi.spyOn(Buffer, "allocUnsafeSlow");
    const message = Buffer.alloc(LIMIT, 7);
    const bytes = frame(message);
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 1000) chunks.push(bytes.subarray(at, at + 1000));
    expect(read(chunks)[0]!.equals(message)).toBe(true);
    const allocated = allocate.mock.calls.reduce((sum, [size]) => sum + size, 0);
    expect(allocated).toBeLessThan(2 * LIMIT);
  });

  test("a message that begins with a full HTTP/2 frame gets its memory once, up to 64 KiB", () => {
    const allocate = vi.spyOn(Buffer, "allocUnsafeSlow");
    const bytes = frame(Buffer.alloc(62_000));
    expect(read(cut(bytes, [16_384, 32_768, 49_152])).length).toBe(1);
    expect(allocate.mock.calls).toEqual([[62_000]]);
  });
});

describe("a run", () => {
  /** Bytes 10 .. 10 + n of a message are its run, n as the first four bytes say. */
  const findRun: FindRun = (bytes, start, end, expected, run) => {
    if (end - start < 4) return false;
    run.start = 10;
    run.length = Buffer.from(bytes).readUInt32BE(start);
    return run.length > 0 && 10 + run.length <= expected;
  };

  function withRun(length: number, tail: number): Buffer {
    const message = Buffer.from(Array.from({ length: 10 + length + tail }, (_, i) => i % 253));
    message.writeUInt32BE(length);
    return message;
  }

  /** Reads messages whole again: head, run, tail. */
  function readRuns(chunks: readonly Uint8Array[]): { messages: Buffer[]; runs: number[] } {
    const reader = new GrpcFrameReader(LIMIT, findRun);
    const messages: Buffer[] = [];
    const runs: number[] = [];
    for (const chunk of chunks) {
      reader.push(chunk);
      while (reader.next()) {
        const { bytes, start, end, runAt, runLength } = reader;
        const at = runLength === 0 ? end : start + runAt;
        const parts = [bytes.subarray(start, at), reader.parts.joined(), bytes.subarray(at, end)];
        messages.push(Buffer.concat(parts));
        runs.push(runLength);
      }
    }
    expect(reader.pendingBytes).toBe(0);
    return { messages, runs };
  }

  test("is kept apart when the message is cut behind its beginning", () => {
    const message = withRun(9_000, 20);
    expect(readRuns(cut(frame(message), [4_000]))).toEqual({ messages: [message], runs: [9_000] });
    expect(readRuns(cut(frame(message), [7]))).toEqual({ messages: [message], runs: [0] });
    expect(readRuns([frame(message)])).toEqual({ messages: [message], runs: [0] });
  });

  test("changes no message, whatever the cuts", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(9_000), fc.nat(40)), { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(), { maxLength: 10 }),
        (shapes, points) => {
          const messages = shapes.map(([length, tail]) => withRun(length, tail));
          const bytes = Buffer.concat(messages.map((each) => frame(each)));
          const inside = points.map((point) => point % (bytes.length + 1));
          const read = readRuns(cut(bytes, inside)).messages;
          expect(read.length).toBe(messages.length);
          expect(read.every((message, i) => message.equals(messages[i]!))).toBe(true);
        },
      ),
    );
  });

  test("of a message that is reset is forgotten", () => {
    const reader = new GrpcFrameReader(LIMIT, findRun);
    reader.push(frame(withRun(9_000, 0)).subarray(0, 5_000));
    expect(reader.next()).toBe(false);
    expect(reader.pendingBytes).toBe(5_000);
    reader.reset();
    expect(reader.pendingBytes).toBe(0);
    expect(read([frame(Buffer.from("next"))], reader).map(String)).toEqual(["next"]);
  });
});

test("the prefix that is written is the one that is read", () => {
  const w = new Writer();
  for (const length of [0, 1, 255, 256, 65_536, 0x12345678, 2 ** 32 - 1]) {
    w.reset();
    writeGrpcFramePrefix(w, length);
    expect(w.length).toBe(5);
    expect(w.bytes[0]).toBe(0);
    expect(w.bytes.readUInt32BE(1)).toBe(length);
  }
});
