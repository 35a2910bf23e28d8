/**
 * Flow control: whatever the windows, the pace of the kernel and the order of events, no window is overdrawn and every body
 * arrives whole.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { data, headers, update } from "../../../test/support/h2-frames.ts";
import { MemoryPeer } from "../../../test/support/h2-memory.ts";
import type { SeenFrame } from "../../../test/support/h2-peer.ts";
import {
  Flag,
  FRAME_BYTES_MAX,
  FrameType,
  H2Error,
  Setting,
  settingsFrame,
  u32Frame,
  WINDOW_MAX,
} from "./frames.ts";
import { h2Limits } from "./limits.ts";

const initialWindow = (value: number): Buffer =>
  settingsFrame([[Setting.InitialWindowSize, value]]);

/** One stream as its peer knows it. */
interface Expected {
  readonly id: number;
  window: number;
  written: Buffer;
  arrived: number;
  isEnded: boolean;
  isReset: boolean;
}

/** A peer that keeps account of its windows as RFC 9113 §6.9 has it, and of what must arrive. */
class Accountant {
  readonly peer: MemoryPeer;
  readonly streams: Expected[] = [];
  #window = 65_535;
  #initialWindow = 65_535;
  /** Shrinkings of windows that wait for their acknowledgement, with the streams they are for; 0 = nothing shrinks. */
  readonly #shrinkings: { by: number; streams: Expected[] }[] = [{ by: 0, streams: [] }];
  #checked = 0;

  constructor(peer: MemoryPeer) {
    this.peer = peer;
  }

  open(): void {
    const id = 2 * this.streams.length + 1;
    this.streams.push({
      id,
      window: this.#initialWindow,
      written: Buffer.alloc(0),
      arrived: 0,
      isEnded: false,
      isReset: false,
    });
    this.peer.send(headers(id, Flag.EndStream));
  }

  write(stream: Expected, sizes: readonly number[]): void {
    const segments = sizes.map((size, i) => Buffer.alloc(size, (stream.written.length + i) % 251));
    const bytes = Buffer.concat(segments);
    if (!stream.isEnded && !stream.isReset) stream.written = Buffer.concat([stream.written, bytes]);
    this.#owner(stream).stream.write(segments, bytes.length);
  }

  end(stream: Expected): void {
    this.#owner(stream).stream.end();
    stream.isEnded = true;
  }

  reset(stream: Expected): void {
    stream.isReset = true;
    this.peer.send(u32Frame(FrameType.RstStream, stream.id, H2Error.Cancel));
  }

  widen(stream: Expected, by: number): void {
    stream.window += by;
    this.peer.send(update(stream.id, by));
  }

  widenAll(by: number): void {
    this.#window += by;
    this.peer.send(update(0, by));
  }

  resize(value: number): void {
    const by = value - this.#initialWindow;
    this.#initialWindow = value;
    if (by > 0) for (const stream of this.streams) stream.window += by;
    this.#shrinkings.push({ by: Math.min(by, 0), streams: [...this.streams] });
    this.peer.send(initialWindow(value));
  }

  /** Looks at what has come since the last time. */
  check(): void {
    for (const seen of this.peer.frames.slice(this.#checked)) this.#check(seen);
    this.#checked = this.peer.frames.length;
    expect(this.peer.errors).toEqual([]);
  }

  #check({ type, flags, id, payload }: SeenFrame): void {
    const stream = this.streams.find((one) => one.id === id);
    if (type === FrameType.Settings && flags === Flag.Ack) {
      const { by, streams } = this.#shrinkings.shift()!;
      for (const one of streams) one.window += by;
    } else if (type === FrameType.Data) {
      expect(payload.length).toBeGreaterThan(0);
      expect(payload.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
      stream!.window -= payload.length;
      this.#window -= payload.length;
      expect(Math.min(stream!.window, this.#window), "window that is left").toBeGreaterThanOrEqual(
        0,
      );
      const { arrived, written } = stream!;
      expect(payload.equals(written.subarray(arrived, arrived + payload.length))).toBe(true);
      stream!.arrived += payload.length;
    } else if (type === FrameType.Headers && (flags & Flag.EndStream) !== 0) {
      expect([stream!.isEnded, stream!.arrived]).toEqual([true, stream!.written.length]);
    }
  }

  /** Gives everything that is missing, so that everything must arrive. */
  async finish(): Promise<void> {
    this.peer.socket.release();
    await this.peer.settle();
    this.check();
    for (const stream of this.streams) {
      if (!stream.isEnded) this.end(stream);
      if (!stream.isReset) this.widen(stream, 10_000_000);
    }
    this.widenAll(100_000_000);
    while (this.peer.socket.writableLength > 0) await this.peer.settle();
    await this.peer.settle();
    this.check();
    for (const { id, isReset, arrived, written } of this.streams) {
      const trailers = this.peer
        .ofType(FrameType.Headers)
        .filter((seen) => seen.id === id && (seen.flags & Flag.EndStream) !== 0);
      if (isReset) continue;
      expect([arrived, trailers.length]).toEqual([written.length, 1]);
    }
    expect(this.peer.handlers.map(({ closes }) => closes)).toEqual(this.streams.map(() => 1));
    expect(this.peer.stats.streams).toBe(0);
  }

  #owner(stream: Expected): MemoryPeer["handlers"][number] {
    return this.peer.handlers[(stream.id - 1) / 2]!;
  }
}

describe("any order of events", () => {
  const size = fc.oneof(fc.nat(40), fc.nat(5000), fc.nat(60_000));
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.constant({ kind: "open" } as const) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("write" as const),
        at: fc.nat(),
        sizes: fc.array(size, { minLength: 1, maxLength: 4 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("widen" as const), at: fc.nat(), by: size }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("widenAll" as const), by: size }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("resize" as const), value: fc.nat(70_000) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom("end" as const, "reset" as const),
        at: fc.nat(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom("stall", "release", "turn") } as const),
    },
  );

  test("overdraws no window and loses no byte", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const account = new Accountant(await MemoryPeer.open());
        account.open();
        for (const one of steps) {
          const stream = account.streams["at" in one ? one.at % account.streams.length : 0]!;
          if (one.kind === "open") account.open();
          else if (one.kind === "write") account.write(stream, one.sizes);
          else if (one.kind === "widenAll") account.widenAll(one.by + 1);
          else if (one.kind === "resize") account.resize(one.value);
          else if (one.kind === "widen") account.widen(stream, one.by + 1);
          else if (one.kind === "end") account.end(stream);
          else if (one.kind === "reset") account.reset(stream);
          else if (one.kind === "stall") account.peer.socket.isStalled = true;
          else {
            if (one.kind === "release") account.peer.socket.release();
            await account.peer.settle();
          }
          account.check();
        }
        await account.finish();
      }),
      { numRuns: 150 },
    );
  });
});

describe("what we send", () => {
  test("through windows of one byte comes whole, as frames of one byte", async () => {
    const peer = await MemoryPeer.open({ settings: [[Setting.InitialWindowSize, 0]] });
    peer.send(headers(1, Flag.EndStream));
    const { stream } = peer.handlers[0]!;
    stream.write([Buffer.from("ab"), Buffer.alloc(0), Buffer.from("cde")], 5);
    stream.end();
    for (let i = 1; i <= 5; i++) {
      peer.send(update(1, 1));
      expect(peer.dataOf(1).toString()).toBe("abcde".slice(0, i));
    }
    expect(peer.ofType(FrameType.Data)).toHaveLength(5);
    expect(peer.ofType(FrameType.Headers).at(-1)!.flags & Flag.EndStream).toBe(Flag.EndStream);
    expect(peer.handlers[0]!.closes).toBe(1);
  });

  test("is cut to the peer's frame size, as far as larger frames are of use", async () => {
    const peer = await MemoryPeer.open({
      settings: [
        [Setting.InitialWindowSize, WINDOW_MAX],
        [Setting.MaxFrameSize, 20_000],
      ],
    });
    peer.send(update(0, 1 << 20), headers(1));
    const sizes = (): number[] => peer.ofType(FrameType.Data).map(({ payload }) => payload.length);
    peer.handlers[0]!.stream.write([Buffer.alloc(50_000)], 50_000);
    await peer.settle();
    expect(sizes()).toEqual([20_000, 20_000, 10_000]);
    peer.send(settingsFrame([[Setting.MaxFrameSize, (1 << 24) - 1]]));
    peer.handlers[0]!.stream.write([Buffer.alloc(100_000)], 100_000);
    await peer.settle();
    expect(sizes().slice(3)).toEqual([65_536, 34_464]);
  });

  test("of one stream does not wait for another whose window is used up", async () => {
    const peer = await MemoryPeer.open({ settings: [[Setting.InitialWindowSize, 100]] });
    peer.send(headers(1), headers(3));
    const [first, second] = peer.handlers;
    first!.stream.write([Buffer.alloc(500)], 500);
    second!.stream.write([Buffer.alloc(60)], 60);
    await peer.settle();
    expect([peer.dataOf(1).length, peer.dataOf(3).length]).toEqual([100, 60]);
  });

  test("goes out in the order of waiting when the connection's window was used up", async () => {
    const peer = await MemoryPeer.open({ settings: [[Setting.InitialWindowSize, WINDOW_MAX]] });
    peer.send(headers(1), headers(3), headers(5));
    for (const { stream } of peer.handlers) stream.write([Buffer.alloc(65_535)], 65_535);
    await peer.settle();
    const lengths = (): number[] => [1, 3, 5].map((id) => peer.dataOf(id).length);
    expect(lengths()).toEqual([65_535, 0, 0]);
    peer.send(update(0, 65_000));
    expect(lengths()).toEqual([65_535, 65_000, 0]);
    peer.send(update(0, 600));
    expect(lengths()).toEqual([65_535, 65_535, 65]);
  });

  test("is one system call for everything that was said in a turn", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), headers(3));
    const before = peer.socket.calls.length;
    for (const { stream } of peer.handlers) {
      stream.write([Buffer.from("a")], 1);
      stream.write([Buffer.from("b")], 1);
      stream.end();
    }
    expect(peer.socket.calls).toHaveLength(before);
    await peer.settle();
    expect(peer.socket.calls).toHaveLength(before + 1);
    expect([peer.dataOf(1).toString(), peer.dataOf(3).toString()]).toEqual(["ab", "ab"]);
  });
});

describe("a setting", () => {
  test("counts with its last value when a frame has several", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    peer.handlers[0]!.stream.write([Buffer.alloc(65_535)], 65_535);
    await peer.settle();
    peer.handlers[0]!.stream.write([Buffer.alloc(100)], 100);
    peer.send(update(0, 1000));
    peer.send(
      settingsFrame([
        [Setting.InitialWindowSize, WINDOW_MAX],
        [Setting.InitialWindowSize, 0],
        [Setting.InitialWindowSize, 65_545],
        [Setting.HeaderTableSize, 0],
        [0xabcd, 1],
      ]),
    );
    expect(peer.dataOf(1)).toHaveLength(65_545);
    expect(peer.ofType(FrameType.Settings).filter(({ flags }) => flags === Flag.Ack)).toHaveLength(
      2,
    );
  });

  test("may let a window end just at its limit", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), update(1, WINDOW_MAX - 65_535 - 10), initialWindow(65_545));
    expect(peer.goawayCode).toBe(-1);
    peer.send(update(1, 1));
    expect(peer.resetsOf(1)).toEqual([H2Error.FlowControlError]);
  });
});

describe("what we let a peer send", () => {
  const grants = (peer: MemoryPeer, id: number): number[] =>
    peer
      .ofType(FrameType.WindowUpdate)
      .filter((seen) => seen.id === id)
      .map(({ payload }) => payload.readUInt32BE());

  test("is granted again in halves of the windows, padding included", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1));
    const padded = data(
      1,
      Buffer.concat([Buffer.of(200), Buffer.alloc(FRAME_BYTES_MAX - 1)]),
      Flag.Padded,
    );
    const half = h2Limits.streamWindowBytes / 2;
    for (let sent = 0; sent < half; sent += FRAME_BYTES_MAX) {
      expect(grants(peer, 1)).toEqual([]);
      peer.send(padded);
    }
    expect(grants(peer, 1)).toEqual([half]);
    expect(grants(peer, 0)).toEqual([h2Limits.connectionWindowBytes - 65_535]);
  });

  test("is not granted to a stream that has ended, nor to one whose replies are stuck, until they are not", async () => {
    const peer = await MemoryPeer.open();
    peer.send(headers(1), headers(3));
    const body = Buffer.alloc(FRAME_BYTES_MAX);
    const stuck = Buffer.alloc(h2Limits.unsentBytesPerStreamMax + 65_535 + 1);
    peer.handlers[0]!.stream.write([stuck], stuck.length);
    const half = h2Limits.streamWindowBytes / 2;
    for (let sent = 0; sent < half; sent += FRAME_BYTES_MAX) {
      const flags = sent + FRAME_BYTES_MAX === half ? Flag.EndStream : 0;
      peer.send(data(1, body), data(3, body, flags));
    }
    expect([grants(peer, 1), grants(peer, 3)]).toEqual([[], []]);
    peer.send(update(0, 1), update(1, 1));
    expect(grants(peer, 1)).toEqual([half]);
  });
});
