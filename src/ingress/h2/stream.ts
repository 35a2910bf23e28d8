/**
 * One gRPC exchange on a connection: its state, and what waits to be sent.
 *
 *   open ──END_STREAM in──▶ half closed (remote) ──END_STREAM out──▶ closed
 *     │                                                                ▲
 *     └──END_STREAM out──▶ half closed (local) ──END_STREAM in─────────┤
 *     └──RST_STREAM of either side, or the end of the connection───────┘
 *
 * `isEnding` comes before END_STREAM out: trailers wait behind the queue.
 * @module
 */
import type { GrpcStream, GrpcStreamHandler } from "../transport.ts";
import { RESPONSE_HEAD, TRAILERS_OK, trailers } from "./hpack.ts";
import { h2Limits } from "./limits.ts";

/** What a stream needs of its connection. */
export interface StreamOwner {
  /** Sends the head of the response. */
  sendHead(stream: H2Stream, block: Buffer): void;
  /** Takes segments into the queue and sends what is allowed. */
  send(stream: H2Stream, segments: readonly Uint8Array[], byteLength: number): void;
  /** Sends what is allowed of the queue, then the trailers. */
  pump(stream: H2Stream): void;
}

/**
 * The queue of all streams that have nothing to send; nothing is ever put into it. One of its own for each would be old when
 * its next chunk comes, and what is put into an old one that is dead already lives until the next full collection.
 */
export const EMPTY_QUEUE: Uint8Array[] = [];

export class H2Stream implements GrpcStream {
  readonly id: number;
  readonly encoding: string;
  readonly #owner: StreamOwner;
  handler: GrpcStreamHandler = NOBODY;
  /** Bytes that the peer lets us send; below 0 when it has shrunk its windows. */
  sendWindow: number;
  /** Bytes received and not granted again. */
  consumed = 0;
  /** All bytes received. */
  receivedBytes = 0;
  /** Bytes the peer may still send. */
  receiveWindow: number = h2Limits.streamWindowBytes;
  /** Bytes that a declared content-length still promises; -1 = none was declared. */
  bodyLeft: number;
  /** The head of the response has been sent. */
  isAnswered = false;
  /** We are done: end or fail was called. */
  isEnding = false;
  /** END_STREAM has been sent. */
  isSent = false;
  isRemoteClosed = false;
  isClosed = false;
  queue: Uint8Array[] = EMPTY_QUEUE;
  queuedBytes = 0;
  /** Time for which the peer has taken nothing of it; counted in sweeps. */
  stalledMs = 0;
  /** Trailers that follow the queue. */
  trailers: Buffer | null = null;

  constructor(
    owner: StreamOwner,
    id: number,
    encoding: string,
    bodyBytes: number,
    sendWindow: number,
  ) {
    this.#owner = owner;
    this.id = id;
    this.encoding = encoding;
    this.bodyLeft = bodyBytes;
    this.sendWindow = sendWindow;
  }

  write(segments: readonly Uint8Array[], byteLength: number): void {
    if (this.isEnding || this.isClosed) return;
    if (!this.isAnswered) {
      this.isAnswered = true;
      this.#owner.sendHead(this, RESPONSE_HEAD);
    }
    this.#owner.send(this, segments, byteLength);
  }

  end(): void {
    this.#finish(TRAILERS_OK);
  }

  fail(status: number, message: string): void {
    this.#finish(trailers(status, message));
  }

  /** Answers as plain HTTP does: a head, a body, and no trailers. */
  endPlain(head: Buffer, body: Uint8Array): void {
    if (this.isEnding || this.isClosed) return;
    this.isEnding = true;
    this.isAnswered = true;
    this.trailers = NO_TRAILERS;
    this.#owner.sendHead(this, head);
    this.#owner.send(this, [body], body.length);
  }

  #finish(block: Buffer): void {
    if (this.isEnding || this.isClosed) return;
    this.isEnding = true;
    // Trailers alone carry the head of the response too.
    this.trailers = this.isAnswered ? block : Buffer.concat([RESPONSE_HEAD, block]);
    this.isAnswered = true;
    this.#owner.pump(this);
  }
}

/** The end of a stream that has none: an empty DATA frame. */
const NO_TRAILERS: Buffer = Buffer.alloc(0);
/** Handler of streams that nobody takes. */
const NOBODY: GrpcStreamHandler = { data() {}, halfClose() {}, closed() {} };
