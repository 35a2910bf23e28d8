/**
 * An HTTP/2 connection without a network: a socket whose other end is the test, so that what a peer sends is handled before
 * the call returns, and the kernel takes bytes when the test says so.
 * @module
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { type ConnectionStats, H2Connection } from "../../src/ingress/h2/connection.ts";
import { PREFACE, settingsFrame } from "../../src/ingress/h2/frames.ts";
import { noExceededLimits } from "../../src/ingress/h2/limits.ts";
import type { GrpcStream, GrpcStreamHandler } from "../../src/ingress/transport.ts";
import { FrameLog } from "./h2-peer.ts";

type Done = (error?: Error | null) => void;

export class MemorySocket extends Duplex {
  /** What the kernel has taken, one piece for each system call. */
  readonly calls: Buffer[] = [];
  /** The kernel takes nothing. */
  isStalled = false;
  readonly #onCall: (bytes: Buffer) => void;
  #held: { chunks: Uint8Array[]; done: Done } | null = null;

  constructor(onCall: (bytes: Buffer) => void = () => {}) {
    super({ allowHalfOpen: false });
    this.#onCall = onCall;
  }

  /** As the parameter type of what runs on sockets; it has all that is used of one. */
  get asSocket(): Socket {
    return this as unknown as Socket;
  }

  setNoDelay(): void {}

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#take([chunk], done);
  }

  override _writev(writes: { chunk: Uint8Array }[], done: Done): void {
    this.#take(
      writes.map(({ chunk }) => chunk),
      done,
    );
  }

  /** The kernel takes what waits, and whatever comes. Bytes are read only now: who changed them meanwhile is caught. */
  release(): void {
    this.isStalled = false;
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#take(held.chunks, held.done);
  }

  #take(chunks: Uint8Array[], done: Done): void {
    if (this.isStalled) {
      this.#held = { chunks, done };
      return;
    }
    const bytes = Buffer.concat(chunks);
    this.calls.push(bytes);
    this.#onCall(bytes);
    done();
  }
}

/** An owner of a stream that keeps what it gets, and does what the test says. */
export class MemoryHandler implements GrpcStreamHandler {
  readonly path: string;
  readonly stream: GrpcStream;
  readonly chunks: Buffer[] = [];
  halfCloses = 0;
  closes = 0;
  onData: (chunk: Uint8Array) => void = () => {};
  onHalfClose: () => void = () => {};
  onClosed: () => void = () => {};
  onExpire: () => void = () => {};

  constructor(path: string, stream: GrpcStream) {
    this.path = path;
    this.stream = stream;
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(Buffer.from(chunk));
    this.onData(chunk);
  }

  halfClose(): void {
    this.halfCloses++;
    this.onHalfClose();
  }

  expire(): void {
    this.onExpire();
  }

  closed(): void {
    this.closes++;
    this.onClosed();
  }
}

export interface MemoryPeerOptions {
  /** What the peer sends after its preface; null = nothing at all. */
  readonly settings?: readonly (readonly [id: number, value: number])[] | null;
  /** Sees each stream first. @returns false to take it from no one */
  readonly onAccept?: (handler: MemoryHandler) => boolean | undefined;
}

/** The peer of a connection of ours, and what is told by the connection. */
export class MemoryPeer extends FrameLog {
  readonly socket = new MemorySocket((bytes) => this.read(bytes));
  readonly handlers: MemoryHandler[] = [];
  readonly errors: string[] = [];
  readonly stats: ConnectionStats = {
    streams: 0,
    streamsTotal: 0,
    sessionErrors: 0,
    unsentBytes: 0,
    exceeded: noExceededLimits(),
  };
  closes = 0;
  /** How often more waited to be sent, over all connections, than may. */
  overflows = 0;
  readonly connection: H2Connection;

  private constructor({ onAccept }: MemoryPeerOptions) {
    super();
    this.connection = new H2Connection(this.socket.asSocket, {
      accept: (path, stream) => {
        const handler = new MemoryHandler(path, stream);
        this.handlers.push(handler);
        return onAccept?.(handler) === false ? null : handler;
      },
      stats: this.stats,
      onClosed: () => {
        this.closes++;
      },
      onError: ({ message }) => this.errors.push(message),
      onUnsentBytes: () => {
        this.overflows++;
      },
    });
  }

  /** A connection that has begun to read. */
  static async open(options: MemoryPeerOptions = {}): Promise<MemoryPeer> {
    const peer = new MemoryPeer(options);
    await setImmediate();
    const { settings = [] } = options;
    if (settings !== null) peer.send(PREFACE, settingsFrame(settings));
    return peer;
  }

  /** Everything has been handled, and answered, when this returns. */
  send(...parts: readonly Uint8Array[]): void {
    this.socket.push(Buffer.concat(parts));
  }

  /** Waits for what the connection does on its own: a write outside of reading, the end of the socket. */
  async settle(): Promise<void> {
    const { calls } = this.socket;
    for (let seen = -1; seen !== calls.length; ) {
      seen = calls.length;
      await setImmediate();
      await setImmediate(); // a turn that sends can be caused by the one before
    }
  }

  /** Error code of the last GOAWAY; -1 = there was none. */
  get goawayCode(): number {
    const last = this.ofType(7).at(-1);
    return last === undefined ? -1 : last.payload.readUInt32BE(4);
  }

  /** Error codes of the resets of a stream. */
  resetsOf(id: number): number[] {
    return this.ofType(3)
      .filter((seen) => seen.id === id)
      .map(({ payload }) => payload.readUInt32BE());
  }
}
