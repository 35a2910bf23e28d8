/**
 * Sequences of HTTP/2 frames as a client could send them, valid for the most part, and then damaged frame by frame.
 * @module
 */
import {
  Flag,
  FrameType,
  frame,
  Setting,
  settingsFrame,
  u32Frame,
} from "../../src/ingress/h2/frames.ts";
import {
  type Field,
  LONG_PATH_AGAIN,
  LONG_PATH_HEAD,
  ReferenceEncoder,
} from "../support/h2-hpack.ts";
import type { Dice } from "../support/wire-arbitraries.ts";
import { randomBytes } from "./mutate.ts";

const PATHS = ["/a.B/C", "/a.B/C", "/a.B/C", "/now", "/data", "/big", "/fail", "/none"] as const;
const DRAIN_PING = Buffer.from("drain-ok");
const WINDOWS = [0, 1, 100, 65_535, 1 << 20, 0x7fff_ffff, 0x8000_0000] as const;
const DATA_BYTES = [0, 0, 1, 5, 7, 100, 1000, 16_384] as const;
const EXTRA_FIELDS: readonly Field[] = [
  ["te", "trailers"],
  ["te", "gzip"],
  ["grpc-encoding", "gzip"],
  ["content-length", "5"],
  ["content-length", "x"],
  ["content-type", "text/plain"],
  ["connection", "close"],
  ["X-Upper", "1"],
  ["x-space", " 1"],
  [":path", "/late"],
  [":status", "200"],
  ["x-long", "v".repeat(3000)],
  ["", ""],
];

/** A client with its state: what it may send next follows from what it has sent. */
class FrameClient {
  readonly frames: Buffer[] = [];
  readonly #dice: Dice;
  readonly #encoder = new ReferenceEncoder();
  readonly #open: number[] = [];
  #nextId = 1;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  step(): void {
    const dice = this.#dice;
    switch (dice.roll(18)) {
      case 0:
      case 1:
      case 2:
      case 3:
        this.#request();
        return;
      case 4:
      case 5:
      case 6:
      case 7:
        this.#data();
        return;
      case 8:
        this.#push(FrameType.RstStream, 0, this.#known(true), u32(dice.roll(14)));
        return;
      case 9:
      case 10:
        this.#windowUpdate();
        return;
      case 11:
        this.#settings();
        return;
      case 12:
        this.#push(FrameType.Ping, dice.roll(3) === 0 ? Flag.Ack : 0, 0, DRAIN_PING);
        return;
      case 13:
        this.#trailers();
        return;
      case 14:
        this.#odd();
        return;
      case 15:
        if (dice.roll(3) === 0) this.#longPaths();
        else this.#bomb();
        return;
      case 16:
        this.#flood();
        return;
      default:
        this.#push(FrameType.Priority, 0, this.#known(false) || 1, Buffer.alloc(5, dice.roll(9)));
    }
  }

  #push(type: number, flags: number, id: number, payload: Uint8Array): void {
    this.frames.push(frame(type, flags, id, payload));
  }

  /** A stream that is open, or any that was. */
  #known(isTaken: boolean): number {
    const dice = this.#dice;
    if (this.#open.length === 0) return Math.max(1, this.#nextId - 2);
    const at = dice.roll(this.#open.length);
    const id = this.#open[at]!;
    if (isTaken) this.#open.splice(at, 1);
    return id;
  }

  #fields(): Field[] {
    const dice = this.#dice;
    const fields: Field[] = [
      [":method", dice.roll(12) === 0 ? "GET" : "POST"],
      [":scheme", "http"],
      [":path", PATHS[dice.roll(PATHS.length)]!],
      ["content-type", "application/grpc"],
    ];
    for (let extra = dice.roll(6) - 3; extra > 0; extra--) {
      fields.splice(dice.roll(6), 0, EXTRA_FIELDS[dice.roll(EXTRA_FIELDS.length)]!);
    }
    return fields;
  }

  #request(): void {
    const isLast = this.#dice.roll(3) === 0;
    const id = this.#nextId;
    this.#nextId += 2 * (1 + (this.#dice.roll(5) === 0 ? this.#dice.roll(3) : 0));
    if (!isLast) this.#open.push(id);
    this.#block(id, this.#encode(this.#fields()), isLast ? Flag.EndStream : 0);
  }

  #trailers(): void {
    this.#block(this.#known(true), this.#encode([["x-trailer", "1"]]), Flag.EndStream);
  }

  #encode(fields: readonly Field[]): Buffer {
    return this.#encoder.encode(fields, (below) => this.#dice.roll(below));
  }

  /** HEADERS, padded or not, with or without priority, and CONTINUATION for what it leaves over. */
  #block(id: number, block: Buffer, flags: number): void {
    const dice = this.#dice;
    const parts = dice.roll(3) === 0 ? 1 + dice.roll(4) : 1;
    const step = Math.min(16_000, Math.ceil(block.length / parts)) || 1;
    let first = block.subarray(0, step);
    let all = flags;
    if (dice.roll(5) === 0) {
      first = Buffer.concat([Buffer.from([0, 0, 0, 0, 15]), first]);
      all |= Flag.Priority;
    }
    if (dice.roll(5) === 0) {
      const padding = dice.roll(20);
      first = Buffer.concat([Buffer.from([padding]), first, Buffer.alloc(padding)]);
      all |= Flag.Padded;
    }
    const isWhole = step >= block.length;
    this.#push(FrameType.Headers, isWhole ? all | Flag.EndHeaders : all, id, first);
    for (let at = step; at < block.length; at += step) {
      const isEnd = at + step >= block.length;
      const part = block.subarray(at, at + step);
      this.#push(FrameType.Continuation, isEnd ? Flag.EndHeaders : 0, id, part);
    }
  }

  #data(): void {
    const dice = this.#dice;
    const isLast = dice.roll(3) === 0;
    const id = this.#known(isLast);
    const padding = dice.roll(4) === 0 ? dice.roll(256) : -1;
    const room = padding < 0 ? 16_384 : 16_383 - padding;
    const byteLength = Math.min(room, DATA_BYTES[dice.roll(DATA_BYTES.length)]!);
    const body = Buffer.alloc(byteLength, dice.roll(256));
    const flags = (isLast ? Flag.EndStream : 0) | (padding < 0 ? 0 : Flag.Padded);
    const payload =
      padding < 0 ? body : Buffer.concat([Buffer.from([padding]), body, Buffer.alloc(padding)]);
    this.#push(FrameType.Data, flags, id, payload);
  }

  #windowUpdate(): void {
    const dice = this.#dice;
    const id = dice.roll(2) === 0 ? 0 : this.#known(false);
    this.frames.push(u32Frame(FrameType.WindowUpdate, id, WINDOWS[dice.roll(WINDOWS.length)]!));
  }

  #settings(): void {
    const dice = this.#dice;
    if (dice.roll(4) === 0) {
      this.#push(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0));
      return;
    }
    this.frames.push(
      settingsFrame([
        [Setting.InitialWindowSize, WINDOWS[dice.roll(WINDOWS.length)]!],
        [1 + dice.roll(8), dice.roll(3) === 0 ? dice.roll(2) : 16_384 + dice.roll(60_000)],
      ]),
    );
  }

  /** What a client must not send, or what nobody knows. */
  #odd(): void {
    const dice = this.#dice;
    const payload = randomBytes(dice, dice.roll(20));
    this.#push(dice.roll(12), dice.roll(256), dice.roll(4) * dice.roll(9), payload);
  }

  /** One entry of the table, named again and again: a short block that is a long list. */
  #bomb(): void {
    const dice = this.#dice;
    const value = Buffer.alloc(3000, 0x61);
    // Literal with indexing, name of the static entry 58 (user-agent); a length of 3000 in three bytes.
    const entry = Buffer.concat([Buffer.from([0x7a, 0x7f, 0xb9, 0x16]), value]);
    const block = Buffer.concat([entry, Buffer.alloc(1 + dice.roll(12_000), 0xbe)]);
    this.#block(this.#nextId, block, Flag.EndStream);
    this.#nextId += 2;
  }

  /** Streams of a few bytes each, whose path of the table is long, and refused by its name. */
  #longPaths(): void {
    const dice = this.#dice;
    this.#block(this.#nextId, LONG_PATH_HEAD, Flag.EndStream);
    const most = dice.roll(6) === 0 ? 2000 : 50;
    for (let count = 1 + dice.roll(most); count > 0; count--) {
      this.#nextId += 2;
      this.#block(this.#nextId, LONG_PATH_AGAIN, Flag.EndStream);
    }
    this.#nextId += 2;
  }

  /** Many small frames of one kind. */
  #flood(): void {
    const dice = this.#dice;
    const count = 1 + dice.roll(dice.roll(6) === 0 ? 2500 : 40);
    const id = this.#known(false);
    const kind = dice.roll(6);
    if (kind === 0) {
      // CONTINUATION without an end.
      this.#push(FrameType.Headers, 0, this.#nextId, Buffer.from([0x83]));
      for (let i = 0; i < count; i++) this.#push(FrameType.Continuation, 0, this.#nextId, NOTHING);
      this.#nextId += 2;
    } else if (kind === 1) {
      for (let i = 0; i < count; i++) this.#request();
    } else {
      const [type, payload] = [
        [FrameType.Data, NOTHING],
        [FrameType.Ping, DRAIN_PING],
        [FrameType.WindowUpdate, u32(1)],
        [FrameType.Settings, NOTHING],
      ][kind - 2] as [number, Buffer];
      const on = type === FrameType.Data || type === FrameType.WindowUpdate ? id : 0;
      for (let i = 0; i < count; i++) this.#push(type, 0, on, payload);
    }
  }
}

const NOTHING = Buffer.alloc(0);

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value >>> 0);
  return out;
}

/** The frames of a client behind its preface and settings, damaged in one case of two. */
export function generateFrames(dice: Dice): Buffer {
  const client = new FrameClient(dice);
  for (let steps = 1 + dice.roll(25); steps > 0; steps--) client.step();
  if (dice.roll(2) === 0) damageFrames(client.frames, dice);
  return Buffer.concat(client.frames);
}

function damageFrames(frames: Buffer[], dice: Dice): void {
  for (let count = 1 + dice.roll(3); count > 0; count--) {
    const at = dice.roll(frames.length);
    const one = Buffer.from(frames[at] ?? NOTHING);
    if (one.length < 9) continue;
    switch (dice.roll(9)) {
      case 0:
        frames.splice(at, 1);
        break;
      case 1:
        frames.splice(at, 0, one);
        break;
      case 2: {
        const other = dice.roll(frames.length);
        [frames[at], frames[other]] = [frames[other]!, one];
        break;
      }
      case 3: // cut short, the length as it was
        frames[at] = one.subarray(0, dice.roll(one.length));
        break;
      case 4: // the length lies
        one.writeUIntBE(Math.max(0, one.readUIntBE(0, 3) + dice.roll(41) - 20), 0, 3);
        frames[at] = one;
        break;
      case 5:
        one[3] = dice.roll(11);
        frames[at] = one;
        break;
      case 6:
        one[4] = one[4]! ^ (1 << dice.roll(8));
        frames[at] = one;
        break;
      case 7:
        one.writeUInt32BE(dice.roll(24), 5);
        frames[at] = one;
        break;
      default:
        one[dice.roll(one.length)] = dice.roll(256);
        frames[at] = one;
    }
  }
}
