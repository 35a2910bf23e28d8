/**
 * Peers that break rules, do not read, or flood, and owners that act inside their callbacks: each costs what it must, its
 * stream or its connection, and nothing else.
 * @module
 */
import { afterEach, describe, expect, test, vi } from "vitest";
import { data, headers, ping, update } from "../../../test/support/h2-frames.ts";
import { MemoryPeer } from "../../../test/support/h2-memory.ts";
import { GRPC_HEAD } from "../../../test/support/h2-peer.ts";
import {
  Flag,
  FRAME_BYTES_MAX,
  FrameType,
  frame,
  H2Error,
  Setting,
  settingsFrame,
  u32Frame,
  WINDOW_MAX,
} from "./frames.ts";
import { literal } from "./hpack.ts";
import { h2Limits } from "./limits.ts";

const headOf = (fields: readonly (readonly [string, string])[], method = 0x83): Buffer =>
  Buffer.concat([
    Buffer.from([method, 0x86]),
    ...fields.map(([name, value]) => literal(name, value)),
  ]);
const OTHER_PROTOCOL = headOf([
  [":path", "/a.B/C"],
  ["content-type", "application/grpc-web+proto"],
]);
/** A stream that has to be reset. */
const RESET_BY_US = [headers(1), update(1, 0)] as const;
const FULL = Buffer.alloc(FRAME_BYTES_MAX, 7);
/** A peer that never has to widen a window. */
const OPEN_WINDOWS = [[Setting.InitialWindowSize, WINDOW_MAX]] as const;
const WIDE = update(0, WINDOW_MAX - 65_535);

/** That the connection still serves. */
function expectAlive(peer: MemoryPeer): void {
  const id = 99_999_999;
  peer.send(headers(id));
  const handler = peer.handlers.at(-1)!;
  handler.stream.end();
  peer.send(data(id, "", Flag.EndStream));
  expect(peer.goawayCode).toBe(-1);
  expect(peer.ofType(FrameType.Headers).at(-1)?.id).toBe(id);
  expect(handler.closes).toBe(1);
}

/** Asks until so many bytes of answers wait for a peer that does not read. */
function pileUp(peer: MemoryPeer, byteLength: number): void {
  peer.socket.isStalled = true;
  // Trailers alone wait for nothing.
  for (let id = 101; peer.socket.writableLength <= byteLength; id += 2) {
    peer.send(headers(id, Flag.EndStream));
    peer.handlers.pop()!.stream.fail(2, "waits");
  }
}

afterEach(() => {
  vi.useRealTimers();
});

describe("a stream that we have reset", () => {
  test("may go on until the peer knows: its data and trailers are ignored", async () => {
    const peer = await MemoryPeer.open();
    peer.send(...RESET_BY_US);
    expect(peer.resetsOf(1)).toEqual([H2Error.ProtocolError]);
    peer.send(data(1, "body"), headers(1, Flag.EndStream, literal("a", "b")));
    expect(peer.resetsOf(1)).toHaveLength(1);
    expectAlive(peer);
  });

  test("costs the peer one token, however much of its body is on the way", async () => {
    const peer = await MemoryPeer.open();
    peer.send(...RESET_BY_US);
    for (let i = 0; i < 2 * h2Limits.controlBucket; i++) peer.send(data(1, "body"));
    expect(peer.resetsOf(1)).toHaveLength(1);
    expectAlive(peer);
  });

  test("still counts against the window of the connection, which is granted again", async () => {
    const peer = await MemoryPeer.open();
    peer.send(...RESET_BY_US);
    const frames = h2Limits.connectionWindowBytes / 2 / FRAME_BYTES_MAX;
    const body = data(1, FULL);
    for (let i = 0; i < frames; i++) peer.send(body);
    const grants = peer.ofType(FrameType.WindowUpdate).filter(({ id }) => id === 0);
    expect(grants.at(-1)!.payload.readUInt32BE()).toBe(frames * FRAME_BYTES_MAX);
  });
});

describe("a broken rule of one stream costs that stream", () => {
  test("DATA after its end", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1, Flag.EndStream), data(1, "more"));
    expect(peer.resetsOf(1)).toEqual([H2Error.StreamClosed]);
    const [handler] = peer.handlers;
    expect([handler!.received.length, handler!.closes]).toEqual([0, 1]);
    handler!.stream.write([Buffer.from("late")], 4);
    await peer.settle();
    expect(peer.ofType(FrameType.Headers)).toEqual([]);
    expectAlive(peer);
  });

  test("a PRIORITY frame of a wrong length", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), frame(FrameType.Priority, 0, 1, Buffer.alloc(4)));
    expect(peer.resetsOf(1)).toEqual([H2Error.FrameSizeError]);
    expect(peer.handlers[0]!.closes).toBe(1);
    expectAlive(peer);
  });

  test.each([
    ["that do not end it", 0, literal("a", "b")],
    ["with a pseudo-header", Flag.EndStream, literal(":path", "/")],
    ["with an upper-case name", Flag.EndStream, literal("A", "b")],
  ])("trailers %s", async (_, flags, block) => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), headers(1, flags, block));
    expect(peer.resetsOf(1)).toEqual([H2Error.ProtocolError]);
    expect(peer.handlers[0]).toMatchObject({ closes: 1, halfCloses: 0 });
    expectAlive(peer);
  });

  test.each([
    ["longer", 5, "longer", 0],
    ["shorter", 5, "less", Flag.EndStream],
    ["absent", 5, "", Flag.EndStream],
  ])("a body that is %s than its declared length", async (_, length, body, flags) => {
    const peer = await MemoryPeer.open();
    const block = Buffer.concat([GRPC_HEAD, literal("content-length", String(length))]);
    peer.send(headers(1, 0, block), data(1, body, flags));
    expect(peer.resetsOf(1)).toEqual([H2Error.ProtocolError]);
    expect(peer.handlers[0]).toMatchObject({ closes: 1, halfCloses: 0 });
    expectAlive(peer);
  });

  test("nothing of a body that is too long is handed on once that is known", async () => {
    const peer = await MemoryPeer.open();
    const block = Buffer.concat([GRPC_HEAD, literal("content-length", "5")]);
    const body = data(1, "too long");
    peer.send(headers(1, 0, block), body.subarray(0, 9 + 6));
    peer.send(body.subarray(9 + 6));
    expect(peer.handlers[0]).toMatchObject({ closes: 1, chunks: [] });
    expect(peer.resetsOf(1)).toEqual([H2Error.ProtocolError]);
    expectAlive(peer);
  });

  test("a body of its declared length is none", async () => {
    const peer = await MemoryPeer.open();
    const block = Buffer.concat([GRPC_HEAD, literal("content-length", "5")]);
    peer.send(headers(1, 0, block), data(1, "abc"), data(1, "de", Flag.EndStream));
    expect(peer.handlers[0]).toMatchObject({ closes: 0, halfCloses: 1 });
    expect(peer.resetsOf(1)).toEqual([]);
  });

  test.each([
    ["by 0", 0, H2Error.ProtocolError],
    ["beyond 2^31 - 1", WINDOW_MAX, H2Error.FlowControlError],
  ])("a window update %s", async (_, by, code) => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), update(1, by));
    expect(peer.resetsOf(1)).toEqual([code]);
    expect(peer.handlers[0]!.closes).toBe(1);
    expectAlive(peer);
  });

  test("more data than its window", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    peer.handlers[0]!.onData = () => peer.handlers[0]!.chunks.splice(0);
    const body = data(1, FULL);
    // An owner whose replies do not get away is granted nothing: the window ends.
    peer.handlers[0]!.stream.write(
      [Buffer.alloc(h2Limits.unsentBytesPerStreamMax + 65_536)],
      h2Limits.unsentBytesPerStreamMax + 65_536,
    );
    for (let sent = 0; sent < h2Limits.streamWindowBytes; sent += FRAME_BYTES_MAX) peer.send(body);
    expect(peer.resetsOf(1)).toEqual([]);
    peer.send(data(1, "x"));
    expect(peer.resetsOf(1)).toEqual([H2Error.FlowControlError]);
    expect(peer.handlers[0]!.closes).toBe(1);
    expectAlive(peer);
  });

  test("an update of a stream that is over means nothing", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), u32Frame(FrameType.RstStream, 1, H2Error.Cancel), update(1, 0));
    expectAlive(peer);
  });
});

describe("a broken rule of the connection costs the connection", () => {
  test.each<[string, number, Buffer[]]>([
    [
      "a setting that makes a stream's window overflow",
      H2Error.FlowControlError,
      [
        headers(1),
        update(1, WINDOW_MAX - 65_535),
        settingsFrame([[Setting.InitialWindowSize, 65_536]]),
      ],
    ],
    ["DATA of a stream that would be ours", H2Error.ProtocolError, [headers(3), data(2, "x")]],
    [
      "a reset of a stream that would be ours",
      H2Error.ProtocolError,
      [headers(3), u32Frame(FrameType.RstStream, 2, 0)],
    ],
    ["an update of an idle stream", H2Error.ProtocolError, [update(1, 1)]],
    [
      "HEADERS after the end of its stream",
      H2Error.StreamClosed,
      [headers(1, Flag.EndStream), headers(1)],
    ],
    [
      "HEADERS on a stream that both sides have closed",
      H2Error.StreamClosed,
      [headers(1), u32Frame(FrameType.RstStream, 1, H2Error.Cancel), headers(1)],
    ],
    [
      "GOAWAY without a code",
      H2Error.FrameSizeError,
      [frame(FrameType.Goaway, 0, 0, Buffer.alloc(7))],
    ],
    ["GOAWAY on a stream", H2Error.ProtocolError, [frame(FrameType.Goaway, 0, 1, Buffer.alloc(8))]],
    [
      "a wrong PRIORITY of an idle stream",
      H2Error.FrameSizeError,
      [frame(FrameType.Priority, 0, 1, Buffer.alloc(4))],
    ],
    [
      "PRIORITY of the connection",
      H2Error.ProtocolError,
      [frame(FrameType.Priority, 0, 0, Buffer.alloc(5))],
    ],
    [
      "SETTINGS on a stream",
      H2Error.ProtocolError,
      [frame(FrameType.Settings, 0, 1, Buffer.alloc(0))],
    ],
    [
      "an acknowledgement with settings",
      H2Error.FrameSizeError,
      [frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(6))],
    ],
    [
      "push that is neither on nor off",
      H2Error.ProtocolError,
      [settingsFrame([[Setting.EnablePush, 2]])],
    ],
    [
      "a frame size below the least",
      H2Error.ProtocolError,
      [settingsFrame([[Setting.MaxFrameSize, FRAME_BYTES_MAX - 1]])],
    ],
    [
      "a frame size above the most",
      H2Error.ProtocolError,
      [settingsFrame([[Setting.MaxFrameSize, 1 << 24]])],
    ],
    ["PING on a stream", H2Error.ProtocolError, [frame(FrameType.Ping, 0, 1, Buffer.alloc(8))]],
    [
      "a reset of a wrong length",
      H2Error.FrameSizeError,
      [headers(1), frame(FrameType.RstStream, 0, 1, Buffer.alloc(3))],
    ],
    [
      "an update of a wrong length",
      H2Error.FrameSizeError,
      [frame(FrameType.WindowUpdate, 0, 0, Buffer.alloc(5))],
    ],
  ])("%s", async (_, code, frames) => {
    const peer = await MemoryPeer.open();
    peer.send(...frames);
    expect(peer.goawayCode).toBe(code);
    expect(peer.stats).toMatchObject({ streams: 0, sessionErrors: 1 });
    expect(peer.handlers.every(({ closes }) => closes === 1)).toBe(true);
    peer.send(headers(101));
    expect(peer.stats.streamsTotal).toBe(peer.handlers.length);
    expect(peer.errors).toHaveLength(1);
  });

  test("more data than its window, on streams that each have one", async () => {
    const peer = await MemoryPeer.open();
    const streams = h2Limits.connectionWindowBytes / h2Limits.streamWindowBytes;
    for (let i = 0; i <= streams; i++) peer.send(headers(2 * i + 1));
    // Replies that do not get away keep the connection from being granted more.
    const stuck = Array.from({ length: streams + 1 }, () => Buffer.alloc(8 << 20));
    peer.handlers[0]!.stream.write(stuck, (streams + 1) * (8 << 20));
    const body = data(1, FULL);
    for (let i = 0; i < streams; i++) {
      body.writeUInt32BE(2 * i + 1, 5);
      for (let sent = 0; sent < h2Limits.streamWindowBytes; sent += FRAME_BYTES_MAX) {
        peer.send(body);
      }
      peer.handlers[i]!.chunks.splice(0);
    }
    expect(peer.goawayCode).toBe(-1);
    peer.send(data(2 * streams + 1, "x"));
    expect(peer.goawayCode).toBe(H2Error.FlowControlError);
  });
});

test.each([
  ["PRIORITY", frame(FrameType.Priority, 0, 3, Buffer.from([0, 0, 0, 3, 0]))],
  [
    "HEADERS",
    frame(
      FrameType.Headers,
      Flag.EndHeaders | Flag.Priority,
      3,
      Buffer.concat([Buffer.from([0x80, 0, 0, 3, 0]), GRPC_HEAD]),
    ),
  ],
])("a stream that depends on itself by %s ends the connection", async (_, bytes) => {
  const peer = await MemoryPeer.open();
  peer.send(bytes);
  expect(peer.goawayCode).toBe(H2Error.ProtocolError);
});

describe("what is no gRPC request", () => {
  test.each([
    ["another content type", "415", OTHER_PROTOCOL],
    ["no content type", "415", headOf([[":path", "/a.B/C"]])],
    [
      "another method than POST",
      "405",
      headOf(
        [
          [":path", "/a.B/C"],
          ["content-type", "application/grpc"],
        ],
        0x82,
      ),
    ],
  ])("with %s is answered by HTTP", async (_, status, block) => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1, 0, block), data(1, "a body that nobody wants"));
    expect(peer.ofType(FrameType.Headers)).toEqual([]);
    peer.send(data(1, "", Flag.EndStream));
    const [answer] = peer.ofType(FrameType.Headers);
    expect(answer!.flags & Flag.EndStream).toBe(0);
    expect(answer!.payload.indexOf(literal(":status", status))).toBe(1); // behind the table size
    expect(peer.dataOf(1).toString()).toBe(
      "this port speaks gRPC: POST with content-type application/grpc\n",
    );
    expect(peer.ofType(FrameType.Data).at(-1)!.flags).toBe(Flag.EndStream);
    expect([peer.handlers, peer.stats.streams, peer.resetsOf(1)]).toEqual([[], 0, []]);
    expectAlive(peer);
  });

  test.each([
    "application/grpc",
    "application/grpc+proto",
    "application/grpc;x=y",
    "Application/GRPC",
  ])("%s is gRPC", async (contentType) => {
    const peer = await MemoryPeer.open();
    const block = headOf([
      [":path", "/a.B/C"],
      ["content-type", contentType],
    ]);
    peer.send(headers(1, 0, block));
    expect(peer.handlers).toHaveLength(1);
  });

  test("a path of any length is refused in a frame that every peer takes", async () => {
    const peer = await MemoryPeer.open({ onAccept: () => false });
    const block = headOf([
      [":path", `/${"\u00ff".repeat(15_000)}`],
      ["content-type", "application/grpc"],
    ]);
    peer.send(headers(1, Flag.EndStream, block));
    const [answer] = peer.ofType(FrameType.Headers);
    expect(answer!.payload.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
    expect(peer.stats.streams).toBe(0);
  });
});

describe("a peer that does not read", () => {
  test("holds data back, and gets it in order once it reads", async () => {
    const peer = await MemoryPeer.open({ settings: OPEN_WINDOWS });
    peer.send(WIDE, headers(1), headers(3));
    peer.socket.isStalled = true;
    const bodies = [1, 3].map((id) =>
      Buffer.from(Array.from({ length: 3 << 20 }, (_, i) => (i * id) & 255)),
    );
    for (const [i, body] of bodies.entries()) {
      const { stream } = peer.handlers[i]!;
      for (let at = 0; at < body.length; at += 60_000) {
        const piece = body.subarray(at, at + 60_000);
        stream.write([piece], piece.length);
      }
      stream.end();
    }
    await peer.settle();
    expect(peer.socket.writableLength).toBeLessThan(h2Limits.backlogBytesMax + 128 * 1024);
    peer.socket.release();
    while (peer.ofType(FrameType.Headers).length < 4) await peer.settle();
    expect(peer.dataOf(1).equals(bodies[0]!)).toBe(true);
    expect(peer.dataOf(3).equals(bodies[1]!)).toBe(true);
    expect(peer.errors).toEqual([]);
  });

  test("is not read either once the answers to its frames pile up", async () => {
    const peer = await MemoryPeer.open();
    pileUp(peer, h2Limits.backlogBytesToPause);
    expect(peer.socket.isPaused()).toBe(true);
    expect(peer.socket.writableLength).toBeLessThan(h2Limits.backlogBytesToPause + 64 * 1024);
    peer.socket.release();
    await peer.settle();
    expect(peer.socket.isPaused()).toBe(false);
    expectAlive(peer);
  });

  test("costs its bytes, not a buffer for each answer", async () => {
    const peer = await MemoryPeer.open();
    peer.socket.isStalled = true;
    const allocate = vi.spyOn(Buffer, "allocUnsafeSlow");
    for (let i = 0; i < 1000; i++) peer.send(ping());
    const allocated = allocate.mock.calls.reduce((sum, [size]) => sum + size, 0);
    allocate.mockRestore();
    expect(allocated).toBeLessThan(256 * 1024);
    peer.socket.release();
    await peer.settle();
    expect(peer.ofType(FrameType.Ping)).toHaveLength(1000);
  });

  test.each<[string, (peer: MemoryPeer, streams: number) => void]>([
    [
      "sent",
      (peer, streams) => {
        peer.send(update(0, WINDOW_MAX - 65_535));
        for (let i = 0; i < streams; i++) peer.send(update(2 * i + 1, WINDOW_MAX));
      },
    ],
    [
      "of no use any more",
      (peer, streams) => {
        for (let i = 0; i < streams; i++) {
          peer.send(u32Frame(FrameType.RstStream, 2 * i + 1, H2Error.Cancel));
        }
      },
    ],
  ])(
    "is not granted more while its own replies are stuck, until they are %s",
    async (_, release) => {
      const peer = await MemoryPeer.open({ settings: [[Setting.InitialWindowSize, 0]] });
      const streams = 2 + h2Limits.unsentBytesPerConnectionMax / h2Limits.streamWindowBytes;
      const half = h2Limits.streamWindowBytes / 2;
      // More than all streams together may have waiting.
      const stuck = Buffer.alloc(h2Limits.streamWindowBytes);
      for (let i = 0; i < streams; i++) {
        peer.send(headers(2 * i + 1));
        peer.handlers[i]!.stream.write([stuck], stuck.length);
        peer.handlers[i]!.onData = () => peer.handlers[i]!.chunks.splice(0);
      }
      const grants = (id: number): number =>
        peer.ofType(FrameType.WindowUpdate).filter((seen) => seen.id === id).length;
      const before = grants(0);
      for (let i = 0; i < streams; i++) {
        const body = data(2 * i + 1, FULL);
        for (let sent = 0; sent < half; sent += FRAME_BYTES_MAX) peer.send(body);
      }
      expect([grants(0) - before, grants(1)]).toEqual([0, 0]);
      release(peer, streams);
      await peer.settle();
      expect(grants(0) - before).toBe(1);
      expect(peer.goawayCode).toBe(-1);
    },
  );
});

describe("floods end the connection with ENHANCE_YOUR_CALM", () => {
  test.each<[string, Buffer[], Buffer]>([
    ["window updates", [headers(1)], update(1, 1)],
    ["window updates of the connection", [], update(0, 1)],
    ["empty DATA", [headers(1)], data(1, "")],
    ["priorities", [], frame(FrameType.Priority, 0, 1, Buffer.alloc(5))],
    ["unknown frames", [], frame(0xf0, 0, 0, Buffer.alloc(0))],
    [
      "resets of streams that are over",
      [headers(1), u32Frame(FrameType.RstStream, 1, 0)],
      u32Frame(FrameType.RstStream, 1, 0),
    ],
  ])("of %s", async (_, first, one) => {
    const peer = await MemoryPeer.open();
    peer.send(...first);
    for (let i = 0; i < 50 && peer.goawayCode === -1; i++) {
      peer.send(...Array.from({ length: 200 }, () => one));
    }
    expect(peer.goawayCode).toBe(H2Error.EnhanceYourCalm);
    expect(peer.stats.streams).toBe(0);
  });

  test("of frames that we must answer with a reset", async () => {
    const peer = await MemoryPeer.open();
    const malformed = Buffer.from([0x83, 0x86]);
    for (let i = 0; i < 10_000 && peer.goawayCode === -1; i++)
      peer.send(headers(2 * i + 1, 0, malformed));
    expect(peer.goawayCode).toBe(H2Error.EnhanceYourCalm);
  });

  test("but not window updates for each DATA frame that we send, and for each stream", async () => {
    const peer = await MemoryPeer.open();
    const count = 3 * h2Limits.controlBucket;
    for (let i = 0; i < count; i++) {
      const id = 2 * i + 1;
      peer.send(headers(id), update(id, 1000));
      peer.handlers.at(-1)!.stream.write([FULL.subarray(0, 10)], 10);
      peer.send(update(0, 10), update(id, 10), u32Frame(FrameType.RstStream, id, H2Error.Cancel));
    }
    expect(peer.goawayCode).toBe(-1);
    expect(peer.handlers.every(({ closes }) => closes === 1)).toBe(true);
  });

  test("but not empty DATA that ends a stream, as many as there are streams", async () => {
    const peer = await MemoryPeer.open();
    for (let i = 0; i < 3 * h2Limits.controlBucket; i++) {
      peer.send(headers(2 * i + 1), data(2 * i + 1, "", Flag.EndStream));
      peer.handlers.at(-1)!.stream.end();
    }
    expect([peer.goawayCode, peer.stats.streams]).toEqual([-1, 0]);
  });

  test("but not more streams than the limit: those are refused, and can be tried again", async () => {
    const peer = await MemoryPeer.open();
    const max = h2Limits.streamsPerConnectionMax;
    for (let i = 0; i < max; i++) peer.send(headers(2 * i + 1));
    const next = 2 * max + 1;
    peer.send(headers(next));
    expect(peer.resetsOf(next)).toEqual([H2Error.RefusedStream]);
    expect(peer.stats.streams).toBe(max);
    peer.send(u32Frame(FrameType.RstStream, 1, H2Error.Cancel), headers(next + 2));
    expect(peer.stats.streams).toBe(max);
    peer.socket.destroy();
    await peer.settle();
    expect(peer.stats.streams).toBe(0);
  });
});

describe("the end of a connection", () => {
  test("by the peer tells every owner at once, and what they still write goes nowhere", async () => {
    const peer = await MemoryPeer.open();
    // Even when it does not read: bytes that are stuck keep the socket open.
    peer.socket.isStalled = true;
    peer.send(headers(1), headers(3), ping());
    peer.socket.push(null);
    await peer.settle();
    expect(peer.handlers.map(({ closes }) => closes)).toEqual([1, 1]);
    for (const { stream } of peer.handlers) stream.write([FULL], FULL.length);
    await peer.settle();
    peer.socket.release();
    await peer.settle();
    expect([peer.errors, peer.closes]).toEqual([[], 1]);
  });

  test("is told once, whatever comes together", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), update(0, 0));
    peer.socket.push(null);
    peer.connection.destroy();
    peer.connection.destroy();
    await peer.settle();
    expect(peer.handlers[0]!.closes).toBe(1);
    expect([peer.closes, peer.stats.streams, peer.stats.sessionErrors]).toEqual([1, 0, 1]);
  });

  test("by an error of the socket is reported", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    peer.socket.destroy(new Error("read ECONNRESET"));
    await peer.settle();
    expect(peer.errors).toEqual(["read ECONNRESET"]);
    expect(peer.handlers[0]!.closes).toBe(1);
  });

  test("leaves the peer some time to read why, and no more", async () => {
    const peer = await MemoryPeer.open();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    peer.send(update(0, 0));
    expect(peer.goawayCode).toBe(H2Error.ProtocolError);
    // What still comes stays where it is, and means nothing.
    const late = headers(1);
    peer.send(late);
    await peer.settle();
    vi.advanceTimersByTime(h2Limits.lingerMs - 1);
    expect([peer.socket.destroyed, peer.socket.readableLength, peer.handlers]).toEqual([
      false,
      late.length,
      [],
    ]);
    vi.advanceTimersByTime(1);
    expect(peer.socket.destroyed).toBe(true);
  });
});

describe("a drain", () => {
  const ackOf = (peer: MemoryPeer): Buffer =>
    frame(FrameType.Ping, Flag.Ack, 0, peer.ofType(FrameType.Ping).at(-1)!.payload);
  const lastIds = (peer: MemoryPeer): number[] =>
    peer.ofType(FrameType.Goaway).map(({ payload }) => payload.readUInt32BE());

  test("goes by its own ping only, and once", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    peer.connection.drain();
    peer.connection.drain();
    await peer.settle();
    peer.send(frame(FrameType.Ping, Flag.Ack, 0, Buffer.alloc(8)));
    expect(lastIds(peer)).toEqual([WINDOW_MAX]);
    peer.send(ackOf(peer), ackOf(peer));
    expect(lastIds(peer)).toEqual([WINDOW_MAX, 1]);
  });

  test("that is over closes the connection, and frames that cross that do no harm", async () => {
    const peer = await MemoryPeer.open();
    peer.connection.drain();
    await peer.settle();
    peer.send(ackOf(peer), ping(), headers(1));
    peer.send(ping(), headers(3));
    await peer.settle();
    expect(lastIds(peer)).toEqual([WINDOW_MAX, 0]);
    expect(peer.socket.writableEnded).toBe(true);
    expect([peer.errors, peer.handlers]).toEqual([[], []]);
    peer.socket.push(null);
    await peer.settle();
    expect(peer.closes).toBe(1);
  });

  test("that is over while the peer is not read goes on reading, so that its end is seen", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1, Flag.EndStream));
    peer.connection.drain();
    await peer.settle();
    const ack = ackOf(peer);
    pileUp(peer, h2Limits.backlogBytesToPause - 16_000);
    peer.send(ack);
    expect(peer.socket.isPaused()).toBe(false);
    peer.send(...Array.from({ length: 1000 }, () => ping()));
    expect(peer.socket.isPaused()).toBe(true);
    peer.handlers[0]!.stream.end();
    expect([peer.handlers[0]!.closes, peer.socket.isPaused()]).toEqual([1, false]);
  });

  test("that hands over refuses what has had no answer, as far as it can be sent again", async () => {
    const peer = await MemoryPeer.open();
    peer.send(...[1, 3, 5, 7].map((id) => headers(id)));
    peer.handlers[0]!.stream.write([Buffer.from("answer")], 6);
    for (const id of [5, 7]) {
      for (let sent = 0; sent < h2Limits.handOverBytesMax; sent += 4096) {
        peer.send(data(id, FULL.subarray(0, 4096)));
      }
    }
    peer.send(data(7, "one byte more"));
    peer.connection.drain(true);
    await peer.settle();
    const refused = [1, 3, 5, 7].map((id) => peer.resetsOf(id));
    expect(refused).toEqual([[], [H2Error.RefusedStream], [H2Error.RefusedStream], []]);
    expect(peer.handlers.map(({ closes }) => closes)).toEqual([0, 1, 1, 0]);
    peer.send(data(3, "that crossed"), headers(9));
    expect(peer.resetsOf(3)).toHaveLength(1);
    expect(peer.handlers).toHaveLength(5); // who has not read the notice yet is served
    expect(peer.goawayCode).toBe(H2Error.NoError);
  });

  test("that hands over ten thousand costs the peer nothing", async () => {
    const peer = await MemoryPeer.open();
    const ids = Array.from({ length: h2Limits.streamsPerConnectionMax }, (_, i) => 2 * i + 1);
    peer.send(...ids.map((id) => headers(id)));
    peer.connection.drain(true);
    await peer.settle();
    peer.send(...ids.map((id) => data(id, "crossed")));
    expect(peer.ofType(FrameType.RstStream)).toHaveLength(ids.length);
    expect(peer.goawayCode).toBe(H2Error.NoError);
    expect(peer.errors).toEqual([]);
  });

  test("waits for what is not sent yet", async () => {
    const peer = await MemoryPeer.open({ settings: [[Setting.InitialWindowSize, 5]] });
    peer.send(headers(1, Flag.EndStream));
    const { stream } = peer.handlers[0]!;
    stream.write([Buffer.from("hello world")], 11);
    stream.end();
    peer.connection.drain();
    await peer.settle();
    peer.send(ackOf(peer));
    expect(peer.socket.writableEnded).toBe(false);
    peer.send(update(1, 100));
    expect(peer.dataOf(1).toString()).toBe("hello world");
    expect([peer.handlers[0]!.closes, peer.socket.writableEnded]).toEqual([1, true]);
  });

  test("never takes back the last id it has named", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    peer.connection.drain();
    await peer.settle();
    peer.send(ackOf(peer), headers(3), update(0, 0));
    expect(lastIds(peer)).toEqual([WINDOW_MAX, 1, 1]);
  });
});

describe("an owner may act inside its callbacks", () => {
  test("answer and end while the stream is being accepted", async () => {
    const peer = await MemoryPeer.open({
      onAccept: ({ stream }) => {
        stream.write([Buffer.from("now")], 3);
        stream.end();
        return true;
      },
    });
    peer.send(headers(1, Flag.EndStream), headers(3), data(3, "", Flag.EndStream));
    expect([peer.dataOf(1).toString(), peer.dataOf(3).toString()]).toEqual(["now", "now"]);
    expect(peer.handlers.map(({ closes }) => closes)).toEqual([1, 1]);
    expect(peer.stats.streams).toBe(0);
  });

  test.each<[string, (peer: MemoryPeer) => void]>([
    ["end its stream", ({ handlers }) => handlers[0]!.stream.end()],
    ["fail its stream", ({ handlers }) => handlers[0]!.stream.fail(13, "no")],
    [
      "end it twice and write behind it",
      ({ handlers }) => {
        handlers[0]!.stream.end();
        handlers[0]!.stream.fail(13, "no");
        handlers[0]!.stream.write([Buffer.from("never")], 5);
      },
    ],
  ])("%s while data comes", async (_, act) => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    peer.handlers[0]!.onData = () => act(peer);
    peer.send(data(1, "a"), data(1, "b"), data(1, "c", Flag.EndStream));
    expect(peer.handlers[0]!.received.toString()).toBe("abc");
    expect(peer.handlers[0]).toMatchObject({ closes: 1, halfCloses: 1 });
    expect(peer.ofType(FrameType.Headers)).toHaveLength(1);
    expect(peer.ofType(FrameType.Data)).toEqual([]);
    expectAlive(peer);
  });

  test("end another stream, whose owner writes to the first", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), headers(3, Flag.EndStream));
    const [first, second] = peer.handlers;
    first!.onData = () => second!.stream.end();
    second!.onClosed = () => {
      first!.stream.write([Buffer.from("from the second")], 15);
      first!.stream.end();
      second!.stream.end();
    };
    peer.send(data(1, "x", Flag.EndStream));
    expect(peer.dataOf(1).toString()).toBe("from the second");
    expect(peer.handlers.map(({ closes }) => closes)).toEqual([1, 1]);
    expect(peer.stats.streams).toBe(0);
  });

  test("destroy the connection while data comes", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), headers(3));
    peer.handlers[0]!.onData = () => peer.connection.destroy();
    peer.send(data(1, "a"), data(1, "b"), data(3, "c"));
    expect(peer.handlers.map(({ received }) => received.toString())).toEqual(["a", ""]);
    await peer.settle();
    expect(peer.handlers.map(({ closes }) => closes)).toEqual([1, 1]);
    expect([peer.errors, peer.closes]).toEqual([[], 1]);
  });

  test("drain the connection, and write to others when all are closed", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), headers(3));
    const [first, second] = peer.handlers;
    first!.onData = () => peer.connection.drain();
    first!.onClosed = () => second!.stream.write([FULL], FULL.length);
    second!.onClosed = () => first!.stream.fail(13, "no");
    peer.send(data(1, "x"));
    expect(peer.goawayCode).toBe(H2Error.NoError);
    peer.send(update(0, 0));
    await peer.settle();
    expect(peer.handlers.map(({ closes }) => closes)).toEqual([1, 1]);
    expect(peer.ofType(FrameType.Data)).toEqual([]);
  });

  test("whatever its error message is made of", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1, Flag.EndStream));
    peer.handlers[0]!.stream.fail(3, "half a pair \ud83d, and no end".padEnd(100_000, "\u20ac"));
    await peer.settle();
    const [answer] = peer.ofType(FrameType.Headers);
    expect(answer!.payload.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
    expect(answer!.payload.includes("half%20a%20pair%20%EF%BF%BD%2C")).toBe(true);
    expect(peer.handlers[0]!.closes).toBe(1);
  });
});
