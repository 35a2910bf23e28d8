/**
 * Frames however their bytes are cut, and what is no frame.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import {
  Flag,
  FRAME_BYTES_MAX,
  FrameType,
  frame,
  H2Error,
  PREFACE,
  settingsFrame,
} from "./frames.ts";
import { h2Limits } from "./limits.ts";

/** Writes down what it gets; the pieces of a DATA frame as one. */
class Recorder implements FrameSink {
  readonly events: string[] = [];
  /** Views, as they came. */
  readonly views: Buffer[] = [];
  reader: FrameReader | null = null;
  /** Event at which the reader is stopped. */
  stopAt = "";
  #body: Buffer[] = [];

  onDataStart(id: number, length: number): void {
    this.#body = [];
    this.#add(`data ${id} of ${length}`);
  }

  onData(bytes: Buffer, start: number, end: number): void {
    expect(end).toBeGreaterThan(start);
    this.views.push(bytes.subarray(start, end));
    this.#body.push(Buffer.from(bytes.subarray(start, end)));
  }

  onDataEnd(id: number, length: number, flags: number): void {
    this.#add(
      `end ${id} of ${length} flags ${flags}: ${Buffer.concat(this.#body).toString("hex")}`,
    );
  }

  onHeaders(id: number, flags: number, bytes: Buffer, start: number, end: number): void {
    this.views.push(bytes.subarray(start, end));
    this.#add(`headers ${id} flags ${flags}: ${bytes.toString("hex", start, end)}`);
  }

  onFrame(
    type: number,
    flags: number,
    id: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    this.#add(`type ${type} ${id} flags ${flags}: ${bytes.toString("hex", start, end)}`);
  }

  onBroken(code: number, reason: string): void {
    this.#add(`broken ${code}: ${reason}`);
  }

  #add(event: string): void {
    this.events.push(event);
    if (this.stopAt !== "" && event.startsWith(this.stopAt)) this.reader!.stop();
  }
}

function read(chunks: readonly Buffer[], stopAt = ""): Recorder {
  const recorder = new Recorder();
  recorder.stopAt = stopAt;
  recorder.reader = new FrameReader(recorder);
  for (const chunk of chunks) recorder.reader.read(chunk);
  return recorder;
}

const START = Buffer.concat([PREFACE, settingsFrame([])]);
const FIRST = "type 4 0 flags 0: ";
/** What comes after the first SETTINGS. */
const eventsOf = (...frames: readonly Buffer[]): string[] => {
  const { events } = read([Buffer.concat([START, ...frames])]);
  expect(events[0]).toBe(FIRST);
  return events.slice(1);
};
const hex = (text: string): Buffer => Buffer.from(text, "hex");

/** One of everything that has a form of its own. */
const EVERYTHING = Buffer.concat([
  START,
  frame(
    FrameType.Headers,
    Flag.EndHeaders | Flag.Padded | Flag.Priority,
    1,
    hex("02000000000fabcd0000"),
  ),
  frame(FrameType.Data, 0, 1, hex("010203")),
  frame(FrameType.Data, Flag.Padded, 1, hex("03040506000000")),
  frame(FrameType.Data, Flag.Padded, 1, hex("00")),
  frame(FrameType.Data, Flag.Padded, 1, hex("020000")),
  frame(FrameType.Ping, 0, 0, hex("0102030405060708")),
  frame(FrameType.Headers, Flag.EndStream, 3, hex("aa")),
  frame(FrameType.Continuation, 0, 3, hex("")),
  frame(FrameType.Continuation, 0, 3, hex("bbcc")),
  frame(FrameType.Continuation, Flag.EndHeaders, 3, hex("dd")),
  frame(0xee, 0xff, 0x7fffffff, hex("0badcafe")),
  frame(FrameType.Data, Flag.EndStream, 1, hex("")),
]);
const EVERY_EVENT = [
  FIRST,
  "headers 1 flags 44: abcd",
  "data 1 of 3",
  "end 1 of 3 flags 0: 010203",
  "data 1 of 7",
  "end 1 of 7 flags 8: 040506",
  "data 1 of 1",
  "end 1 of 1 flags 8: ",
  "data 1 of 3",
  "end 1 of 3 flags 8: ",
  "type 6 0 flags 0: 0102030405060708",
  "headers 3 flags 1: aabbccdd",
  "type 238 2147483647 flags 255: 0badcafe",
  "data 1 of 0",
  "end 1 of 0 flags 1: ",
];

describe("frames", () => {
  test("come with their payload, without padding and priority, header blocks whole", () => {
    expect(read([EVERYTHING]).events).toEqual(EVERY_EVENT);
  });

  test("are the same wherever the bytes are cut once, and byte by byte", () => {
    for (let i = 0; i <= EVERYTHING.length; i++) {
      const chunks = [EVERYTHING.subarray(0, i), EVERYTHING.subarray(i)];
      expect(read(chunks).events, `cut at ${i}`).toEqual(EVERY_EVENT);
    }
    expect(read([...EVERYTHING].map((byte) => Buffer.of(byte))).events).toEqual(EVERY_EVENT);
  });

  test("of any kind and content are the same for any cuts", () => {
    const anyFrame = fc
      .tuple(
        fc.oneof(fc.nat(9), fc.nat(255)),
        fc.nat(255),
        fc.constantFrom(0, 1, 2, 3),
        fc.uint8Array({ maxLength: 40 }),
      )
      .map(([type, flags, id, payload]) => frame(type, flags, id, payload));
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (frames, points) => {
          const bytes = Buffer.concat([START, ...frames]);
          const chunks: Buffer[] = [];
          let from = 0;
          const cuts = points.map((point) => point % bytes.length).toSorted((a, b) => a - b);
          for (const cut of [...cuts, bytes.length]) {
            chunks.push(bytes.subarray(from, cut));
            from = cut;
          }
          expect(read(chunks).events).toEqual(read([bytes]).events);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("lie in the chunk when they came whole, DATA always", () => {
    const bytes = Buffer.concat([
      START,
      frame(FrameType.Headers, Flag.EndHeaders, 1, hex("abcd")),
      frame(FrameType.Data, 0, 1, hex("010203")),
    ]);
    const { views } = read([bytes]);
    expect(views.map((view) => view.buffer === bytes.buffer)).toEqual([true, true]);
    const cut = [bytes.subarray(0, -2), bytes.subarray(-2)];
    expect(read(cut).views.map((view) => view.buffer === bytes.buffer)).toEqual([true, true, true]);
  });

  test("have at most the size that we have not asked to change", () => {
    const payload = Buffer.alloc(FRAME_BYTES_MAX);
    expect(eventsOf(frame(FrameType.Data, 0, 1, payload))).toHaveLength(2);
    expect(eventsOf(frame(0xee, 0, 1, payload))).toHaveLength(1);
    const broken = [`broken ${H2Error.FrameSizeError}: frame is larger than the setting`];
    for (const type of [FrameType.Data, FrameType.Headers, 0xee]) {
      // Told by the header alone: nothing is kept for it.
      const header = frame(type, 0, 1, Buffer.alloc(FRAME_BYTES_MAX + 1)).subarray(0, 9);
      expect(eventsOf(header)).toEqual(broken);
    }
  });
});

describe("a connection must begin", () => {
  test("with the preface, whichever byte is wrong", () => {
    for (let i = 0; i < PREFACE.length; i++) {
      const bytes = Buffer.from(START);
      bytes[i]! ^= 0x20;
      expect(read([bytes]).events).toEqual([`broken ${H2Error.ProtocolError}: no HTTP/2 preface`]);
    }
  });

  test.each([
    ["another frame", frame(FrameType.Ping, 0, 0, Buffer.alloc(8))],
    ["an acknowledgement", frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0))],
  ])("with SETTINGS, not with %s", (_, first) => {
    expect(read([Buffer.concat([PREFACE, first])]).events).toEqual([
      `broken ${H2Error.ProtocolError}: first frame is not SETTINGS`,
    ]);
  });
});

describe("a broken frame", () => {
  const continued = Array.from({ length: h2Limits.continuationFramesMax }, () =>
    frame(FrameType.Continuation, 0, 1, hex("aa")),
  );
  const largePieces = Array.from({ length: 4 }, () =>
    frame(FrameType.Continuation, 0, 1, Buffer.alloc(FRAME_BYTES_MAX)),
  );

  test.each<[string, number, Buffer[]]>([
    ["padded DATA without pad length", H2Error.FrameSizeError, [frame(0, Flag.Padded, 1, hex(""))]],
    ["padding as long as its DATA", H2Error.ProtocolError, [frame(0, Flag.Padded, 1, hex("020a"))]],
    ["padded HEADERS without pad length", H2Error.FrameSizeError, [frame(1, 0xc, 1, hex(""))]],
    ["padding longer than its HEADERS", H2Error.ProtocolError, [frame(1, 0xc, 1, hex("02aa"))]],
    ["a cut priority", H2Error.ProtocolError, [frame(1, 0x24, 1, hex("00000000"))]],
    [
      "padding over a priority",
      H2Error.ProtocolError,
      [frame(1, 0x2c, 1, hex("03000000000aaabb"))],
    ],
    ["HEADERS of the connection", H2Error.ProtocolError, [frame(1, 4, 0, hex("82"))]],
    ["HEADERS of a stream of ours", H2Error.ProtocolError, [frame(1, 4, 2, hex("82"))]],
    ["CONTINUATION of nothing", H2Error.ProtocolError, [frame(9, 4, 1, hex("82"))]],
    [
      "a block interrupted by DATA",
      H2Error.ProtocolError,
      [frame(1, 0, 1, hex("82")), frame(0, 0, 1, hex("00"))],
    ],
    [
      "a block interrupted by HEADERS",
      H2Error.ProtocolError,
      [frame(1, 0, 1, hex("82")), frame(1, 4, 3, hex("82"))],
    ],
    [
      "a block interrupted by an extension",
      H2Error.ProtocolError,
      [frame(1, 0, 1, hex("82")), frame(0xee, 0, 0, hex(""))],
    ],
    [
      "a block continued elsewhere",
      H2Error.ProtocolError,
      [frame(1, 0, 1, hex("82")), frame(9, 4, 3, hex("82"))],
    ],
    [
      "a block in too many pieces",
      H2Error.EnhanceYourCalm,
      [frame(1, 0, 1, hex("82")), ...continued, frame(9, 4, 1, hex(""))],
    ],
    [
      "a block of too many bytes",
      H2Error.EnhanceYourCalm,
      [frame(1, 0, 1, hex("82")), ...largePieces],
    ],
  ])("is told, and nothing behind it is read: %s", (_, code, frames) => {
    const ping = frame(FrameType.Ping, 0, 0, Buffer.alloc(8));
    const events = eventsOf(...frames, ping).filter((event) => !event.startsWith("data"));
    expect(events).toHaveLength(1);
    expect(events[0]).toMatch(new RegExp(`^broken ${code}: `));
  });

  test("is not one that is at the limit", () => {
    const last = (payload: Buffer): Buffer => frame(9, Flag.EndHeaders, 1, payload);
    const head = frame(1, 0, 1, hex(""));
    expect(eventsOf(head, ...continued.slice(1), last(hex("bb")))).toEqual([
      `headers 1 flags 0: ${"aa".repeat(h2Limits.continuationFramesMax - 1)}bb`,
    ]);
    expect(
      eventsOf(head, ...largePieces.slice(1), last(Buffer.alloc(FRAME_BYTES_MAX)))[0],
    ).toHaveLength("headers 1 flags 0: ".length + 2 * h2Limits.headerBlockBytesMax);
    // A block that is done leaves nothing behind for the next one, neither bytes nor frames.
    for (const pieces of [largePieces.slice(1), continued.slice(1)]) {
      const block = [head, ...pieces, last(hex(""))];
      const [first, second] = eventsOf(...block, ...block);
      expect(first).toMatch(/^headers 1 flags 0: /);
      expect(second).toBe(first);
    }
  });
});

test("a reader that is stopped inside any call calls no more", () => {
  for (const [i, event] of EVERY_EVENT.entries()) {
    if (EVERY_EVENT.indexOf(event) !== i) continue;
    for (const chunks of [[EVERYTHING], [...EVERYTHING].map((byte) => Buffer.of(byte))]) {
      expect(read(chunks, event).events).toEqual(EVERY_EVENT.slice(0, i + 1));
    }
  }
});
