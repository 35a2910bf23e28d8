/**
 * What is pushed arrives, in order and in few system calls, also when the kernel takes its time.
 * @module
 */
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { MemorySocket } from "../../../test/support/h2-memory.ts";
import { COPY_BYTES_MAX, Output } from "./output.ts";

function create(): { socket: MemorySocket; output: Output; sent: () => Buffer } {
  const socket = new MemorySocket();
  return {
    socket,
    output: new Output(socket.asSocket),
    sent: () => Buffer.concat(socket.calls),
  };
}

test("pieces of a turn leave in one call, in their order", () => {
  const { socket, output, sent } = create();
  const large = Buffer.alloc(COPY_BYTES_MAX, "L");
  output.push(Buffer.from("one "));
  output.push(large);
  output.buffer.write("two ", output.reserve(4));
  output.push(Buffer.from("three"));
  expect(socket.calls).toEqual([]);
  expect(output.backlogBytes).toBe(13 + COPY_BYTES_MAX);
  output.flush();
  expect(socket.calls).toHaveLength(1);
  expect(sent().toString()).toBe(`one ${large}two three`);
  expect(output.backlogBytes).toBe(0);
});

test("nothing is written when there is nothing", () => {
  const { socket, output } = create();
  output.flush();
  output.push(Buffer.alloc(0));
  output.flush();
  expect(socket.calls).toEqual([]);
});

test("large pieces are sent as they are, small ones are copied", () => {
  const { socket, output } = create();
  const written: unknown[] = [];
  vi.spyOn(socket, "write").mockImplementation((chunk: unknown) => written.push(chunk) > 0);
  const [large, small] = [Buffer.alloc(COPY_BYTES_MAX), Buffer.alloc(COPY_BYTES_MAX - 1)];
  output.push(large);
  output.push(small);
  output.flush();
  expect(written[0]).toBe(large);
  expect((written[1] as Buffer).buffer).toBe(output.buffer.buffer);
});

test("one scratch serves all turns while the kernel keeps up", () => {
  const { output, sent } = create();
  const { buffer } = output;
  for (let i = 0; i < 200; i++) {
    output.push(Buffer.alloc(1000, i));
    output.flush();
  }
  expect(output.buffer).toBe(buffer);
  expect(sent()).toHaveLength(200_000);
});

test("what waits in the socket is counted, and not written over", async () => {
  const { socket, output, sent } = create();
  socket.isStalled = true;
  const texts = Array.from({ length: 3000 }, (_, i) => `turn ${i}, `.padEnd(40, "."));
  for (const text of texts) {
    output.push(Buffer.from(text));
    output.flush();
  }
  expect(output.backlogBytes).toBe(3000 * 40);
  socket.release();
  await setImmediate();
  expect(sent().toString()).toBe(texts.join(""));
  expect(output.backlogBytes).toBe(0);
});

test("bytes arrive as they were pushed, whatever their sizes and the pace of the kernel", async () => {
  const size = fc.oneof(
    fc.nat(100),
    fc.integer({ min: COPY_BYTES_MAX - 2, max: COPY_BYTES_MAX + 2 }),
    fc.nat(70_000),
  );
  const step = fc.oneof(
    { weight: 6, arbitrary: size },
    { weight: 3, arbitrary: fc.constant("flush" as const) },
    { weight: 1, arbitrary: fc.constantFrom("stall" as const, "release" as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { socket, output, sent } = create();
      const pushed: Buffer[] = [];
      for (const one of steps) {
        if (one === "flush") output.flush();
        else if (one === "stall") socket.isStalled = true;
        else if (one === "release") {
          socket.release();
          await setImmediate();
        } else {
          const bytes = Buffer.alloc(one, pushed.length + 1);
          pushed.push(bytes);
          output.push(bytes);
        }
      }
      output.flush();
      socket.release();
      while (socket.writableLength > 0) await setImmediate();
      expect(sent().equals(Buffer.concat(pushed))).toBe(true);
    }),
    { numRuns: 60 },
  );
});
