/**
 * One HTTP/2 connection of a gRPC server: frames in, streams out, flow control both ways.
 *
 *   connection   preface ──▶ open ──(drain)──▶ notice sent ──(round trip)──▶ last id sent ──(streams end)──▶ closed
 *   reading      header(9) ──▶ data(n, handed on as slices) │ payload(n, gathered when cut) ──▶ header(9)
 *   stream       open ──END_STREAM in──▶ half closed (remote) ──END_STREAM out──▶ closed
 *                  └──END_STREAM out──▶ half closed (local) ──END_STREAM or RST in──▶ closed
 *
 * A reset from the peer is how a gateway ends each exchange: it closes the stream and is not held against the peer once
 * we have answered; resets before any answer are counted, since they are what an attack is made of.
 * @module
 */
import type { Socket } from "node:net";
import {
  type AcceptStream,
  GrpcStatus,
  type GrpcStream,
  type GrpcStreamHandler,
} from "../transport.ts";
import {
  Flag,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FrameType,
  frame,
  H2Error,
  PREFACE,
  Setting,
  STREAM_ID_MAX,
  settingsFrame,
  u32Frame,
  WINDOW_MAX,
  writeFrameHeader,
} from "./frames.ts";
import {
  HEADER_LIST_TOO_LARGE,
  HpackDecoder,
  HpackError,
  hpackLimits,
  RESPONSE_HEAD,
  TRAILERS_OK,
  trailers,
  UNSUPPORTED_MEDIA_TYPE,
} from "./hpack.ts";
import { Output } from "./output.ts";

export const h2Limits = {
  streamsPerConnectionMax: 10_000,
  /** Bytes a peer may send ahead on one stream: a prompt of a million tokens passes without a stall. */
  streamWindowBytes: 8 << 20,
  /** The same for the connection. */
  connectionWindowBytes: 64 << 20,
  /** Unsent bytes of one stream at which we stop granting it more. */
  unsentBytesPerStreamMax: 4 << 20,
  /** Frames and bytes of one header block that comes in pieces. */
  continuationFramesMax: 16,
  headerBlockBytesMax: 64 * 1024,
  /** Resets before our first answer, and control frames that ask for work: bucket and refill a second. */
  resetBucket: 1000,
  resetRefillPerSecond: 200,
  controlBucket: 2000,
  controlRefillPerSecond: 1000,
} as const;

export interface ConnectionStats {
  streams: number;
  streamsTotal: number;
  sessionErrors: number;
}

const EMPTY: Uint8Array = new Uint8Array(0);
const SETTINGS = settingsFrame([
  [Setting.MaxConcurrentStreams, h2Limits.streamsPerConnectionMax],
  [Setting.InitialWindowSize, h2Limits.streamWindowBytes],
  [Setting.MaxHeaderListSize, hpackLimits.headerListBytesMax],
]);
const CONNECTION_WINDOW_GRANT = u32Frame(
  FrameType.WindowUpdate,
  0,
  h2Limits.connectionWindowBytes - 65_535,
);
const SETTINGS_ACK = frame(FrameType.Settings, Flag.Ack, 0, EMPTY);
const DRAIN_PING = Buffer.from("drain-ok", "latin1");

/** Tokens that a peer uses up with frames that cost us work. */
class Bucket {
  readonly #size: number;
  readonly #refillPerSecond: number;
  #tokens: number;
  #atMs = performance.now();

  constructor(size: number, refillPerSecond: number) {
    this.#size = size;
    this.#refillPerSecond = refillPerSecond;
    this.#tokens = size;
  }

  /** @returns false when there was none left */
  take(): boolean {
    if (this.#tokens < 1) {
      const nowMs = performance.now();
      const refill = ((nowMs - this.#atMs) / 1000) * this.#refillPerSecond;
      this.#tokens = Math.min(this.#size, this.#tokens + refill);
      this.#atMs = nowMs;
      if (this.#tokens < 1) return false;
    }
    this.#tokens--;
    return true;
  }
}

class H2Stream implements GrpcStream {
  readonly id: number;
  readonly encoding: string;
  readonly connection: H2Connection;
  handler: GrpcStreamHandler | null = null;
  /** Bytes that the peer lets us send. */
  sendWindow: number;
  /** Bytes received and not granted again. */
  consumed = 0;
  /** Bytes the peer may still send. */
  receiveWindow: number = h2Limits.streamWindowBytes;
  /** Bytes that a declared content-length still promises; -1 = none was declared. */
  bodyLeft = -1;
  isAnswered = false;
  /** We are done: end or fail was called. */
  isEnding = false;
  /** END_STREAM has been sent. */
  isSent = false;
  isRemoteClosed = false;
  isClosed = false;
  queue: Uint8Array[] = [];
  queuedBytes = 0;
  /** Trailers that follow the queue. */
  trailers: Buffer | null = null;

  constructor(connection: H2Connection, id: number, encoding: string, sendWindow: number) {
    this.connection = connection;
    this.id = id;
    this.encoding = encoding;
    this.sendWindow = sendWindow;
  }

  write(segments: readonly Uint8Array[], byteLength: number): void {
    if (this.isEnding || this.isClosed) return;
    if (!this.isAnswered) {
      this.isAnswered = true;
      this.connection.sendHeaders(this.id, RESPONSE_HEAD, false);
    }
    for (const segment of segments) this.queue.push(segment);
    this.queuedBytes += byteLength;
    this.connection.pump(this);
  }

  end(): void {
    this.#finish(TRAILERS_OK);
  }

  fail(status: number, message: string): void {
    this.#finish(trailers(status, message));
  }

  #finish(block: Buffer): void {
    if (this.isEnding || this.isClosed) return;
    this.isEnding = true;
    // Trailers alone carry the head of the response too.
    this.trailers = this.isAnswered ? block : Buffer.concat([RESPONSE_HEAD, block]);
    this.isAnswered = true;
    this.connection.pump(this);
  }
}

export interface H2ConnectionOptions {
  readonly accept: AcceptStream;
  readonly stats: ConnectionStats;
  readonly onClosed: (connection: H2Connection) => void;
  readonly onError: (error: Error) => void;
}

export class H2Connection {
  readonly #socket: Socket;
  readonly #options: H2ConnectionOptions;
  readonly #output: Output;
  readonly #hpack = new HpackDecoder();
  readonly #streams = new Map<number, H2Stream>();
  readonly #blocked = new Set<H2Stream>();
  readonly #resets = new Bucket(h2Limits.resetBucket, h2Limits.resetRefillPerSecond);
  readonly #control = new Bucket(h2Limits.controlBucket, h2Limits.controlRefillPerSecond);
  // Reading.
  #prefaceAt = 0;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerFill = 0;
  #length = 0;
  #type = -1;
  #flags = 0;
  #id = 0;
  /** Bytes of the current payload still to come. */
  #left = 0;
  #payload: Buffer | null = null;
  #padding = -1;
  #isReading = false;
  #isFirstFrame = true;
  // Header block that comes in pieces.
  #blockId = 0;
  #blockFlags = 0;
  #blockFrames = 0;
  #block: Buffer[] = [];
  #blockBytes = 0;
  // Flow control and settings of the peer.
  #sendWindow = 65_535;
  #peerStreamWindow = 65_535;
  #peerFrameBytes = FRAME_BYTES_MAX;
  #receiveWindow: number = h2Limits.connectionWindowBytes;
  #consumed = 0;
  // Life.
  #lastId = 0;
  #acceptUpTo = STREAM_ID_MAX;
  #isDraining = false;
  #isClosed = false;
  #flushScheduled = false;

  constructor(socket: Socket, options: H2ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#output = new Output(socket);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error: Error) => options.onError(error));
    socket.on("end", () => socket.end());
    socket.on("close", () => this.#onSocketClosed());
    this.#output.push(SETTINGS);
    this.#output.push(CONNECTION_WINDOW_GRANT);
    this.#output.flush();
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  // ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────

  sendHeaders(id: number, block: Buffer, endStream: boolean): void {
    const flags = Flag.EndHeaders | (endStream ? Flag.EndStream : 0);
    const at = this.#output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(this.#output.buffer, at, block.length, FrameType.Headers, flags, id);
    this.#output.push(block);
    this.#schedule();
  }

  /** Sends of a stream's queue what both windows allow, then its trailers. */
  pump(stream: H2Stream): void {
    if (this.#isClosed) return;
    while (stream.queuedBytes > 0) {
      const room = Math.min(this.#sendWindow, stream.sendWindow, this.#peerFrameBytes);
      if (room <= 0) {
        this.#blocked.add(stream);
        return;
      }
      this.#sendData(stream, Math.min(room, stream.queuedBytes));
    }
    this.#blocked.delete(stream);
    if (stream.trailers !== null && !stream.isSent) {
      stream.isSent = true;
      this.sendHeaders(stream.id, stream.trailers, true);
      if (stream.isRemoteClosed) this.#closeStream(stream);
    }
    this.#grant(stream);
    this.#schedule();
  }

  #sendData(stream: H2Stream, byteLength: number): void {
    const output = this.#output;
    const at = output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(output.buffer, at, byteLength, FrameType.Data, 0, stream.id);
    let left = byteLength;
    let taken = 0;
    const { queue } = stream;
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
    if (taken === queue.length) queue.length = 0;
    else if (taken > 0) queue.splice(0, taken);
    stream.queuedBytes -= byteLength;
    stream.sendWindow -= byteLength;
    this.#sendWindow -= byteLength;
  }

  #pumpBlocked(): void {
    for (const stream of this.#blocked) {
      if (this.#sendWindow <= 0) return;
      this.pump(stream);
    }
  }

  /** One write per turn: at the end of the read that caused it, else at the end of the current call chain. */
  #schedule(): void {
    if (this.#isReading || this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      if (!this.#isClosed) this.#output.flush();
    });
  }

  /** Lets the peer send more on a stream once half of its window is used up and our own replies are not stuck. */
  #grant(stream: H2Stream): void {
    if (stream.consumed < h2Limits.streamWindowBytes / 2 || stream.isRemoteClosed) return;
    if (stream.queuedBytes > h2Limits.unsentBytesPerStreamMax) return;
    this.#output.push(u32Frame(FrameType.WindowUpdate, stream.id, stream.consumed));
    stream.receiveWindow += stream.consumed;
    stream.consumed = 0;
  }

  // ── drain ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** First phase: a notice that no peer takes for a refusal; the second follows when its ping has come back. */
  drain(): void {
    if (this.#isDraining || this.#isClosed) return;
    this.#isDraining = true;
    this.#output.push(u32Frame(FrameType.Goaway, 0, STREAM_ID_MAX, H2Error.NoError));
    this.#output.push(frame(FrameType.Ping, 0, 0, DRAIN_PING));
    this.#schedule();
  }

  #sendLastId(): void {
    if (this.#acceptUpTo !== STREAM_ID_MAX) return;
    this.#acceptUpTo = this.#lastId;
    this.#output.push(u32Frame(FrameType.Goaway, 0, this.#lastId, H2Error.NoError));
    this.#schedule();
    this.#closeIfDrained();
  }

  #closeIfDrained(): void {
    if (this.#acceptUpTo === STREAM_ID_MAX || this.#streams.size > 0 || this.#isClosed) return;
    this.#output.flush();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #onData(chunk: Buffer): void {
    this.#isReading = true;
    try {
      this.#read(chunk);
    } finally {
      this.#isReading = false;
    }
    if (!this.#isClosed) this.#output.flush();
  }

  #read(chunk: Buffer): void {
    let at = 0;
    const end = chunk.length;
    while (at < end && !this.#isClosed) {
      if (this.#prefaceAt < PREFACE.length) {
        if (chunk[at++] !== PREFACE[this.#prefaceAt++]) {
          this.#fatal(H2Error.ProtocolError, "no HTTP/2 preface");
        }
      } else if (this.#left > 0) {
        at =
          this.#type === FrameType.Data ? this.#readData(chunk, at) : this.#readPayload(chunk, at);
      } else {
        at = this.#readHeader(chunk, at);
      }
    }
  }

  #readHeader(chunk: Buffer, at: number): number {
    let header: Buffer = chunk;
    let from = at;
    if (this.#headerFill > 0 || chunk.length - at < FRAME_HEADER_BYTES) {
      const take = Math.min(FRAME_HEADER_BYTES - this.#headerFill, chunk.length - at);
      chunk.copy(this.#header, this.#headerFill, at, at + take);
      this.#headerFill += take;
      if (this.#headerFill < FRAME_HEADER_BYTES) return at + take;
      this.#headerFill = 0;
      header = this.#header;
      from = 0;
      at += take;
    } else {
      at += FRAME_HEADER_BYTES;
    }
    this.#length = (header[from]! << 16) | (header[from + 1]! << 8) | header[from + 2]!;
    this.#type = header[from + 3]!;
    this.#flags = header[from + 4]!;
    this.#id =
      ((header[from + 5]! & 0x7f) << 24) |
      (header[from + 6]! << 16) |
      (header[from + 7]! << 8) |
      header[from + 8]!;
    this.#startFrame();
    return at;
  }

  #startFrame(): void {
    if (this.#length > FRAME_BYTES_MAX) {
      this.#fatal(H2Error.FrameSizeError, "frame is larger than the setting");
      return;
    }
    if (this.#isFirstFrame) {
      this.#isFirstFrame = false;
      if (this.#type !== FrameType.Settings || (this.#flags & Flag.Ack) !== 0) {
        this.#fatal(H2Error.ProtocolError, "first frame is not SETTINGS");
        return;
      }
    }
    const inBlock = this.#blockId !== 0;
    if (inBlock !== (this.#type === FrameType.Continuation)) {
      this.#fatal(H2Error.ProtocolError, "header block is interrupted");
      return;
    }
    this.#left = this.#length;
    if (this.#type === FrameType.Data) {
      this.#startData();
    } else if (this.#length === 0) {
      this.#onFrame(EMPTY as Buffer);
    }
  }

  #readPayload(chunk: Buffer, at: number): number {
    const take = Math.min(this.#left, chunk.length - at);
    if (this.#payload === null && take === this.#length) {
      this.#left = 0;
      this.#onFrame(chunk.subarray(at, at + take));
      return at + take;
    }
    this.#payload ??= Buffer.allocUnsafe(this.#length);
    chunk.copy(this.#payload, this.#length - this.#left, at, at + take);
    this.#left -= take;
    if (this.#left === 0) {
      const payload = this.#payload;
      this.#payload = null;
      this.#onFrame(payload);
    }
    return at + take;
  }

  #startData(): void {
    if (this.#id === 0) {
      this.#fatal(H2Error.ProtocolError, "DATA on stream 0");
      return;
    }
    if (this.#id > this.#lastId) {
      this.#fatal(H2Error.ProtocolError, "DATA on an idle stream");
      return;
    }
    this.#receiveWindow -= this.#length;
    if (this.#receiveWindow < 0) {
      this.#fatal(H2Error.FlowControlError, "connection window is exceeded");
      return;
    }
    const stream = this.#streams.get(this.#id);
    if (stream === undefined || stream.isRemoteClosed) {
      this.#resetStream(this.#id, H2Error.StreamClosed);
    } else {
      stream.receiveWindow -= this.#length;
      if (stream.receiveWindow < 0) {
        this.#resetStream(this.#id, H2Error.FlowControlError);
        this.#closeStream(stream);
      }
    }
    this.#padding = (this.#flags & Flag.Padded) !== 0 ? -1 : 0;
    if (this.#length === 0) {
      if (this.#padding === -1) {
        this.#fatal(H2Error.FrameSizeError, "padded DATA without pad length");
        return;
      }
      if ((this.#flags & Flag.EndStream) === 0 && !this.#control.take()) {
        this.#fatal(H2Error.EnhanceYourCalm, "too many empty DATA frames");
        return;
      }
      this.#endData();
    }
  }

  #readData(chunk: Buffer, at: number): number {
    if (this.#padding === -1) {
      this.#padding = chunk[at]!;
      this.#left--;
      at++;
      if (this.#padding > this.#left) {
        this.#fatal(H2Error.ProtocolError, "padding is longer than its frame");
        return at;
      }
      if (this.#left === this.#padding && this.#left === 0) this.#endData();
      if (at === chunk.length || this.#left === 0) return at;
    }
    const body = this.#left - this.#padding;
    const take = Math.min(this.#left, chunk.length - at);
    const useful = Math.min(take, Math.max(body, 0));
    if (useful > 0) {
      const stream = this.#streams.get(this.#id);
      if (stream !== undefined && !stream.isRemoteClosed && !stream.isClosed) {
        if (stream.bodyLeft >= 0) this.#countBody(stream, useful);
        if (!stream.isClosed) stream.handler!.data(chunk.subarray(at, at + useful));
      }
    }
    this.#left -= take;
    if (this.#left === 0) this.#endData();
    return at + take;
  }

  #endData(): void {
    this.#consumed += this.#length;
    if (this.#consumed >= h2Limits.connectionWindowBytes / 2) {
      this.#output.push(u32Frame(FrameType.WindowUpdate, 0, this.#consumed));
      this.#receiveWindow += this.#consumed;
      this.#consumed = 0;
    }
    const stream = this.#streams.get(this.#id);
    if (stream === undefined || stream.isRemoteClosed) return;
    stream.consumed += this.#length;
    if ((this.#flags & Flag.EndStream) !== 0) this.#remoteEnd(stream);
    else this.#grant(stream);
  }

  #onFrame(payload: Buffer): void {
    switch (this.#type) {
      case FrameType.Headers:
        this.#onHeaders(payload);
        break;
      case FrameType.Continuation:
        this.#onContinuation(payload);
        break;
      case FrameType.RstStream:
        this.#onReset(payload);
        break;
      case FrameType.WindowUpdate:
        this.#onWindowUpdate(payload);
        break;
      case FrameType.Settings:
        this.#onSettings(payload);
        break;
      case FrameType.Ping:
        this.#onPing(payload);
        break;
      case FrameType.Goaway:
        this.#onGoaway(payload);
        break;
      case FrameType.Priority:
        this.#onPriority(payload);
        break;
      case FrameType.PushPromise:
        this.#fatal(H2Error.ProtocolError, "PUSH_PROMISE from a client");
        break;
      default:
        if (!this.#control.take()) this.#fatal(H2Error.EnhanceYourCalm, "too many unknown frames");
    }
  }

  // ── header blocks ───────────────────────────────────────────────────────────────────────────────────────────────

  #onHeaders(payload: Buffer): void {
    const flags = this.#flags;
    if (this.#id === 0 || (this.#id & 1) === 0) {
      this.#fatal(H2Error.ProtocolError, "HEADERS on a stream that is not a client's");
      return;
    }
    let from = 0;
    let to = payload.length;
    if ((flags & Flag.Padded) !== 0) {
      if (to < 1) {
        this.#fatal(H2Error.FrameSizeError, "padded HEADERS without pad length");
        return;
      }
      to -= payload[0]!;
      from = 1;
    }
    if ((flags & Flag.Priority) !== 0) {
      if (to - from >= 4 && (payload.readUInt32BE(from) & 0x7fffffff) === this.#id) {
        this.#fatal(H2Error.ProtocolError, "stream depends on itself");
        return;
      }
      from += 5;
    }
    if (from > to) {
      this.#fatal(H2Error.ProtocolError, "padding is longer than its frame");
      return;
    }
    const fragment = payload.subarray(from, to);
    if ((flags & Flag.EndHeaders) !== 0) {
      this.#onBlock(this.#id, flags, fragment);
      return;
    }
    this.#blockId = this.#id;
    this.#blockFlags = flags;
    this.#blockFrames = 0;
    this.#block = [Buffer.from(fragment)];
    this.#blockBytes = fragment.length;
  }

  #onContinuation(payload: Buffer): void {
    if (this.#id !== this.#blockId) {
      this.#fatal(H2Error.ProtocolError, "CONTINUATION of another stream");
      return;
    }
    this.#blockFrames++;
    this.#blockBytes += payload.length;
    if (
      this.#blockFrames > h2Limits.continuationFramesMax ||
      this.#blockBytes > h2Limits.headerBlockBytesMax
    ) {
      this.#fatal(H2Error.EnhanceYourCalm, "header block is too long");
      return;
    }
    this.#block.push(Buffer.from(payload));
    if ((this.#flags & Flag.EndHeaders) === 0) return;
    const block = Buffer.concat(this.#block);
    const id = this.#blockId;
    this.#blockId = 0;
    this.#block = [];
    this.#onBlock(id, this.#blockFlags, block);
  }

  #onBlock(id: number, flags: number, block: Buffer): void {
    let head: ReturnType<HpackDecoder["decode"]>;
    try {
      head = this.#hpack.decode(block, 0, block.length);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      this.#fatal(H2Error.CompressionError, error.message);
      return;
    }
    const endStream = (flags & Flag.EndStream) !== 0;
    const known = this.#streams.get(id);
    if (known !== undefined) {
      if (known.isRemoteClosed) {
        this.#fatal(H2Error.StreamClosed, "HEADERS after the end of a stream");
      } else if (!endStream) {
        this.#fatal(H2Error.ProtocolError, "trailers without END_STREAM");
      } else if (head !== HEADER_LIST_TOO_LARGE && (head.hasPseudo || !head.isWellFormed)) {
        this.#abort(known, H2Error.ProtocolError);
      } else {
        this.#remoteEnd(known);
      }
      return;
    }
    if (id <= this.#lastId) {
      this.#fatal(H2Error.StreamClosed, "HEADERS on a closed stream");
      return;
    }
    this.#lastId = id;
    if (id > this.#acceptUpTo || this.#streams.size >= h2Limits.streamsPerConnectionMax) {
      this.#resetStream(id, H2Error.RefusedStream);
      return;
    }
    if (head === HEADER_LIST_TOO_LARGE) {
      this.#resetStream(id, H2Error.EnhanceYourCalm);
      return;
    }
    this.#open(id, head, endStream);
  }

  #open(
    id: number,
    head: Exclude<ReturnType<HpackDecoder["decode"]>, typeof HEADER_LIST_TOO_LARGE>,
    endStream: boolean,
  ): void {
    if (!head.isWellFormed || head.method === "" || head.path === "" || head.scheme === "") {
      this.#resetStream(id, H2Error.ProtocolError);
      return;
    }
    if (!head.contentType.startsWith("application/grpc")) {
      this.sendHeaders(id, UNSUPPORTED_MEDIA_TYPE, true);
      if (!endStream) this.#resetStream(id, H2Error.NoError);
      return;
    }
    const stream = new H2Stream(this, id, head.encoding || "identity", this.#peerStreamWindow);
    stream.bodyLeft = head.contentLength;
    const handler = this.#options.accept(head.path, stream);
    this.#streams.set(id, stream);
    this.#options.stats.streams++;
    this.#options.stats.streamsTotal++;
    stream.handler = handler ?? IGNORE;
    if (handler === null) stream.fail(GrpcStatus.Unimplemented, `unknown method ${head.path}`);
    if (endStream) this.#remoteEnd(stream);
  }

  // ── stream ends ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Counts a body down that has a declared length; one that is too long is malformed. */
  #countBody(stream: H2Stream, byteLength: number): void {
    if (byteLength > stream.bodyLeft) this.#abort(stream, H2Error.ProtocolError);
    else stream.bodyLeft -= byteLength;
  }

  #abort(stream: H2Stream, code: number): void {
    this.#resetStream(stream.id, code);
    this.#closeStream(stream);
  }

  #remoteEnd(stream: H2Stream): void {
    if (stream.bodyLeft > 0) {
      this.#abort(stream, H2Error.ProtocolError);
      return;
    }
    stream.isRemoteClosed = true;
    stream.handler!.halfClose();
    if (stream.isSent) this.#closeStream(stream);
  }

  #closeStream(stream: H2Stream): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    stream.queue = [];
    stream.queuedBytes = 0;
    this.#blocked.delete(stream);
    this.#streams.delete(stream.id);
    this.#options.stats.streams--;
    stream.handler!.closed();
    if (this.#isDraining) this.#closeIfDrained();
  }

  #resetStream(id: number, code: number): void {
    if (!this.#control.take()) {
      this.#fatal(H2Error.EnhanceYourCalm, "too many frames that must be answered with a reset");
      return;
    }
    this.#output.push(u32Frame(FrameType.RstStream, id, code));
    this.#schedule();
  }

  #onReset(payload: Buffer): void {
    if (payload.length !== 4) {
      this.#fatal(H2Error.FrameSizeError, "RST_STREAM is not 4 bytes");
      return;
    }
    if (this.#id === 0 || this.#id > this.#lastId) {
      this.#fatal(H2Error.ProtocolError, "RST_STREAM on an idle stream");
      return;
    }
    const stream = this.#streams.get(this.#id);
    if (stream === undefined) {
      if (!this.#control.take()) this.#fatal(H2Error.EnhanceYourCalm, "too many stray resets");
      return;
    }
    if (!stream.isAnswered && !this.#resets.take()) {
      this.#fatal(H2Error.EnhanceYourCalm, "too many resets before an answer");
      return;
    }
    this.#closeStream(stream);
  }

  // ── connection frames ───────────────────────────────────────────────────────────────────────────────────────────

  #onWindowUpdate(payload: Buffer): void {
    if (payload.length !== 4) {
      this.#fatal(H2Error.FrameSizeError, "WINDOW_UPDATE is not 4 bytes");
      return;
    }
    const by = payload.readUInt32BE(0) & 0x7fffffff;
    if (this.#id > this.#lastId) {
      this.#fatal(H2Error.ProtocolError, "WINDOW_UPDATE on an idle stream");
    } else if (this.#id === 0) {
      if (by === 0) this.#fatal(H2Error.ProtocolError, "WINDOW_UPDATE by 0");
      else if (this.#sendWindow + by > WINDOW_MAX) {
        this.#fatal(H2Error.FlowControlError, "connection window overflows");
      } else {
        this.#sendWindow += by;
        this.#pumpBlocked();
      }
    } else {
      const stream = this.#streams.get(this.#id);
      if (stream === undefined) return; // an update that crossed the end of its stream
      if (by === 0 || stream.sendWindow + by > WINDOW_MAX) {
        this.#resetStream(this.#id, by === 0 ? H2Error.ProtocolError : H2Error.FlowControlError);
        this.#closeStream(stream);
        return;
      }
      stream.sendWindow += by;
      if (stream.queuedBytes > 0) this.pump(stream);
    }
  }

  #onSettings(payload: Buffer): void {
    if (this.#id !== 0) {
      this.#fatal(H2Error.ProtocolError, "SETTINGS on a stream");
      return;
    }
    if ((this.#flags & Flag.Ack) !== 0) {
      if (payload.length > 0) this.#fatal(H2Error.FrameSizeError, "SETTINGS ack with a payload");
      return;
    }
    if (payload.length % 6 !== 0) {
      this.#fatal(H2Error.FrameSizeError, "SETTINGS is not a multiple of 6 bytes");
      return;
    }
    if (!this.#control.take()) {
      this.#fatal(H2Error.EnhanceYourCalm, "too many SETTINGS");
      return;
    }
    for (let i = 0; i < payload.length; i += 6) {
      if (!this.#applySetting(payload.readUInt16BE(i), payload.readUInt32BE(i + 2))) return;
    }
    this.#output.push(SETTINGS_ACK);
    this.#pumpBlocked();
  }

  #applySetting(id: number, value: number): boolean {
    switch (id) {
      case Setting.EnablePush:
        if (value <= 1) return true;
        this.#fatal(H2Error.ProtocolError, "ENABLE_PUSH is not 0 or 1");
        return false;
      case Setting.InitialWindowSize: {
        if (value > WINDOW_MAX) {
          this.#fatal(H2Error.FlowControlError, "INITIAL_WINDOW_SIZE is too large");
          return false;
        }
        const by = value - this.#peerStreamWindow;
        this.#peerStreamWindow = value;
        for (const stream of this.#streams.values()) stream.sendWindow += by;
        return true;
      }
      case Setting.MaxFrameSize:
        if (value < FRAME_BYTES_MAX || value > 0xffffff) {
          this.#fatal(H2Error.ProtocolError, "MAX_FRAME_SIZE is out of range");
          return false;
        }
        this.#peerFrameBytes = Math.min(value, 4 * FRAME_BYTES_MAX);
        return true;
      default:
        return true;
    }
  }

  #onPing(payload: Buffer): void {
    if (this.#id !== 0 || payload.length !== 8) {
      this.#fatal(
        this.#id === 0 ? H2Error.FrameSizeError : H2Error.ProtocolError,
        "PING is malformed",
      );
      return;
    }
    if ((this.#flags & Flag.Ack) !== 0) {
      if (this.#isDraining && payload.equals(DRAIN_PING)) this.#sendLastId();
      return;
    }
    if (!this.#control.take()) {
      this.#fatal(H2Error.EnhanceYourCalm, "too many PINGs");
      return;
    }
    this.#output.push(frame(FrameType.Ping, Flag.Ack, 0, payload));
  }

  #onGoaway(payload: Buffer): void {
    if (this.#id !== 0 || payload.length < 8) {
      this.#fatal(H2Error.ProtocolError, "GOAWAY is malformed");
    }
    // The peer opens no more streams; open ones go on, and it closes the connection when they are done.
  }

  #onPriority(payload: Buffer): void {
    if (this.#id === 0) this.#fatal(H2Error.ProtocolError, "PRIORITY on stream 0");
    else if (payload.length !== 5) this.#resetStream(this.#id, H2Error.FrameSizeError);
    else if ((payload.readUInt32BE(0) & 0x7fffffff) === this.#id) {
      this.#resetStream(this.#id, H2Error.ProtocolError);
    } else if (!this.#control.take()) {
      this.#fatal(H2Error.EnhanceYourCalm, "too many PRIORITY frames");
    }
  }

  // ── end of the connection ───────────────────────────────────────────────────────────────────────────────────────

  #fatal(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#options.stats.sessionErrors++;
    this.#options.onError(new Error(reason));
    this.#output.push(u32Frame(FrameType.Goaway, 0, this.#lastId, code));
    this.#output.flush();
    this.#isClosed = true;
    this.#socket.end();
    this.#socket.destroySoon();
    this.#closeAllStreams();
  }

  #onSocketClosed(): void {
    this.#isClosed = true;
    this.#closeAllStreams();
    this.#options.onClosed(this);
  }

  #closeAllStreams(): void {
    for (const stream of [...this.#streams.values()]) this.#closeStream(stream);
  }
}

const IGNORE: GrpcStreamHandler = { data() {}, halfClose() {}, closed() {} };
