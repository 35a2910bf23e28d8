/**
 * What an attacker can send over one HTTP/2 connection to make a server work: each attack as frames, one of which costs
 * its sender less than its reader. What must come of each stands with it.
 * @module
 */
import { Flag, FrameType, frame, H2Error, Setting, u32Frame } from "../../src/ingress/h2/frames.ts";
import { literal } from "../../src/ingress/h2/hpack.ts";
import { EXT_PROC_HEAD } from "../support/ext-proc-head.ts";
import { openingFrames, wholeExchange } from "../support/h2-exchanges.ts";
import { encodeInteger, encodeString } from "../support/h2-hpack.ts";
import { GRPC_HEAD } from "../support/h2-peer.ts";

/** Bytes that are sent behind preface and SETTINGS. */
export interface AttackBytes {
  readonly first: Buffer;
  /** More, each time the socket has room; null = nothing more, wait. */
  readonly next: () => Buffer | null;
}

export interface Attack {
  readonly name: string;
  readonly settings?: readonly (readonly [number, number])[];
  /** True when nothing is wrong but the time it takes: harmless is enough, the end is a time-out's. */
  readonly isStall?: true;
  /** True when the attacker takes no notice of the end, and goes on until it can send no more. */
  readonly isDeaf?: true;
  /** A new connection begins. */
  readonly open: () => AttackBytes;
}

/** What is handed to the socket at once. */
const BATCH_BYTES = 64 * 1024;
const NONE: Buffer = Buffer.alloc(0);
const UNKNOWN_TYPE = 0x42;
/** Fills three quarters of the dynamic table. */
const BOMB_VALUE_CHARS = 3000;
/** Newest entry of the dynamic table. */
const NEWEST_INDEX = 62;
/** So many of it stay below a list of 64 KiB. */
const REFERENCES = 20;
const FRAME_BYTES = 16_384;
const STALLED_STREAMS = 1000;
const WALKED_STREAMS = 9000;

/** Opens stream 1 and leaves one large entry in the table. */
const FILLING = frame(
  FrameType.Headers,
  Flag.EndHeaders,
  1,
  Buffer.concat([
    EXT_PROC_HEAD,
    Buffer.from(encodeInteger(0, 6, 0x40)),
    encodeString("x", false),
    encodeString("y".repeat(BOMB_VALUE_CHARS), false),
  ]),
);

function head(id: number, flags: number = Flag.EndHeaders): Buffer {
  return frame(FrameType.Headers, flags, id, EXT_PROC_HEAD);
}

/** Something again and again, behind a beginning. */
function repeated(unit: Buffer, first: Buffer = NONE): () => AttackBytes {
  const batch = Buffer.concat(Array<Buffer>(Math.ceil(BATCH_BYTES / unit.length)).fill(unit));
  return () => ({ first, next: () => batch });
}

/** Frames for one stream after the other, behind a beginning that has used the streams below `firstId`. */
function perStream(
  frames: (id: number) => Buffer,
  first: Buffer = NONE,
  firstId = 1,
): () => AttackBytes {
  return () => {
    let id = firstId;
    const next = (): Buffer => {
      const parts: Buffer[] = [];
      for (let bytes = 0; bytes < BATCH_BYTES; id += 2) {
        const part = frames(id);
        parts.push(part);
        bytes += part.length;
      }
      return Buffer.concat(parts);
    };
    return { first, next };
  };
}

/** One large entry in the table, then blocks that name it with each of their bytes. */
function bombBlocks(): () => AttackBytes {
  const references = Buffer.alloc(FRAME_BYTES, 0x80 | NEWEST_INDEX);
  return perStream(
    (id) =>
      Buffer.concat([
        head(id, 0),
        frame(FrameType.Continuation, 0, id, references),
        frame(FrameType.Continuation, 0, id, references),
        frame(FrameType.Continuation, Flag.EndHeaders, id, references),
      ]),
    FILLING,
    3,
  );
}

/** GET with the large entry as often as the limit of a list allows; each block differs, so that none is known already. */
function refusedRequests(): () => AttackBytes {
  const references = Buffer.alloc(REFERENCES, 0x80 | NEWEST_INDEX);
  return perStream(
    (id) => {
      const block = Buffer.concat([
        Buffer.from([0x82, 0x84, 0x86]),
        references,
        literal("n", `${id}`),
      ]);
      return frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, id, block);
    },
    FILLING,
    3,
  );
}

export const ATTACKS: readonly Attack[] = [
  {
    name: "answers asked for and never let out",
    settings: [[Setting.InitialWindowSize, 0]],
    isStall: true,
    open: () => {
      const script = wholeExchange();
      const streams: Buffer[] = [];
      for (let i = 0; i < STALLED_STREAMS; i++) streams.push(openingFrames(2 * i + 1, script));
      return { first: Buffer.concat(streams), next: () => null };
    },
  },
  {
    name: "rapid reset before any answer",
    open: perStream((id) =>
      Buffer.concat([head(id), u32Frame(FrameType.RstStream, id, H2Error.Cancel)]),
    ),
  },
  {
    name: "rapid reset of a method that does not exist",
    open: perStream((id) =>
      Buffer.concat([
        frame(FrameType.Headers, Flag.EndHeaders, id, GRPC_HEAD),
        u32Frame(FrameType.RstStream, id, H2Error.Cancel),
      ]),
    ),
  },
  {
    name: "CONTINUATION without end",
    open: repeated(frame(FrameType.Continuation, 0, 1, Buffer.alloc(FRAME_BYTES)), head(1, 0)),
  },
  {
    name: "CONTINUATION of nothing",
    open: repeated(frame(FrameType.Continuation, 0, 1, NONE), head(1, 0)),
  },
  {
    name: "CONTINUATION of one byte in block after block",
    open: perStream((id) =>
      Buffer.concat([
        head(id, 0),
        ...Array<Buffer>(14).fill(frame(FrameType.Continuation, 0, id, Buffer.from([0x83]))),
        frame(FrameType.Continuation, Flag.EndHeaders, id, NONE),
      ]),
    ),
  },
  { name: "PING", open: repeated(frame(FrameType.Ping, 0, 0, Buffer.alloc(8))) },
  {
    name: "PING on and on, whatever the server says",
    isDeaf: true,
    open: repeated(frame(FrameType.Ping, 0, 0, Buffer.alloc(8))),
  },
  { name: "SETTINGS", open: repeated(frame(FrameType.Settings, 0, 0, NONE)) },
  {
    name: "SETTINGS that move the windows of many streams",
    open: () => {
      const streams: Buffer[] = [];
      for (let i = 0; i < WALKED_STREAMS; i++) streams.push(head(2 * i + 1));
      const wide = Buffer.from([0, Setting.InitialWindowSize, 0, 1, 0, 0]);
      const narrow = Buffer.from([0, Setting.InitialWindowSize, 0, 0, 0, 0]);
      const both = [wide, narrow].map((setting) => frame(FrameType.Settings, 0, 0, setting));
      return repeated(Buffer.concat(both), Buffer.concat(streams))();
    },
  },
  {
    name: "DATA of nothing",
    open: repeated(frame(FrameType.Data, 0, 1, NONE), head(1)),
  },
  {
    name: "DATA of padding only",
    open: repeated(frame(FrameType.Data, Flag.Padded, 1, Buffer.from([0])), head(1)),
  },
  {
    name: "WINDOW_UPDATE by 1",
    open: repeated(u32Frame(FrameType.WindowUpdate, 0, 1)),
  },
  {
    name: "WINDOW_UPDATE by 1 on a stream",
    open: repeated(u32Frame(FrameType.WindowUpdate, 1, 1), head(1)),
  },
  { name: "PRIORITY", open: repeated(frame(FrameType.Priority, 0, 1, Buffer.alloc(5))) },
  { name: "HPACK bomb", open: bombBlocks() },
  { name: "requests that are refused, of large headers", open: refusedRequests() },
  { name: "unknown frames", open: repeated(frame(UNKNOWN_TYPE, 0, 0, NONE)) },
  {
    name: "resets asked for by WINDOW_UPDATE 0",
    open: perStream((id) => Buffer.concat([head(id), u32Frame(FrameType.WindowUpdate, id, 0)])),
  },
  {
    name: "resets asked for by DATA after the end",
    open: perStream((id) =>
      Buffer.concat([
        head(id, Flag.EndHeaders | Flag.EndStream),
        frame(FrameType.Data, 0, id, Buffer.from("x")),
      ]),
    ),
  },
];
