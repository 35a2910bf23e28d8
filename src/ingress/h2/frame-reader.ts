/**
 * Bytes, cut anywhere, to frames: the layer that knows lengths, padding and header blocks, and nothing of streams.
 *
 *   preface(24) ──▶ header(9) ──┬─ DATA: start ──▶ slices as they come ──▶ end ──────┬──▶ header(9)
 *                               └─ others: payload, gathered when it is cut ─────────┘
 *
 * DATA is handed on without being gathered; the payload of other frames has at most FRAME_BYTES_MAX bytes. After an error
 * or `stop` nothing is read any more.
 * @module
 */
import {
  Flag,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FrameType,
  H2Error,
  PREFACE,
  STREAM_ID_MAX,
} from "./frames.ts";
import { HeaderFragments } from "./header-fragments.ts";

/** What is done with the frames. `bytes` of all calls are valid from `start` to `end`, for as long as they are kept. */
export interface FrameSink {
  /** A DATA frame begins. @param length its whole payload, padding included, as flow control counts it */
  onDataStart(id: number, length: number): void;
  /** Some of its body; what follows is of the same frame until `onDataEnd`. */
  onData(bytes: Buffer, start: number, end: number): void;
  onDataEnd(id: number, length: number, flags: number): void;
  /** A whole header block, of one frame or several. @param flags of the HEADERS frame */
  onHeaders(id: number, flags: number, bytes: Buffer, start: number, end: number): void;
  /** Any other frame. */
  onFrame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void;
  /** The peer broke a rule of framing: the connection must end with this code. */
  onBroken(code: number, reason: string): void;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
/** Stream dependency and weight in a HEADERS frame with the PRIORITY flag. */
const PRIORITY_BYTES = 5;
/** The pad length of this DATA frame is still to come. */
const UNKNOWN = -1;

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #fragments = new HeaderFragments();
  #prefaceAt = 0;
  /** Frame header that comes in pieces. */
  readonly #header: Buffer = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerFill = 0;
  // The frame being read.
  #length = 0;
  #type = 0;
  #flags = 0;
  #id = 0;
  /** Bytes of its payload still to come. */
  #left = 0;
  #payload: Buffer | null = null;
  #padding = 0;
  #isFirstFrame = true;
  #isStopped = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  stop(): void {
    this.#isStopped = true;
    this.#payload = null;
  }

  read(chunk: Buffer): void {
    const { length } = chunk;
    let at = 0;
    while (at < length && !this.#isStopped) {
      if (this.#left > 0) {
        at = this.#type === FrameType.Data ? this.#readData(chunk, at) : this.#gather(chunk, at);
      } else if (this.#prefaceAt === PREFACE.length) {
        at = this.#readHeader(chunk, at);
      } else if (chunk[at++] !== PREFACE[this.#prefaceAt++]) {
        this.#break(H2Error.ProtocolError, "no HTTP/2 preface");
      }
    }
  }

  #readHeader(chunk: Buffer, at: number): number {
    if (this.#headerFill === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
      this.#parseHeader(chunk, at);
      return at + FRAME_HEADER_BYTES;
    }
    const take = Math.min(FRAME_HEADER_BYTES - this.#headerFill, chunk.length - at);
    chunk.copy(this.#header, this.#headerFill, at, at + take);
    this.#headerFill += take;
    if (this.#headerFill === FRAME_HEADER_BYTES) {
      this.#headerFill = 0;
      this.#parseHeader(this.#header, 0);
    }
    return at + take;
  }

  #parseHeader(bytes: Buffer, at: number): void {
    this.#length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    this.#type = bytes[at + 3]!;
    this.#flags = bytes[at + 4]!;
    this.#id =
      ((bytes[at + 5]! & 0x7f) << 24) |
      (bytes[at + 6]! << 16) |
      (bytes[at + 7]! << 8) |
      bytes[at + 8]!;
    this.#startFrame();
  }

  #startFrame(): void {
    if (this.#length > FRAME_BYTES_MAX) {
      this.#break(H2Error.FrameSizeError, "frame is larger than the setting");
      return;
    }
    if (this.#isFirstFrame) {
      this.#isFirstFrame = false;
      if (this.#type !== FrameType.Settings || (this.#flags & Flag.Ack) !== 0) {
        this.#break(H2Error.ProtocolError, "first frame is not SETTINGS");
        return;
      }
    }
    if ((this.#fragments.streamId !== 0) !== (this.#type === FrameType.Continuation)) {
      this.#break(H2Error.ProtocolError, "header block is interrupted, or continued without one");
      return;
    }
    this.#left = this.#length;
    if (this.#type === FrameType.Data) this.#startData();
    else if (this.#length === 0) this.#endFrame(NO_BYTES, 0, 0);
  }

  // ── DATA ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #startData(): void {
    const isPadded = (this.#flags & Flag.Padded) !== 0;
    if (isPadded && this.#length === 0) {
      this.#break(H2Error.FrameSizeError, "padded DATA without pad length");
      return;
    }
    this.#padding = isPadded ? UNKNOWN : 0;
    this.#sink.onDataStart(this.#id, this.#length);
    if (this.#length === 0) this.#endData();
  }

  #readData(chunk: Buffer, at: number): number {
    if (this.#padding === UNKNOWN) {
      this.#padding = chunk[at]!;
      this.#left--;
      if (this.#padding > this.#left) {
        this.#break(H2Error.ProtocolError, "padding is longer than its frame");
      } else if (this.#left === 0) {
        this.#endData();
      }
      return at + 1;
    }
    const take = Math.min(this.#left, chunk.length - at);
    const body = Math.min(take, this.#left - this.#padding);
    this.#left -= take;
    if (body > 0) this.#sink.onData(chunk, at, at + body);
    if (this.#left === 0) this.#endData();
    return at + take;
  }

  #endData(): void {
    if (!this.#isStopped) this.#sink.onDataEnd(this.#id, this.#length, this.#flags);
  }

  // ── other frames ────────────────────────────────────────────────────────────────────────────────────────────────

  #gather(chunk: Buffer, at: number): number {
    const take = Math.min(this.#left, chunk.length - at);
    if (take === this.#length) {
      this.#left = 0;
      this.#endFrame(chunk, at, at + take);
      return at + take;
    }
    this.#payload ??= Buffer.allocUnsafe(this.#length);
    chunk.copy(this.#payload, this.#length - this.#left, at, at + take);
    this.#left -= take;
    if (this.#left === 0) {
      const payload = this.#payload;
      this.#payload = null;
      this.#endFrame(payload, 0, payload.length);
    }
    return at + take;
  }

  #endFrame(bytes: Buffer, start: number, end: number): void {
    if (this.#type === FrameType.Headers) this.#onHeaders(bytes, start, end);
    else if (this.#type === FrameType.Continuation) this.#onContinuation(bytes, start, end);
    else this.#sink.onFrame(this.#type, this.#flags, this.#id, bytes, start, end);
  }

  #onHeaders(bytes: Buffer, start: number, end: number): void {
    const id = this.#id;
    const flags = this.#flags;
    if ((id & 1) === 0) {
      this.#break(H2Error.ProtocolError, "HEADERS on a stream that is not a client's");
      return;
    }
    let from = start;
    let to = end;
    if ((flags & Flag.Padded) !== 0) {
      if (from === to) {
        this.#break(H2Error.FrameSizeError, "padded HEADERS without pad length");
        return;
      }
      to -= bytes[from]!;
      from++;
    }
    const priorityAt = from;
    if ((flags & Flag.Priority) !== 0) from += PRIORITY_BYTES;
    if (from > to) {
      this.#break(H2Error.ProtocolError, "padding or priority is longer than its frame");
      return;
    }
    if (from > priorityAt && (bytes.readUInt32BE(priorityAt) & STREAM_ID_MAX) === id) {
      this.#break(H2Error.ProtocolError, "a stream depends on itself");
      return;
    }
    if ((flags & Flag.EndHeaders) !== 0) this.#sink.onHeaders(id, flags, bytes, from, to);
    else this.#fragments.begin(id, flags, bytes, from, to);
  }

  #onContinuation(bytes: Buffer, start: number, end: number): void {
    const { streamId, flags } = this.#fragments;
    if (this.#id !== streamId) {
      this.#break(H2Error.ProtocolError, "CONTINUATION of another stream");
    } else if (!this.#fragments.add(bytes, start, end)) {
      this.#break(H2Error.EnhanceYourCalm, "header block is too long");
    } else if ((this.#flags & Flag.EndHeaders) !== 0) {
      const block = this.#fragments.take();
      this.#sink.onHeaders(streamId, flags, block, 0, block.length);
    }
  }

  #break(code: number, reason: string): void {
    this.stop();
    this.#sink.onBroken(code, reason);
  }
}
