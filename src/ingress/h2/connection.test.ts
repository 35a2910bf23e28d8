/**
 * One connection against a peer that sends frames by hand: cut anywhere, padded, in pieces, through small windows, too many
 * of them, or wrong. What every transport must do is in test/contracts/transport.test.ts.
 * @module
 */
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { until } from "../../../test/support/deadline.ts";
import { data, headers } from "../../../test/support/h2-frames.ts";
import { GRPC_HEAD, H2Peer } from "../../../test/support/h2-peer.ts";
import type { GrpcStream, GrpcStreamHandler } from "../transport.ts";
import {
  Flag,
  FrameType,
  frame,
  H2Error,
  PREFACE,
  Setting,
  settingsFrame,
  u32Frame,
} from "./frames.ts";
import { H2Transport } from "./h2-transport.ts";
import { hpackLimits, literal } from "./hpack.ts";
import { h2Limits } from "./limits.ts";

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Sends back what comes; ends with the peer. */
class Echo implements GrpcStreamHandler {
  readonly stream: GrpcStream;
  readonly received: Buffer[] = [];
  closes = 0;

  constructor(stream: GrpcStream) {
    this.stream = stream;
  }

  data(chunk: Uint8Array): void {
    this.received.push(Buffer.from(chunk));
    this.stream.write([chunk], chunk.length);
  }

  halfClose(): void {
    this.stream.end();
  }

  closed(): void {
    this.closes++;
  }
}

/** Takes everything and never answers. */
class Silent extends Echo {
  override data(chunk: Uint8Array): void {
    this.received.push(Buffer.from(chunk));
  }
  override halfClose(): void {}
}

interface Rig {
  readonly transport: H2Transport;
  readonly handlers: Echo[];
  readonly errors: string[];
  readonly port: number;
  peer(settings?: readonly (readonly [number, number])[] | null): Promise<H2Peer>;
}

async function start(Handler: typeof Echo = Echo): Promise<Rig> {
  const handlers: Echo[] = [];
  const errors: string[] = [];
  const transport = new H2Transport({
    accept: (_path, stream) => {
      const handler = new Handler(stream);
      handlers.push(handler);
      return handler;
    },
    onConnectionError: ({ message }) => errors.push(message),
  });
  const port = await transport.listen(0, "127.0.0.1");
  cleanUps.push(() => transport.drain(0));
  return {
    transport,
    handlers,
    errors,
    port,
    peer: async (settings) => {
      const peer = await H2Peer.connect(port, settings);
      cleanUps.push(() => peer.close());
      return peer;
    },
  };
}

describe("an exchange", () => {
  test("is the same wherever its bytes are cut", async () => {
    const { handlers, peer: connect } = await start();
    const body = Buffer.from("a body of some length");
    const bytes = Buffer.concat([
      PREFACE,
      settingsFrame([]),
      headers(1),
      data(1, body),
      data(1, Buffer.alloc(0), Flag.EndStream),
    ]);
    for (let i = 1; i < bytes.length; i += 3) {
      const peer = await connect(null);
      peer.send(bytes.subarray(0, i));
      peer.send(bytes.subarray(i));
      await peer.frame(FrameType.Headers, ({ flags }) => (flags & Flag.EndStream) !== 0);
      expect(peer.dataOf(1).equals(body), `cut at ${i}`).toBe(true);
      expect(Buffer.concat(handlers.at(-1)!.received).equals(body)).toBe(true);
    }
  });

  test("may come one byte after the other", async () => {
    const { peer: connect } = await start();
    const peer = await connect(null);
    const bytes = Buffer.concat([
      PREFACE,
      settingsFrame([]),
      headers(1),
      data(1, Buffer.from("x")),
    ]);
    for (const byte of bytes) peer.send(Buffer.of(byte));
    await peer.frame(FrameType.Data);
    expect(peer.dataOf(1).toString()).toBe("x");
  });

  test("may be padded, prioritized, and have its header block in pieces", async () => {
    const { peer: connect } = await start();
    const peer = await connect();
    const padded = Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 7]), GRPC_HEAD, Buffer.alloc(3)]);
    const flags = Flag.Padded | Flag.Priority | Flag.EndHeaders;
    peer.send(frame(FrameType.Headers, flags, 1, padded));
    peer.send(data(1, Buffer.from([2, 0x68, 0x69, 0, 0]), Flag.Padded));
    peer.send(frame(FrameType.Headers, 0, 3, GRPC_HEAD.subarray(0, 5)));
    peer.send(frame(FrameType.Continuation, 0, 3, GRPC_HEAD.subarray(5, 9)));
    peer.send(frame(FrameType.Continuation, Flag.EndHeaders, 3, GRPC_HEAD.subarray(9)));
    peer.send(data(3, Buffer.from("ho")));
    await peer.frame(FrameType.Data, ({ id }) => id === 3);
    expect([peer.dataOf(1).toString(), peer.dataOf(3).toString()]).toEqual(["hi", "ho"]);
  });

  test("goes on beside unknown frames and frames of extensions", async () => {
    const { peer: connect } = await start();
    const peer = await connect();
    peer.send(
      frame(0xbe, 0xff, 0, Buffer.from("?")),
      headers(1),
      frame(0x10, 0, 1, Buffer.alloc(4)),
    );
    peer.send(data(1, Buffer.from("x")));
    await peer.frame(FrameType.Data);
  });

  test("comes whole and in order through windows of any size", async () => {
    const { peer: connect } = await start();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 50, max: 3000 }),
        fc.integer({ min: 1, max: 20_000 }),
        async (window, size) => {
          const peer = await connect([[Setting.InitialWindowSize, window]]);
          const body = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31) & 255));
          peer.send(headers(1));
          for (let at = 0; at < size; at += 16_384)
            peer.send(data(1, body.subarray(at, at + 16_384)));
          for (let granted = window; granted < size; granted += window) {
            peer.send(u32Frame(FrameType.WindowUpdate, 1, window));
          }
          await until(() => peer.dataOf(1).length >= size || null, 5000, "the whole body", 2);
          expect(peer.dataOf(1).equals(body)).toBe(true);
          peer.close();
        },
      ),
      { numRuns: 8 },
    );
  });

  test("a window that a setting makes negative holds data back until it is positive again", async () => {
    const { peer: connect } = await start();
    const peer = await connect([[Setting.InitialWindowSize, 100]]);
    peer.send(headers(1), data(1, Buffer.alloc(300, "x")));
    await until(() => peer.dataOf(1).length === 100 || null, 5000, "a window of data");
    peer.send(settingsFrame([[Setting.InitialWindowSize, 0]]));
    peer.send(u32Frame(FrameType.WindowUpdate, 1, 50));
    await peer.roundTrip();
    expect(peer.dataOf(1)).toHaveLength(100);
    peer.send(u32Frame(FrameType.WindowUpdate, 1, 250));
    await until(() => peer.dataOf(1).length === 300 || null, 5000, "the rest");
  });
});

describe("resets", () => {
  test("after an answer are never held against the peer", async () => {
    const { handlers, peer: connect, transport } = await start();
    const peer = await connect();
    const count = 2 * h2Limits.resetBucket;
    for (let i = 0; i < count; i++) {
      const id = 2 * i + 1;
      peer.send(headers(id), data(id, Buffer.from("x")));
      peer.send(u32Frame(FrameType.RstStream, id, H2Error.Cancel));
    }
    await until(
      () => handlers.filter(({ closes }) => closes === 1).length === count || null,
      5000,
      "ends",
    );
    expect(transport.stats.streams).toBe(0);
    expect(peer.ofType(FrameType.Goaway)).toEqual([]);
  });

  test("before any answer are, and another connection does not notice", async () => {
    const { handlers, peer: connect } = await start(Silent);
    const [attacker, other] = [await connect(), await connect()];
    other.send(headers(1));
    for (let i = 0; i < 3 * h2Limits.resetBucket; i++) {
      const id = 2 * i + 1;
      attacker.send(headers(id), u32Frame(FrameType.RstStream, id, H2Error.Cancel));
    }
    expect(await attacker.goaway()).toBe(H2Error.EnhanceYourCalm);
    await other.roundTrip();
    expect(handlers.filter(({ closes }) => closes === 0)).toHaveLength(1);
  });
});

describe("a peer is sent away with the right code", () => {
  const bytes = (n: number): Buffer => Buffer.alloc(n);
  test.each<[string, number, (peer: H2Peer) => void]>([
    ["for DATA on stream 0", H2Error.ProtocolError, (peer) => peer.send(data(0, bytes(1)))],
    ["for DATA on an idle stream", H2Error.ProtocolError, (peer) => peer.send(data(1, bytes(1)))],
    [
      "for a frame above the size",
      H2Error.FrameSizeError,
      (peer) => peer.send(headers(1), data(1, bytes(16_385))),
    ],
    ["for an even stream id", H2Error.ProtocolError, (peer) => peer.send(headers(2))],
    [
      "for a stream id that went back",
      H2Error.StreamClosed,
      (peer) => peer.send(headers(5), headers(3)),
    ],
    [
      "for an interrupted header block",
      H2Error.ProtocolError,
      (peer) => peer.send(frame(FrameType.Headers, 0, 1, GRPC_HEAD), data(1, bytes(1))),
    ],
    [
      "for a header block in too many pieces",
      H2Error.EnhanceYourCalm,
      (peer) => {
        peer.send(frame(FrameType.Headers, 0, 1, GRPC_HEAD));
        for (let i = 0; i <= h2Limits.continuationFramesMax; i++) {
          peer.send(frame(FrameType.Continuation, 0, 1, bytes(1)));
        }
      },
    ],
    [
      "for a header block that is no HPACK",
      H2Error.CompressionError,
      (peer) => peer.send(frame(FrameType.Headers, Flag.EndHeaders, 1, Buffer.from([0xff, 0xff]))),
    ],
    [
      "for padding longer than its frame",
      H2Error.ProtocolError,
      (peer) => peer.send(headers(1), data(1, Buffer.from([9, 0]), Flag.Padded)),
    ],
    [
      "for a window that overflows",
      H2Error.FlowControlError,
      (peer) => peer.send(u32Frame(FrameType.WindowUpdate, 0, 0x7fffffff)),
    ],
    [
      "for a window update by 0",
      H2Error.ProtocolError,
      (peer) => peer.send(u32Frame(FrameType.WindowUpdate, 0, 0)),
    ],
    [
      "for a window setting out of range",
      H2Error.FlowControlError,
      (peer) => peer.send(settingsFrame([[Setting.InitialWindowSize, 0x80000000]])),
    ],
    [
      "for settings of a wrong length",
      H2Error.FrameSizeError,
      (peer) => peer.send(frame(FrameType.Settings, 0, 0, bytes(5))),
    ],
    [
      "for a PING of a wrong length",
      H2Error.FrameSizeError,
      (peer) => peer.send(frame(FrameType.Ping, 0, 0, bytes(7))),
    ],
    [
      "for PUSH_PROMISE",
      H2Error.ProtocolError,
      (peer) => peer.send(frame(FrameType.PushPromise, Flag.EndHeaders, 1, bytes(8))),
    ],
    [
      "for a reset of an idle stream",
      H2Error.ProtocolError,
      (peer) => peer.send(u32Frame(FrameType.RstStream, 1, 0)),
    ],
    [
      "for too many PINGs",
      H2Error.EnhanceYourCalm,
      (peer) => {
        for (let i = 0; i < 3 * h2Limits.controlBucket; i++) {
          peer.send(frame(FrameType.Ping, 0, 0, bytes(8)));
        }
      },
    ],
    [
      "for too many SETTINGS",
      H2Error.EnhanceYourCalm,
      (peer) => {
        for (let i = 0; i < 3 * h2Limits.controlBucket; i++) peer.send(settingsFrame([]));
      },
    ],
  ])("%s", async (_, code, misbehave) => {
    const { peer: connect, transport } = await start();
    const peer = await connect();
    misbehave(peer);
    expect(await peer.goaway()).toBe(code);
    await until(() => transport.stats.connections === 0 || null, 5000, "connection gone");
    expect(transport.stats).toMatchObject({ streams: 0, sessionErrors: 1 });
  });

  test("when it does not begin as HTTP/2", async () => {
    const { peer: connect } = await start();
    const peer = await connect(null);
    peer.send(Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    expect(await peer.goaway()).toBe(H2Error.ProtocolError);
  });
});

describe("a stream alone is refused", () => {
  test("when its header list is too large, and the connection goes on", async () => {
    const { peer: connect } = await start();
    const peer = await connect();
    const big = Buffer.concat([
      GRPC_HEAD,
      ...Array.from({ length: hpackLimits.headerListBytesMax / 32 }, () => literal("a", "")),
    ]);
    peer.send(frame(FrameType.Headers, 0, 1, big.subarray(0, 8000)));
    peer.send(frame(FrameType.Continuation, Flag.EndHeaders, 1, big.subarray(8000)));
    const reset = await peer.frame(FrameType.RstStream);
    expect([reset.id, reset.payload.readUInt32BE()]).toEqual([1, H2Error.EnhanceYourCalm]);
    peer.send(headers(3), data(3, Buffer.from("x")));
    await peer.frame(FrameType.Data, ({ id }) => id === 3);
  });

  test.each([
    ["malformed", Buffer.from([0x83, 0x86])],
    ["without a scheme", Buffer.concat([Buffer.from([0x83]), literal(":path", "/a")])],
  ])("when its head is %s", async (_, block) => {
    const { handlers, peer: connect } = await start();
    const peer = await connect();
    peer.send(frame(FrameType.Headers, Flag.EndHeaders, 1, block));
    const reset = await peer.frame(FrameType.RstStream);
    expect([reset.id, reset.payload.readUInt32BE()]).toEqual([1, H2Error.ProtocolError]);
    expect(handlers).toEqual([]);
  });
});

test("draining takes new streams until the peer has heard of it, then names the last one", async () => {
  const { peer: connect, transport } = await start();
  const peer = await connect();
  peer.send(headers(1), data(1, Buffer.from("x")));
  await peer.frame(FrameType.Data);
  const drained = transport.drain(5000);
  const notice = await peer.frame(FrameType.Goaway);
  expect(notice.payload.readUInt32BE()).toBe(0x7fffffff);
  peer.send(headers(3), data(3, Buffer.from("y"), Flag.EndStream));
  const ping = await peer.frame(FrameType.Ping);
  peer.send(frame(FrameType.Ping, Flag.Ack, 0, ping.payload));
  await until(() => peer.ofType(FrameType.Goaway).length === 2 || null, 5000, "second GOAWAY");
  expect(peer.ofType(FrameType.Goaway)[1]!.payload.readUInt32BE()).toBe(3);
  expect(peer.dataOf(3).toString()).toBe("y");
  peer.send(headers(5));
  const refused = await peer.frame(FrameType.RstStream, ({ id }) => id === 5);
  expect(refused.payload.readUInt32BE()).toBe(H2Error.RefusedStream);
  peer.send(data(1, Buffer.alloc(0), Flag.EndStream));
  await drained;
  expect(transport.stats.streams).toBe(0);
});

test("any frames leave a connection that answers, or one that was closed with GOAWAY", async () => {
  const { handlers, peer: connect, transport } = await start();
  const type = fc.oneof(fc.constantFrom(0, 1, 3, 4, 6, 8, 9), fc.integer({ min: 0, max: 255 }));
  const anyFrame = fc
    .tuple(
      type,
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 7 }),
      fc.uint8Array({ maxLength: 30 }),
    )
    .map(([kind, flags, id, payload]) => frame(kind, flags, id, payload));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(anyFrame, fc.constant(headers(1))), { maxLength: 12 }),
      async (frames) => {
        const peer = await connect();
        // A header block that is left open takes nothing but its continuation: this ends it, in one way or another.
        peer.send(...frames, frame(FrameType.Ping, 0, 0, Buffer.alloc(8)));
        await until(
          () =>
            peer.ofType(FrameType.Goaway).length > 0 ||
            peer.ofType(FrameType.Ping).some(({ flags }) => flags === Flag.Ack) ||
            null,
          5000,
          "GOAWAY or the answer to a PING",
          1,
        );
        peer.close();
      },
    ),
    { numRuns: 150 },
  );
  await until(() => transport.stats.connections === 0 || null, 5000, "all connections gone");
  expect(transport.stats.streams).toBe(0);
  expect(handlers.every(({ closes }) => closes === 1)).toBe(true);
});
