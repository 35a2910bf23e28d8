/**
 * The sending side of a connection: frames into the output, and who may send DATA when.
 *
 *   DATA of a stream waits for   its own window            → until the peer widens that one
 *                                the connection's window   ┐ in `blocked`, in the order of their coming, until the
 *                                the kernel (backlog)      ┘ connection has room again
 *
 * Streams without a window of their own are not in `blocked`: a peer could make us walk thousands of them with each
 * WINDOW_UPDATE of a few bytes.
 * @module
 */
import type { Socket } from "node:net";

import {
  Flag,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FrameType,
  U32_FRAME_BYTES,
  WINDOW_MAX,
  writeFrameHeader,
  writeU32Frame,
} from "./frames.ts";
import { h2Limits } from "./limits.ts";
import { Output } from "./output.ts";
import { PeerSettings } from "./peer-settings.ts";
import { EMPTY_QUEUE, type H2Stream } from "./stream.ts";

/** Window of a connection at first; SETTINGS do not change it (RFC 9113 §6.9.2). */
const FIRST_WINDOW_BYTES = 65_535;
/** Larger frames than this are of no use, whatever the peer would take. */
const DATA_BYTES_MAX = 4 * FRAME_BYTES_MAX;
const PING_BYTES = 8;
/** HPACK: our table is empty, and stays so (RFC 7541 §6.3). */
const TABLE_SIZE_0 = 0x20;

export interface UnsentTotals {
  unsentBytes: number;
}

export class Sender {
  /** Streams that have DATA to send and wait for the connection. */
  readonly blocked = new Set<H2Stream>();
  /** Bytes in the queues of all streams. */
  unsentBytes = 0;
  /** WINDOW_UPDATEs that what we have sent makes plausible. */
  updateCredit = 0;
  readonly peer = new PeerSettings();
  readonly #output: Output;
  readonly #totals: UnsentTotals;
  #window = FIRST_WINDOW_BYTES;
  #isTableSizeTold = false;

  /** @param totals counts what waits over all connections */
  constructor(socket: Socket, totals: UnsentTotals) {
    this.#output = new Output(socket);
    this.#totals = totals;
  }

  /** False when no stream can send DATA. */
  get hasRoom(): boolean {
    return this.#window > 0 && this.#output.backlogBytes < h2Limits.backlogBytesMax;
  }

  get backlogBytes(): number {
    return this.#output.backlogBytes;
  }

  flush(): void {
    this.#output.flush();
  }

  // ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A frame that is ready. */
  frame(bytes: Buffer): void {
    this.#output.push(bytes);
  }

  /** @param block at most FRAME_BYTES_MAX bytes, which every peer takes */
  headers(id: number, block: Buffer, isLast: boolean): void {
    const flags = isLast ? Flag.EndHeaders | Flag.EndStream : Flag.EndHeaders;
    const output = this.#output;
    // A peer that lowers the table's size must be told so before the next block (RFC 9113 §4.3.1); 0 holds for any size.
    const updateBytes = this.#isTableSizeTold ? 0 : 1;
    this.#isTableSizeTold = true;
    const at = output.reserve(FRAME_HEADER_BYTES + updateBytes);
    writeFrameHeader(output.buffer, at, updateBytes + block.length, FrameType.Headers, flags, id);
    if (updateBytes > 0) output.buffer[at + FRAME_HEADER_BYTES] = TABLE_SIZE_0;
    output.push(block);
  }

  /** RST_STREAM or WINDOW_UPDATE. */
  u32(type: number, id: number, value: number): void {
    const at = this.#output.reserve(U32_FRAME_BYTES);
    writeU32Frame(this.#output.buffer, at, type, id, value);
  }

  /** Answers a PING with the 8 bytes it came with. */
  pingAck(bytes: Buffer, start: number): void {
    const at = this.#output.reserve(FRAME_HEADER_BYTES + PING_BYTES);
    writeFrameHeader(this.#output.buffer, at, PING_BYTES, FrameType.Ping, Flag.Ack, 0);
    bytes.copy(this.#output.buffer, at + FRAME_HEADER_BYTES, start, start + PING_BYTES);
  }

  // ── DATA ────────────────────────────────────────────────────────────────────────────────────────────────────────

  enqueue(stream: H2Stream, segments: readonly Uint8Array[], byteLength: number): void {
    if (stream.queue === EMPTY_QUEUE) stream.queue = [];
    for (const segment of segments) {
      if (segment.length > 0) stream.queue.push(segment);
    }
    stream.queuedBytes += byteLength;
    this.#addUnsent(byteLength);
  }

  #addUnsent(byteLength: number): void {
    this.unsentBytes += byteLength;
    this.#totals.unsentBytes += byteLength;
  }

  /** Forgets what a closed stream has not sent. */
  drop(stream: H2Stream): void {
    this.#addUnsent(-stream.queuedBytes);
    stream.queue = EMPTY_QUEUE;
    stream.queuedBytes = 0;
    this.blocked.delete(stream);
  }

  /** Sends what is allowed of the stream's queue, and its trailers when that is all. */
  pump(stream: H2Stream): void {
    const frameBytesMax = Math.min(this.peer.frameBytesMax, DATA_BYTES_MAX);
    while (stream.queuedBytes > 0) {
      if (stream.sendWindow <= 0) {
        this.blocked.delete(stream);
        return;
      }
      if (!this.hasRoom) {
        this.blocked.add(stream);
        return;
      }
      this.#data(
        stream,
        Math.min(this.#window, stream.sendWindow, frameBytesMax, stream.queuedBytes),
      );
    }
    if (this.blocked.size > 0) this.blocked.delete(stream);
    if (stream.trailers !== null) {
      if (stream.trailers.length > 0) this.headers(stream.id, stream.trailers, true);
      else this.#endOfData(stream.id);
      stream.trailers = null;
      stream.isSent = true;
    }
  }

  #data(stream: H2Stream, byteLength: number): void {
    const output = this.#output;
    const at = output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(output.buffer, at, byteLength, FrameType.Data, 0, stream.id);
    const { queue } = stream;
    let left = byteLength;
    let taken = 0;
    while (left > 0) {
      const segment = queue[taken]!;
      if (segment.length <= left) {
        output.push(segment);
        left -= segment.length;
        taken++;
      } else {
        output.push(segment.subarray(0, left));
        queue[taken] = segment.subarray(left);
        left = 0;
      }
    }
    if (taken === queue.length) stream.queue = EMPTY_QUEUE;
    else if (taken > 0) queue.splice(0, taken);
    stream.queuedBytes -= byteLength;
    stream.sendWindow -= byteLength;
    this.#window -= byteLength;
    this.#addUnsent(-byteLength);
    stream.stalledMs = 0;
    this.updateCredit += h2Limits.windowUpdatesPerData;
  }

  #endOfData(id: number): void {
    const at = this.#output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(this.#output.buffer, at, 0, FrameType.Data, Flag.EndStream, id);
  }

  /** Widens the connection's window. @returns false when it overflows */
  widen(byteLength: number): boolean {
    this.#window += byteLength;
    return this.#window <= WINDOW_MAX;
  }
}
