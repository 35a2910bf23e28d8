/**
 * Who waits for what; that bytes arrive is in connection-flow.test.ts.
 * @module
 */
import { expect, test } from "vitest";
import { MemorySocket } from "../../../test/support/h2-memory.ts";
import { FrameLog } from "../../../test/support/h2-peer.ts";
import { FrameType, WINDOW_MAX } from "./frames.ts";
import { h2Limits } from "./limits.ts";
import { Sender } from "./sender.ts";
import { H2Stream } from "./stream.ts";

const CONNECTION_WINDOW = 65_535;

function start() {
  const log = new FrameLog();
  const socket = new MemorySocket((bytes) => log.read(bytes));
  const sender = new Sender(socket.asSocket, { unsentBytes: 0 });
  const owner = {
    sendHead: () => {},
    send: () => {},
    pump: (stream: H2Stream) => sender.pump(stream),
  };
  let id = -1;
  const queue = (byteLength: number, window: number): H2Stream => {
    id += 2;
    const stream = new H2Stream(owner, id, "identity", -1, window);
    sender.enqueue(stream, [Buffer.alloc(byteLength)], byteLength);
    sender.pump(stream);
    return stream;
  };
  const waiting = (): number[] => [...sender.blocked].map((stream) => stream.id);
  return { sender, socket, log, queue, waiting };
}

test("a stream waits for the connection only while its own window would let it send", () => {
  const { sender, queue, waiting } = start();
  const narrow = queue(100, 0);
  queue(CONNECTION_WINDOW, WINDOW_MAX);
  expect(waiting()).toEqual([]);
  const next = queue(100, 10);
  expect(waiting()).toEqual([5]);
  // 1 and 5 wait for their own windows now: an update of the connection must not walk them.
  expect(sender.widen(50)).toBe(true);
  sender.pump(next);
  expect([waiting(), next.queuedBytes]).toEqual([[], 90]);
  expect([narrow.queuedBytes, sender.unsentBytes]).toEqual([100, 190]);
  next.sendWindow += 1000;
  sender.pump(next);
  expect([waiting(), next.queuedBytes]).toEqual([[5], 50]);
  sender.drop(next);
  sender.drop(narrow);
  expect([waiting(), sender.unsentBytes]).toEqual([[], 0]);
});

test("a stream waits for the kernel like for the connection", () => {
  const { sender, socket, queue, waiting } = start();
  sender.widen(WINDOW_MAX - CONNECTION_WINDOW);
  socket.isStalled = true;
  const stream = queue(2 * h2Limits.backlogBytesMax, WINDOW_MAX);
  expect([waiting(), sender.hasRoom]).toEqual([[1], false]);
  expect(stream.queuedBytes).toBeGreaterThan(0);
  sender.flush();
  expect(sender.hasRoom).toBe(false);
  socket.release();
  expect(sender.hasRoom).toBe(true);
  sender.pump(stream);
  expect([waiting(), stream.queuedBytes]).toEqual([[], 0]);
});

test("trailers follow the last byte, once", () => {
  const { sender, log, queue } = start();
  const stream = queue(100, 60);
  stream.end();
  sender.flush();
  expect(log.ofType(FrameType.Headers)).toEqual([]);
  stream.sendWindow += 40;
  sender.pump(stream);
  sender.pump(stream);
  sender.flush();
  expect(log.frames.map(({ type }) => type)).toEqual([0, 0, 1]);
  expect([stream.isSent, sender.unsentBytes]).toEqual([true, 0]);
});

test("a window may be just as wide as allowed", () => {
  const { sender } = start();
  expect(sender.widen(WINDOW_MAX - CONNECTION_WINDOW)).toBe(true);
  expect(sender.widen(1)).toBe(false);
});
