/**
 * Gathers the frames of one burst of replies and hands them to the stream at once: headers and framing are encoded into
 * one writer, body bytes stay the slices they came as.
 *
 *   writer   [prefix A][prefix B     ][trailers]
 *   bodies             ▲ slice A       ▲ slice B         marks = writer positions after which a slice goes
 *
 * One instance a thread: whoever fills it flushes it before returning to the event loop.
 * @module
 */
import { type Side, type StructObject, Writer, writeBodyPrefix } from "../../proto/index.ts";
import type { GrpcStream } from "./transport.ts";

/** Largest body bytes in one reply; gateways recommend at most 64 KiB and upstream cuts at this number. */
export const BODY_REPLY_BYTES_MAX = 62_000;

/** Bursts up to this size are copied into one buffer: cheaper than a vectored write through node:http2. */
const COPY_BYTES_MAX = 32 * 1024;

export class ReplyBuffer {
  readonly writer = new Writer();
  #marks: number[] = [];
  #bodies: Uint8Array[] = [];
  #bodyBytes = 0;

  /**
   * Streamed body replies that carry a body without copying it: at most BODY_REPLY_BYTES_MAX each, only the last has the
   * end flag, an empty body gives one.
   *
   * @param pieces the body, cut anywhere
   * @param byteLength their total length
   * @param metadata namespace → Struct, goes with the last one
   */
  body(
    side: Side,
    pieces: readonly Uint8Array[],
    byteLength: number,
    endOfStream: boolean,
    metadata: StructObject | null = null,
  ): void {
    let left = byteLength;
    let room = this.#beginReply(side, left, endOfStream, metadata);
    for (const piece of pieces) {
      let from = 0;
      while (from < piece.length) {
        if (room === 0) room = this.#beginReply(side, left, endOfStream, metadata);
        const take = Math.min(room, piece.length - from);
        this.#take(take === piece.length ? piece : piece.subarray(from, from + take));
        from += take;
        room -= take;
        left -= take;
      }
    }
  }

  /** @returns body bytes that the reply is to hold */
  #beginReply(
    side: Side,
    left: number,
    endOfStream: boolean,
    metadata: StructObject | null,
  ): number {
    const length = Math.min(left, BODY_REPLY_BYTES_MAX);
    const isLast = length === left;
    writeBodyPrefix(this.writer, side, length, endOfStream && isLast, isLast ? metadata : null);
    return length;
  }

  #take(bytes: Uint8Array): void {
    this.#marks.push(this.writer.length);
    this.#bodies.push(bytes);
    this.#bodyBytes += bytes.length;
  }

  /** Sends everything gathered, and starts anew. */
  flush(stream: GrpcStream): void {
    const { writer } = this;
    const total = writer.length + this.#bodyBytes;
    if (total === 0) return;
    const segments = total <= COPY_BYTES_MAX ? [this.#joined(total)] : this.#segments();
    this.discard(); // first, so that a write that throws leaves nothing for the next stream
    stream.write(segments, total);
  }

  /** Throws everything gathered away. */
  discard(): void {
    this.writer.reset();
    if (this.#bodies.length === 0) return;
    // New ones: to set the length of an array is a call into the runtime.
    this.#marks = [];
    this.#bodies = [];
    this.#bodyBytes = 0;
  }

  #joined(total: number): Uint8Array {
    const { bytes, length } = this.writer;
    const out = Buffer.allocUnsafe(total);
    let at = 0;
    let from = 0;
    for (let i = 0; i < this.#marks.length; i++) {
      const mark = this.#marks[i]!;
      const body = this.#bodies[i]!;
      if (mark > from) out.set(bytes.subarray(from, mark), at);
      at += mark - from;
      out.set(body, at);
      at += body.length;
      from = mark;
    }
    out.set(bytes.subarray(from, length), at);
    return out;
  }

  #segments(): Uint8Array[] {
    const { length } = this.writer;
    const framing = Buffer.from(this.writer.bytes.subarray(0, length)); // the writer is reused, the stream keeps this
    const segments: Uint8Array[] = [];
    let from = 0;
    for (let i = 0; i < this.#marks.length; i++) {
      const mark = this.#marks[i]!;
      if (mark > from) segments.push(framing.subarray(from, mark));
      segments.push(this.#bodies[i]!);
      from = mark;
    }
    if (from < length) segments.push(framing.subarray(from, length));
    return segments;
  }
}
