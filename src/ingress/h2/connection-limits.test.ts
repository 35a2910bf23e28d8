/**
 * Every limit of a connection: filled to its bound without a word, exceeded with the right code, and counted by its name.
 */
import { describe, expect, test } from "vitest";
import { headers, ping, reset, update } from "../../../test/support/h2-frames.ts";
import { MemoryPeer } from "../../../test/support/h2-memory.ts";
import { GRPC_HEAD } from "../../../test/support/h2-peer.ts";
import { Flag, FrameType, frame, H2Error, Setting, settingsFrame, WINDOW_MAX } from "./frames.ts";
import { hpackLimits, literal } from "./hpack.ts";
import { type H2LimitName, h2Limits } from "./limits.ts";

const repeated = (count: number, make: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
const exceededBy = (peer: MemoryPeer): Partial<Record<H2LimitName, number>> =>
  Object.fromEntries(Object.entries(peer.stats.exceeded).filter(([, count]) => count > 0));
const sweep = (peer: MemoryPeer, ms: number): void => {
  for (let at = 0; at < ms; at += h2Limits.sweepMs) peer.connection.sweep();
};

describe("frames that ask for work and carry nothing", () => {
  const ids = (i: number): number => 2 * i + 3;
  const one: readonly [H2LimitName, (i: number) => Buffer][] = [
    ["ping", () => ping()],
    ["ping", () => ping(Flag.Ack)],
    ["settings", () => settingsFrame([])],
    ["settings", () => frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0))],
    ["empty-data", () => frame(FrameType.Data, 0, 1, Buffer.alloc(0))],
    [
      "empty-data",
      () => frame(FrameType.Data, 0x8, 1, Buffer.concat([Buffer.of(255), Buffer.alloc(255)])),
    ],
    ["window-update", () => update(0, 1)],
    ["priority", () => frame(FrameType.Priority, 0, 1, Buffer.alloc(5))],
    ["other-frame", () => frame(0xee, 0, 0, Buffer.alloc(1))],
    ["other-frame", () => frame(FrameType.Goaway, 0, 0, Buffer.alloc(8))],
    ["stray-resets", () => reset(1, H2Error.Cancel)],
    ["forced-resets", (i) => Buffer.concat([headers(ids(i)), update(ids(i), 0)])],
  ];

  test.each(one)("%s: a burst is let pass, a flood ends the connection", async (name, make) => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    if (name === "stray-resets") peer.handlers[0]!.stream.end();
    const burst = h2Limits.controlBucket / 2;
    peer.send(repeated(burst, make));
    expect([peer.goawayCode, exceededBy(peer)]).toEqual([-1, {}]);
    // Twice the bucket, and what a slow machine refills meanwhile.
    for (let i = burst; i < 10 * h2Limits.controlBucket && peer.goawayCode === -1; i += burst) {
      peer.send(repeated(burst, (k) => make(i + k)));
    }
    expect(peer.goawayCode).toBe(H2Error.EnhanceYourCalm);
    expect(exceededBy(peer)).toEqual({ [name]: 1 });
    expect(peer.stats.sessionErrors).toBe(1);
    expect(peer.handlers[0]!.closes).toBe(1);
  });

  test("WINDOW_UPDATEs for what we have sent cost nothing", async () => {
    const peer = await MemoryPeer.open();
    for (let i = 0; i < 3 * h2Limits.controlBucket; i++) {
      peer.send(headers(ids(i), Flag.EndStream));
      const { stream } = peer.handlers.at(-1)!;
      stream.write([Buffer.from("answer")], 6);
      peer.send(update(0, 6), update(ids(i), 6));
      stream.end();
    }
    expect([peer.goawayCode, exceededBy(peer)]).toEqual([-1, {}]);
  });
});

describe("resets", () => {
  const opened = (i: number): Buffer =>
    Buffer.concat([headers(2 * i + 1), reset(2 * i + 1, H2Error.Cancel)]);

  test("before any answer end the connection when they are many", async () => {
    const peer = await MemoryPeer.open();
    let sent = 0;
    peer.send(repeated(h2Limits.resetBucket / 2, (i) => opened(i)));
    sent += h2Limits.resetBucket / 2;
    expect(peer.goawayCode).toBe(-1);
    for (; sent < 10 * h2Limits.resetBucket && peer.goawayCode === -1; sent += 100) {
      const from = sent;
      peer.send(repeated(100, (i) => opened(from + i)));
    }
    expect(peer.goawayCode).toBe(H2Error.EnhanceYourCalm);
    expect(exceededBy(peer)).toEqual({ resets: 1 });
  });

  test("after an answer are how a gateway ends an exchange, however many", async () => {
    const peer = await MemoryPeer.open();
    for (let i = 0; i < 20 * h2Limits.resetBucket; i++) {
      peer.send(headers(2 * i + 1));
      peer.handlers.pop()!.stream.write([Buffer.from("answer")], 6);
      peer.send(update(0, 6), reset(2 * i + 1, H2Error.Cancel));
    }
    expect([peer.goawayCode, peer.stats.streams, exceededBy(peer)]).toEqual([-1, 0, {}]);
  });
});

describe("headers", () => {
  test("in too many pieces end the connection", async () => {
    const peer = await MemoryPeer.open();
    peer.send(
      frame(FrameType.Headers, 0, 1, GRPC_HEAD),
      repeated(h2Limits.continuationFramesMax + 1, () =>
        frame(FrameType.Continuation, 0, 1, Buffer.alloc(0)),
      ),
    );
    expect(peer.goawayCode).toBe(H2Error.EnhanceYourCalm);
    expect(exceededBy(peer)).toEqual({ "header-block": 1 });
  });

  test("that are short on the wire and long decoded cost their stream, and the next one is served", async () => {
    const peer = await MemoryPeer.open();
    // One entry of the dynamic table, named many times.
    const bomb = Buffer.concat([
      GRPC_HEAD,
      literalIndexed("x-bomb", "c".repeat(3000)),
      Buffer.alloc(Math.ceil(hpackLimits.headerListBytesMax / 3000), 0x80 | 62),
    ]);
    peer.send(headers(1, 0, bomb), headers(3));
    expect(peer.resetsOf(1)).toEqual([H2Error.EnhanceYourCalm]);
    expect([peer.handlers.length, peer.goawayCode]).toEqual([1, -1]);
    expect(exceededBy(peer)).toEqual({ "header-list": 1 });
  });
});

test("streams beyond the setting are refused, and taken again when others have ended", async () => {
  const peer = await MemoryPeer.open();
  const max = h2Limits.streamsPerConnectionMax;
  peer.send(repeated(max, (i) => headers(2 * i + 1)));
  expect(peer.handlers).toHaveLength(max);
  peer.send(headers(2 * max + 1));
  expect(peer.resetsOf(2 * max + 1)).toEqual([H2Error.RefusedStream]);
  peer.send(reset(1, H2Error.Cancel), headers(2 * max + 3));
  expect(peer.handlers).toHaveLength(max + 1);
  expect(exceededBy(peer)).toEqual({ streams: 1 });
});

describe("time", () => {
  const { handshakeMs, idleMs, keepAliveMs, keepAliveTimeoutMs, settingsAckMs, stallMs, sweepMs } =
    h2Limits;
  const ack = frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0));

  test("a peer that says nothing is told why it must go", async () => {
    const peer = await MemoryPeer.open({ settings: null });
    sweep(peer, handshakeMs);
    expect(peer.goawayCode).toBe(-1);
    sweep(peer, sweepMs);
    expect(peer.goawayCode).toBe(H2Error.SettingsTimeout);
    expect(exceededBy(peer)).toEqual({ handshake: 1 });
  });

  test("so is one that never acknowledges our SETTINGS, whatever else it does", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    sweep(peer, settingsAckMs + sweepMs);
    expect(peer.goawayCode).toBe(H2Error.SettingsTimeout);
    expect(exceededBy(peer)).toEqual({ "settings-ack": 1 });
  });

  test("a silent peer is asked, and stays when it answers", async () => {
    const peer = await MemoryPeer.open();
    peer.send(ack, headers(1));
    sweep(peer, sweepMs + keepAliveMs);
    const pings = peer.ofType(FrameType.Ping);
    await peer.settle();
    expect(peer.ofType(FrameType.Ping)).toHaveLength(pings.length + 1);
    peer.send(frame(FrameType.Ping, Flag.Ack, 0, peer.ofType(FrameType.Ping)[0]!.payload));
    sweep(peer, keepAliveMs);
    expect([peer.closes, exceededBy(peer)]).toEqual([0, {}]);
  });

  test("a peer that is gone is given up with all its streams", async () => {
    const peer = await MemoryPeer.open();
    peer.send(ack, headers(1));
    sweep(peer, sweepMs + keepAliveMs + keepAliveTimeoutMs);
    await peer.settle();
    expect([peer.closes, peer.handlers[0]!.closes]).toEqual([1, 1]);
    expect(exceededBy(peer)).toEqual({ "keep-alive": 1 });
  });

  test("an idle connection is drained in two phases, so that nothing that crosses is lost", async () => {
    const peer = await MemoryPeer.open();
    peer.send(ack);
    for (let at = 0; at <= idleMs; at += sweepMs) {
      if (at % keepAliveMs === 0) peer.send(ping());
      peer.connection.sweep();
    }
    await peer.settle();
    expect(peer.ofType(FrameType.Goaway).map(({ payload }) => payload.readUInt32BE())).toEqual([
      WINDOW_MAX,
    ]);
    expect(exceededBy(peer)).toEqual({ idle: 1 });
    peer.send(headers(1));
    expect(peer.handlers).toHaveLength(1);
  });

  test("a stream whose peer takes nothing of its answer is reset, others go on", async () => {
    const peer = await MemoryPeer.open({ settings: [[Setting.InitialWindowSize, 5]] });
    peer.send(ack, headers(1), headers(3));
    const [stalled, slow] = peer.handlers;
    for (const { stream } of [stalled!, slow!]) stream.write([Buffer.alloc(100)], 100);
    for (let at = 0; at <= stallMs; at += sweepMs) {
      peer.connection.sweep();
      peer.send(update(3, 1)); // slow, but not dead
    }
    await peer.settle();
    expect(peer.resetsOf(1)).toEqual([H2Error.EnhanceYourCalm]);
    expect([stalled!.closes, slow!.closes, peer.closes]).toEqual([1, 0, 0]);
    expect(exceededBy(peer)).toEqual({ stall: 1 });
    slow!.onClosed();
    expect(peer.stats.unsentBytes).toBeLessThan(100);
  });

  test("a connection whose peer does not read is given up", async () => {
    const peer = await MemoryPeer.open();
    peer.send(ack, headers(1));
    peer.socket.isStalled = true;
    peer.handlers[0]!.stream.write([Buffer.alloc(10_000)], 10_000);
    await peer.settle();
    for (let at = 0; at <= stallMs; at += sweepMs) {
      peer.send(ping());
      peer.connection.sweep();
    }
    await peer.settle();
    expect([peer.closes, peer.handlers[0]!.closes]).toEqual([1, 1]);
    expect(exceededBy(peer)).toEqual({ stall: 1 });
  });
});

describe("bytes that wait to be sent", () => {
  test("are counted over all connections, and told once they are too many", async () => {
    const peer = await MemoryPeer.open({ settings: [[Setting.InitialWindowSize, 0]] });
    peer.send(headers(1));
    const piece = Buffer.alloc(1 << 20);
    const { stream } = peer.handlers[0]!;
    for (let bytes = 0; bytes < h2Limits.unsentBytesMax; bytes += piece.length) {
      stream.write([piece], piece.length);
    }
    expect([peer.stats.unsentBytes, peer.overflows]).toEqual([h2Limits.unsentBytesMax, 0]);
    stream.write([piece], piece.length);
    expect(peer.overflows).toBe(1);
    peer.connection.shed();
    await peer.settle();
    expect(peer.goawayCode).toBe(H2Error.EnhanceYourCalm);
    expect(exceededBy(peer)).toEqual({ "unsent-bytes": 1 });
    expect([peer.stats.unsentBytes, peer.handlers[0]!.closes]).toEqual([0, 1]);
  });
});

/** A field that goes into the dynamic table. */
function literalIndexed(name: string, value: string): Buffer {
  const field = literal(name, value);
  field[0] = 0x40;
  return field;
}
