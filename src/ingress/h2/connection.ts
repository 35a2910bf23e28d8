/**
 * One HTTP/2 connection of a gRPC server: what frames mean for streams, settings and windows.
 *
 *   socket ──bytes──▶ FrameReader ──frames──▶ H2Connection ──data, halfClose, closed──▶ handlers
 *          ◀──bytes── Output ◀── Sender ◀──── H2Stream ◀────── write, end, fail ──────┘
 *
 *   open ──(drain)──▶ notice sent ──(round trip)──▶ last id sent ──(streams end)──▶ closed
 *     └── protocol error: GOAWAY │ the peer has ended │ the socket is gone ──────────▶ closed
 *
 * Once closed, nothing is read or written any more, and every handler has been told.
 *
 * A reset from the peer is how a gateway ends each exchange: it closes the stream and is not held against the peer once
 * we have answered; resets before any answer are counted, since they are what an attack is made of.
 * @module
 */
import type { Socket } from "node:net";
import { type AcceptStream, GrpcStatus } from "../transport.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import {
  Flag,
  FrameType,
  frame,
  H2Error,
  Setting,
  STREAM_ID_MAX,
  settingsFrame,
  u32Frame,
  WINDOW_MAX,
} from "./frames.ts";
import {
  HEADER_LIST_TOO_LARGE,
  HpackDecoder,
  HpackError,
  hpackLimits,
  type RequestHead,
} from "./hpack.ts";
import { HttpRefusal, METHOD_NOT_ALLOWED, UNSUPPORTED_MEDIA_TYPE } from "./http-refusal.ts";
import { type ExceededLimits, type H2LimitName, h2Limits } from "./limits.ts";
import { Patience } from "./patience.ts";
import { ResetIds } from "./reset-ids.ts";
import { Sender } from "./sender.ts";
import { H2Stream, type StreamOwner } from "./stream.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface ConnectionStats {
  streams: number;
  streamsTotal: number;
  sessionErrors: number;
  /** Bytes that wait in the queues of all streams of all connections. */
  unsentBytes: number;
  readonly exceeded: ExceededLimits;
}

export interface H2ConnectionOptions {
  readonly accept: AcceptStream;
  readonly stats: ConnectionStats;
  readonly onClosed: (connection: H2Connection) => void;
  readonly onError: (error: Error) => void;
  /** More waits to be sent, over all connections, than may. */
  readonly onUnsentBytes: () => void;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);
const SETTINGS = settingsFrame([
  [Setting.MaxConcurrentStreams, h2Limits.streamsPerConnectionMax],
  [Setting.InitialWindowSize, h2Limits.streamWindowBytes],
  [Setting.MaxHeaderListSize, hpackLimits.headerListBytesMax],
]);
const SETTINGS_ACK = frame(FrameType.Settings, Flag.Ack, 0, NO_BYTES);
/** What SETTINGS can not do: the connection's window starts at 65,535 (RFC 9113 §6.9.2). */
const FIRST_GRANT_BYTES = h2Limits.connectionWindowBytes - 65_535;
/** With or without a suffix or parameters; `application/grpc-web` is another protocol. */
const GRPC_CONTENT_TYPE = /^application\/grpc(?:[+;]|$)/i;
const PING_BYTES = 8;
const ALIVE_PING = frame(FrameType.Ping, 0, 0, Buffer.from("alive?  ", "latin1"));
const DRAIN_PING_BYTES = Buffer.from("drain-ok", "latin1");
const DRAIN_PING = frame(FrameType.Ping, 0, 0, DRAIN_PING_BYTES);
const UNKNOWN_METHOD_CHARS_MAX = 100;
/** GOAWAY has at least the last id and the code. */
const GOAWAY_BYTES_MIN = 8;

export class H2Connection implements FrameSink, StreamOwner {
  readonly #socket: Socket;
  readonly #options: H2ConnectionOptions;
  readonly #reader: FrameReader;
  readonly #sender: Sender;
  readonly #hpack = new HpackDecoder();
  readonly #streams = new Map<number, H2Stream>();
  readonly #resetIds = new ResetIds(h2Limits.resetIdsMax);
  readonly #resets = new TokenBucket(h2Limits.resetBucket, h2Limits.resetRefillPerSecond);
  readonly #control = new TokenBucket(h2Limits.controlBucket, h2Limits.controlRefillPerSecond);
  /** Owner of the DATA frame being read; null when nobody wants it. */
  #inbound: H2Stream | null = null;
  /** Its bytes without padding, as far as it has come. */
  #inboundBytes = 0;
  /** Bytes the peer may still send on all streams, and those received and not granted again. */
  #receiveWindow: number = h2Limits.connectionWindowBytes;
  #consumed = 0;
  /** Highest stream id seen, and highest that is served. */
  #lastId = 0;
  #acceptUpTo = STREAM_ID_MAX;
  #isGreeted = false;
  #isSettingsAcked = false;
  // For the next sweep.
  readonly #patience = new Patience();
  #hasReceived = false;
  #lastIdSwept = 0;
  /** Time for which the kernel has not emptied what waits for it. */
  #backlogMs = 0;
  #isReading = false;
  #isDraining = false;
  #isClosed = false;
  #isFlushScheduled = false;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: H2ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new FrameReader(this);
    this.#sender = new Sender(socket, options.stats);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#onBytes(chunk));
    socket.on("drain", () => this.#onSocketDrained());
    socket.on("error", (error: Error) => options.onError(error));
    socket.on("end", () => this.#close());
    socket.on("close", () => this.#onSocketClosed());
    this.#sender.frame(SETTINGS);
    this.#sender.u32(FrameType.WindowUpdate, 0, FIRST_GRANT_BYTES);
    this.#sender.flush();
  }

  // ── life ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * First phase: a notice that no peer takes for a refusal; the second follows when its ping has come back.
   *
   * @param handOver refuses what has had no answer, as far as a peer can be expected to send it again
   */
  drain(handOver = false): void {
    if (this.#isDraining || this.#isClosed) return;
    this.#isDraining = true;
    this.#sender.frame(u32Frame(FrameType.Goaway, 0, STREAM_ID_MAX, H2Error.NoError));
    this.#sender.frame(DRAIN_PING);
    if (handOver) this.#handOver();
    this.#schedule();
  }

  #handOver(): void {
    for (const stream of this.#streams.values()) {
      if (stream.isAnswered || stream.receivedBytes > h2Limits.handOverBytesMax) continue;
      this.#sendReset(stream.id, H2Error.RefusedStream);
      this.#closeStream(stream);
    }
  }

  /** Lets the owners answer what is open, sends that, and ends the connection. */
  expire(): void {
    if (this.#isClosed) return;
    for (const { handler } of this.#streams.values()) handler.expire?.();
    this.#close();
  }

  #onDrainNoticed(): void {
    if (this.#acceptUpTo !== STREAM_ID_MAX) return;
    this.#acceptUpTo = this.#lastId;
    this.#sender.frame(u32Frame(FrameType.Goaway, 0, this.#lastId, H2Error.NoError));
    this.#schedule();
    this.#closeIfDrained();
  }

  #closeIfDrained(): void {
    if (this.#acceptUpTo === STREAM_ID_MAX || this.#streams.size > 0) return;
    this.#endSocket();
  }

  destroy(): void {
    this.#isClosed = true;
    this.#reader.stop();
    this.#socket.destroy();
  }

  /** Bytes of this connection that wait for its peer. */
  get unsentBytes(): number {
    return this.#sender.unsentBytes;
  }

  /** Closes the connection for what waits for its peer. */
  shed(): void {
    this.#exceed("unsent-bytes", H2Error.EnhanceYourCalm, "too many bytes wait to be sent");
    this.#schedule();
  }

  /** To be called every `sweepMs`: does what only the passing of time asks for. */
  sweep(): void {
    if (this.#isClosed) return;
    const due = this.#patience.sweep({
      isGreeted: this.#isGreeted,
      isSettingsAcked: this.#isSettingsAcked,
      hasReceived: this.#hasReceived,
      hasServed: this.#streams.size > 0 || this.#lastId !== this.#lastIdSwept,
    });
    this.#hasReceived = false;
    this.#lastIdSwept = this.#lastId;
    switch (due) {
      case "handshake":
      case "settings-ack":
        this.#exceed(due, H2Error.SettingsTimeout, "SETTINGS did not come, or no answer to ours");
        return;
      case "keep-alive":
        this.#giveUp(due);
        return;
      case "ping":
        this.#sender.frame(ALIVE_PING);
        this.#schedule();
        break;
      case "idle":
        this.#options.stats.exceeded.idle++;
        this.drain();
        break;
      case "nothing":
        break;
    }
    this.#sweepStalled();
  }

  #sweepStalled(): void {
    const { stallMs, sweepMs } = h2Limits;
    if (this.#sender.backlogBytes === 0) this.#backlogMs = 0;
    else this.#backlogMs += sweepMs;
    if (this.#backlogMs > stallMs) {
      this.#giveUp("stall");
      return;
    }
    if (this.#sender.unsentBytes === 0) return;
    for (const stream of this.#streams.values()) {
      if (stream.queuedBytes === 0) continue;
      stream.stalledMs += sweepMs;
      if (stream.stalledMs <= stallMs) continue;
      this.#options.stats.exceeded.stall++;
      this.#sendReset(stream.id, H2Error.EnhanceYourCalm);
      this.#closeStream(stream);
    }
    this.#schedule();
  }

  /** Nobody is there to be told. */
  #giveUp(limit: H2LimitName): void {
    this.#options.stats.exceeded[limit]++;
    this.#options.stats.sessionErrors++;
    this.#options.onError(new Error(`the peer is gone: ${limit}`));
    this.destroy();
  }

  /** Ends the connection for what its peer has done beyond a limit. */
  #exceed(limit: H2LimitName, code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#options.stats.exceeded[limit]++;
    this.#fail(code, reason);
  }

  /** @returns false when the peer has asked for too much, and the connection has ended for it */
  #afford(limit: H2LimitName, tokens = 1): boolean {
    if (this.#control.take(tokens)) return true;
    this.#exceed(limit, H2Error.EnhanceYourCalm, `too much asked of: ${limit}`);
    return false;
  }

  #fail(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#options.stats.sessionErrors++;
    this.#options.onError(new Error(reason));
    const lastId = Math.min(this.#lastId, this.#acceptUpTo);
    this.#sender.frame(u32Frame(FrameType.Goaway, 0, lastId, code));
    this.#close();
    // What the peer goes on to send stays in the kernel: to throw it away would cost a core while the peer has its time.
    this.#socket.pause();
  }

  /**
   * Sends what is ready and ends our side. Bytes that still come are thrown away until the peer ends its side: to close
   * on unread bytes makes the kernel send a reset, which can destroy the GOAWAY on its way.
   */
  #endSocket(): void {
    this.#sender.flush();
    this.#isClosed = true;
    this.#reader.stop();
    this.#socket.end();
    this.#socket.resume(); // no "drain" comes after the end
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#endSocket();
    this.#lingerTimer = setTimeout(() => this.#socket.destroy(), h2Limits.lingerMs);
    this.#closeAllStreams();
  }

  #onSocketClosed(): void {
    clearTimeout(this.#lingerTimer);
    this.#isClosed = true;
    this.#reader.stop();
    this.#closeAllStreams();
    this.#options.onClosed(this);
  }

  #closeAllStreams(): void {
    for (const stream of this.#streams.values()) this.#closeStream(stream);
  }

  // ── socket ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #onBytes(chunk: Buffer): void {
    this.#hasReceived = true;
    this.#isReading = true;
    try {
      this.#reader.read(chunk);
    } finally {
      this.#isReading = false;
    }
    if (this.#isClosed) return;
    this.#sender.flush();
    if (this.#sender.backlogBytes > h2Limits.backlogBytesToPause) this.#socket.pause();
  }

  #onSocketDrained(): void {
    if (this.#isClosed) return;
    this.#backlogMs = 0;
    // In a turn of its own: a kernel that takes megabytes at once would keep the other connections waiting for all of them.
    if (this.#sender.blocked.size > 0) setImmediate(this.#pumpOn);
    else this.#socket.resume();
  }

  readonly #pumpOn = (): void => {
    if (this.#isClosed) return;
    this.#pumpBlocked();
    this.#sender.flush();
    this.#socket.resume();
  };

  /** One write per turn: at the end of the read that caused it, else at the end of the current call chain. */
  #schedule(): void {
    if (this.#isReading || this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    queueMicrotask(this.#flushScheduled);
  }

  readonly #flushScheduled = (): void => {
    this.#isFlushScheduled = false;
    if (!this.#isClosed) this.#sender.flush();
  };

  // ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────

  sendHead(stream: H2Stream, block: Buffer): void {
    this.#sender.headers(stream.id, block, false);
    this.#schedule();
  }

  send(stream: H2Stream, segments: readonly Uint8Array[], byteLength: number): void {
    this.#sender.enqueue(stream, segments, byteLength);
    this.pump(stream);
    if (this.#options.stats.unsentBytes > h2Limits.unsentBytesMax) this.#options.onUnsentBytes();
  }

  pump(stream: H2Stream): void {
    if (this.#isClosed) return;
    this.#sender.pump(stream);
    if (stream.isSent && stream.isRemoteClosed) this.#closeStream(stream);
    else this.#grant(stream);
    this.#grantConnection();
    this.#schedule();
  }

  #pumpBlocked(): void {
    const { blocked } = this.#sender;
    if (blocked.size === 0) return;
    for (const stream of blocked) {
      if (!this.#sender.hasRoom) return;
      this.pump(stream);
    }
  }

  /** Lets the peer send more on a stream once half of its window is used up and our own replies are not stuck. */
  #grant(stream: H2Stream): void {
    if (stream.consumed < h2Limits.streamWindowBytes / 2 || stream.isRemoteClosed) return;
    if (stream.queuedBytes > h2Limits.unsentBytesPerStreamMax) return;
    this.#sender.u32(FrameType.WindowUpdate, stream.id, stream.consumed);
    stream.receiveWindow += stream.consumed;
    stream.consumed = 0;
  }

  /** The same for the connection. */
  #grantConnection(): void {
    if (this.#consumed < h2Limits.connectionWindowBytes / 2) return;
    if (this.#sender.unsentBytes > h2Limits.unsentBytesPerConnectionMax) return;
    this.#sender.u32(FrameType.WindowUpdate, 0, this.#consumed);
    this.#receiveWindow += this.#consumed;
    this.#consumed = 0;
  }

  // ── DATA ────────────────────────────────────────────────────────────────────────────────────────────────────────

  onDataStart(id: number, length: number): void {
    if (this.#isIdle(id)) {
      this.#fail(H2Error.ProtocolError, "DATA on an idle stream");
      return;
    }
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) {
      this.#fail(H2Error.FlowControlError, "connection window is exceeded");
      return;
    }
    this.#inbound = null;
    this.#inboundBytes = 0;
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (!this.#resetIds.has(id)) this.#reset(id, H2Error.StreamClosed);
    } else if (stream.isRemoteClosed) {
      this.#abort(stream, H2Error.StreamClosed);
    } else if (length > stream.receiveWindow) {
      this.#abort(stream, H2Error.FlowControlError);
    } else {
      stream.receiveWindow -= length;
      stream.receivedBytes += length;
      this.#inbound = stream;
    }
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#inboundBytes += end - start;
    const stream = this.#inbound;
    if (stream === null || stream.isClosed) return;
    if (stream.bodyLeft >= 0) {
      if (end - start > stream.bodyLeft) {
        this.#abort(stream, H2Error.ProtocolError);
        return;
      }
      stream.bodyLeft -= end - start;
    }
    stream.handler.data(bytes.subarray(start, end));
  }

  onDataEnd(_id: number, length: number, flags: number): void {
    const stream = this.#inbound;
    this.#inbound = null;
    const isLast = (flags & Flag.EndStream) !== 0;
    if (this.#inboundBytes === 0 && !isLast && !this.#afford("empty-data")) return;
    this.#consumed += length;
    this.#grantConnection();
    if (stream === null || stream.isClosed) return;
    stream.consumed += length;
    if (isLast) this.#remoteEnd(stream);
    else this.#grant(stream);
  }

  // ── header blocks ───────────────────────────────────────────────────────────────────────────────────────────────

  onHeaders(id: number, flags: number, bytes: Buffer, start: number, end: number): void {
    let head: RequestHead | typeof HEADER_LIST_TOO_LARGE;
    try {
      // Before anything else: blocks of refused streams change the table too.
      head = this.#hpack.decode(bytes, start, end);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      this.#fail(H2Error.CompressionError, error.message);
      return;
    }
    if (head === HEADER_LIST_TOO_LARGE && !this.#afford("header-list", h2Limits.headerListTokens)) {
      return;
    }
    const isLast = (flags & Flag.EndStream) !== 0;
    const known = this.#streams.get(id);
    if (known !== undefined) {
      this.#onTrailers(known, head, isLast);
    } else if (id > this.#lastId) {
      this.#lastId = id;
      this.#onRequest(id, head, isLast);
    } else if (!this.#resetIds.has(id)) {
      this.#fail(H2Error.StreamClosed, "HEADERS on a closed stream");
    }
  }

  #onTrailers(
    stream: H2Stream,
    head: RequestHead | typeof HEADER_LIST_TOO_LARGE,
    isLast: boolean,
  ): void {
    if (stream.isRemoteClosed) {
      this.#fail(H2Error.StreamClosed, "HEADERS after the end of a stream");
      return;
    }
    const isMalformed = head !== HEADER_LIST_TOO_LARGE && (head.hasPseudo || !head.isWellFormed);
    if (isMalformed || !isLast) this.#abort(stream, H2Error.ProtocolError);
    else this.#remoteEnd(stream);
  }

  #onRequest(id: number, head: RequestHead | typeof HEADER_LIST_TOO_LARGE, isLast: boolean): void {
    const { exceeded } = this.#options.stats;
    if (id > this.#acceptUpTo) {
      this.#reset(id, H2Error.RefusedStream);
    } else if (this.#streams.size >= h2Limits.streamsPerConnectionMax) {
      exceeded.streams++;
      this.#reset(id, H2Error.RefusedStream);
    } else if (head === HEADER_LIST_TOO_LARGE) {
      exceeded["header-list"]++;
      this.#sendReset(id, H2Error.EnhanceYourCalm); // paid for when it was decoded
    } else if (!head.isWellFormed || head.method === "" || head.path === "" || head.scheme === "") {
      this.#reset(id, H2Error.ProtocolError);
    } else {
      this.#open(id, head, isLast);
    }
  }

  #open(id: number, head: RequestHead, isLast: boolean): void {
    const sender = this.#sender;
    const stream = new H2Stream(
      this,
      id,
      head.encoding || "identity",
      head.contentLength,
      sender.peer.streamWindowBytes,
    );
    // Known before its owner sees it: what it does at once must find everything in place.
    this.#streams.set(id, stream);
    this.#options.stats.streams++;
    this.#options.stats.streamsTotal++;
    sender.updateCredit += h2Limits.windowUpdatesPerStream;
    if (head.method !== "POST") {
      this.#refuse(stream, METHOD_NOT_ALLOWED);
    } else if (GRPC_CONTENT_TYPE.test(head.contentType)) {
      this.#accept(head.path, stream);
    } else {
      this.#refuse(stream, UNSUPPORTED_MEDIA_TYPE);
    }
    if (isLast && !stream.isClosed) this.#remoteEnd(stream);
  }

  /** Answers that cost us and nobody needs have a price, whoever resets them then. */
  #refuse(stream: H2Stream, head: Buffer): void {
    if (this.#afford("refusals")) stream.handler = new HttpRefusal(stream, head);
  }

  #accept(path: string, stream: H2Stream): void {
    const handler = this.#options.accept(path, stream);
    if (handler !== null) stream.handler = handler;
    else if (this.#afford("refusals")) stream.fail(GrpcStatus.Unimplemented, unknownMethod(path));
  }

  // ── stream ends ─────────────────────────────────────────────────────────────────────────────────────────────────

  #remoteEnd(stream: H2Stream): void {
    if (stream.bodyLeft > 0) {
      this.#abort(stream, H2Error.ProtocolError);
      return;
    }
    stream.isRemoteClosed = true;
    stream.handler.halfClose();
    if (stream.isSent) this.#closeStream(stream);
  }

  #closeStream(stream: H2Stream): void {
    if (stream.isClosed) return;
    stream.isClosed = true;
    this.#sender.drop(stream);
    this.#streams.delete(stream.id);
    this.#options.stats.streams--;
    stream.handler.closed();
    if (this.#isClosed) return;
    this.#grantConnection(); // its unsent bytes may have been what held the grant back
    if (this.#isDraining) this.#closeIfDrained();
  }

  #abort(stream: H2Stream, code: number): void {
    this.#reset(stream.id, code);
    this.#closeStream(stream);
  }

  /** A peer can make us send resets as it can send its own: they have a price too. */
  #reset(id: number, code: number): void {
    if (this.#afford("forced-resets")) this.#sendReset(id, code);
  }

  #sendReset(id: number, code: number): void {
    this.#resetIds.add(id);
    this.#sender.u32(FrameType.RstStream, id, code);
  }

  /** A stream that nobody has opened; those of even ids would be ours, and we open none. */
  #isIdle(id: number): boolean {
    return id > this.#lastId || (id & 1) === 0;
  }

  // ── other frames ────────────────────────────────────────────────────────────────────────────────────────────────

  onBroken(code: number, reason: string): void {
    // The one bound that the layer of frames keeps.
    if (code === H2Error.EnhanceYourCalm) this.#exceed("header-block", code, reason);
    else this.#fail(code, reason);
  }

  onFrame(
    type: number,
    flags: number,
    id: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    switch (type) {
      case FrameType.RstStream:
        this.#onReset(id, end - start);
        break;
      case FrameType.WindowUpdate:
        this.#onWindowUpdate(id, bytes, start, end - start);
        break;
      case FrameType.Settings:
        this.#onSettings(flags, id, bytes, start, end);
        break;
      case FrameType.Ping:
        this.#onPing(flags, id, bytes, start, end - start);
        break;
      case FrameType.Goaway:
        // The peer opens no more streams; open ones go on, and it closes the connection when they are done.
        if (id !== 0) this.#fail(H2Error.ProtocolError, "GOAWAY on a stream");
        else if (end - start < GOAWAY_BYTES_MIN) {
          this.#fail(H2Error.FrameSizeError, "GOAWAY is too short");
        } else {
          this.#afford("other-frame");
        }
        break;
      case FrameType.Priority:
        this.#onPriority(id, bytes, start, end - start);
        break;
      case FrameType.PushPromise:
        this.#fail(H2Error.ProtocolError, "PUSH_PROMISE from a client");
        break;
      default:
        this.#afford("other-frame");
    }
  }

  #onReset(id: number, length: number): void {
    if (length !== 4) {
      this.#fail(H2Error.FrameSizeError, "RST_STREAM is not 4 bytes");
      return;
    }
    if (this.#isIdle(id)) {
      this.#fail(H2Error.ProtocolError, "RST_STREAM on an idle stream");
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#afford("stray-resets");
    } else if (!stream.isAnswered && !this.#resets.take()) {
      this.#exceed("resets", H2Error.EnhanceYourCalm, "too many resets before an answer");
    } else {
      this.#closeStream(stream);
    }
  }

  #onWindowUpdate(id: number, bytes: Buffer, start: number, length: number): void {
    if (length !== 4) {
      this.#fail(H2Error.FrameSizeError, "WINDOW_UPDATE is not 4 bytes");
      return;
    }
    const sender = this.#sender;
    if (sender.updateCredit > 0) sender.updateCredit--;
    else if (!this.#afford("window-update")) return;
    const by = bytes.readUInt32BE(start) & 0x7fffffff;
    if (id === 0) {
      if (by === 0) this.#fail(H2Error.ProtocolError, "WINDOW_UPDATE by 0");
      else if (!sender.widen(by)) {
        this.#fail(H2Error.FlowControlError, "connection window overflows");
      } else {
        this.#pumpBlocked();
      }
    } else if (this.#isIdle(id)) {
      this.#fail(H2Error.ProtocolError, "WINDOW_UPDATE on an idle stream");
    } else {
      const stream = this.#streams.get(id);
      if (stream === undefined) return; // an update that crossed the end of its stream
      if (by === 0) this.#abort(stream, H2Error.ProtocolError);
      else if (stream.sendWindow + by > WINDOW_MAX) this.#abort(stream, H2Error.FlowControlError);
      else {
        stream.sendWindow += by;
        if (stream.queuedBytes > 0) this.pump(stream);
      }
    }
  }

  #onSettings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) {
      this.#fail(H2Error.ProtocolError, "SETTINGS on a stream");
      return;
    }
    if ((flags & Flag.Ack) !== 0) {
      if (end > start) this.#fail(H2Error.FrameSizeError, "SETTINGS ack with a payload");
      else if (this.#isSettingsAcked) this.#afford("settings");
      else this.#isSettingsAcked = true;
      return;
    }
    if (!this.#afford("settings")) return;
    this.#isGreeted = true;
    const { peer } = this.#sender;
    const oldWindow = peer.streamWindowBytes;
    const fault = peer.read(bytes, start, end);
    if (fault !== null) {
      this.#fail(fault.code, fault.reason);
      return;
    }
    this.#sender.frame(SETTINGS_ACK);
    // Once for the frame: it can hold 2,730 values, and each change walks all streams.
    if (peer.streamWindowBytes === oldWindow) return;
    const tokens = this.#streams.size / h2Limits.streamsMovedPerToken;
    if (this.#afford("settings", tokens)) {
      this.#moveStreamWindows(peer.streamWindowBytes - oldWindow);
    }
  }

  /** Open streams follow the initial window, even below 0 (RFC 9113 §6.9.2). */
  #moveStreamWindows(by: number): void {
    for (const stream of this.#streams.values()) {
      stream.sendWindow += by;
      if (stream.sendWindow > WINDOW_MAX) {
        this.#fail(H2Error.FlowControlError, "a stream's window overflows by SETTINGS");
        return;
      }
      if (stream.queuedBytes > 0) this.pump(stream);
    }
  }

  #onPing(flags: number, id: number, bytes: Buffer, start: number, length: number): void {
    if (id !== 0) {
      this.#fail(H2Error.ProtocolError, "PING on a stream");
    } else if (length !== PING_BYTES) {
      this.#fail(H2Error.FrameSizeError, "PING is not 8 bytes");
    } else if ((flags & Flag.Ack) !== 0) {
      const isOurs = DRAIN_PING_BYTES.equals(bytes.subarray(start, start + PING_BYTES));
      if (this.#afford("ping") && this.#isDraining && isOurs) this.#onDrainNoticed();
    } else if (this.#afford("ping")) {
      this.#sender.pingAck(bytes, start);
    }
  }

  /** Priorities are not used (RFC 9113 §5.3.2), but their frames have a form and a price. */
  #onPriority(id: number, bytes: Buffer, start: number, length: number): void {
    if (id === 0) {
      this.#fail(H2Error.ProtocolError, "PRIORITY on stream 0");
    } else if (length !== 5) {
      const stream = this.#streams.get(id);
      if (stream !== undefined) this.#abort(stream, H2Error.FrameSizeError);
      else this.#fail(H2Error.FrameSizeError, "PRIORITY is not 5 bytes");
    } else if ((bytes.readUInt32BE(start) & STREAM_ID_MAX) === id) {
      this.#fail(H2Error.ProtocolError, "a stream depends on itself");
    } else {
      this.#afford("priority");
    }
  }
}

/** One byte of a request can name a long path, which grows when it is encoded. */
function unknownMethod(path: string): string {
  return `unknown method ${path.slice(0, UNKNOWN_METHOD_CHARS_MAX)}`;
}
