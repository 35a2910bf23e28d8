/**
 * One HTTP/2 connection of a gateway that carries thousands of ext_proc exchanges for little: frames are made beforehand
 * (FrameTemplate), replies are only looked at (ReplyScan).
 *
 * It keeps to the server's windows and to what its own kernel takes. Of its own windows it widens only the connection's:
 * one exchange may be answered with STREAM_WINDOW_BYTES.
 * @module
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FrameReader, type FrameSink } from "../../src/ingress/h2/frame-reader.ts";
import {
  Flag,
  FrameType,
  frame,
  PREFACE,
  Setting,
  settingsFrame,
  u32Frame,
} from "../../src/ingress/h2/frames.ts";
import { EXT_PROC_HEAD } from "./ext-proc-head.ts";
import type { FrameTemplate } from "./frame-template.ts";
import { headers } from "./h2-frames.ts";
import { ReplyScan, type ScannedReply } from "./reply-scan.ts";

/** What the owner of an exchange is told. */
export interface ExchangeListener {
  reply(reply: ScannedReply): void;
  /** The last of what was to be sent is about to leave. */
  sent?(): void;
  /** The server, or the connection, has ended the exchange; not called after our own reset. */
  ended(reason: string): void;
}

const FIRST_WINDOW_BYTES = 65_535;
/** Windows as wide as Envoy's by default. */
const STREAM_WINDOW_BYTES = 16 << 20;
const CONNECTION_WINDOW_BYTES = 24 << 20;
const CANCEL = 8;
const READ_BYTES = 256 * 1024;
/** Bytes waiting in the socket at which no more are written: they would only be copies. */
const UNWRITTEN_BYTES_MAX = 256 * 1024;

interface Exchange {
  readonly scan: ReplyScan;
  readonly listener: ExchangeListener;
  readonly queue: FrameTemplate[];
  window: number;
}

export class ExtProcConnection {
  readonly #socket: Socket;
  readonly #exchanges = new Map<number, Exchange>();
  /** Ids of exchanges with something left to send. */
  readonly #waiting = new Set<number>();
  readonly #reader: FrameReader;
  #nextId = 1;
  #window = FIRST_WINDOW_BYTES;
  #streamWindow = FIRST_WINDOW_BYTES;
  #consumed = 0;
  #isGreeted = false;
  #onGreeted: () => void = () => {};
  #inbound: Exchange | null = null;
  #isClosed = false;

  private constructor(port: number) {
    const buffer = Buffer.alloc(READ_BYTES);
    this.#socket = connect({
      host: "127.0.0.1",
      port,
      noDelay: true,
      // One buffer for all reads: what is kept of a reply is copied out of it.
      onread: {
        buffer,
        callback: (length) => {
          this.#reader.read(buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.#reader = new FrameReader(this.#sink());
    this.#reader.read(PREFACE); // it is made for servers, which read one first
    this.#socket.on("drain", () => this.#pump());
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#endAll("the connection ended"));
  }

  /** Connects and waits for the server's settings. */
  static async open(port: number): Promise<ExtProcConnection> {
    const connection = new ExtProcConnection(port);
    const greeted = new Promise<void>((resolve) => {
      connection.#onGreeted = resolve;
    });
    await once(connection.#socket, "connect");
    connection.#write(PREFACE);
    connection.#write(settingsFrame([[Setting.InitialWindowSize, STREAM_WINDOW_BYTES]]));
    connection.#widen(CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES);
    await greeted;
    return connection;
  }

  /** Opens an exchange and sends these messages on it, in one system call when they are short. */
  open(listener: ExchangeListener, ...templates: readonly FrameTemplate[]): number {
    const id = this.#nextId;
    this.#nextId += 2;
    const scan = new ReplyScan((reply) => listener.reply(reply));
    this.#exchanges.set(id, { scan, listener, queue: [], window: this.#streamWindow });
    this.#socket.cork();
    this.#write(headers(id, 0, EXT_PROC_HEAD));
    this.send(id, ...templates);
    this.#socket.uncork();
    return id;
  }

  /** Sends messages on an open exchange as soon as the windows allow; on one that is over they are dropped. */
  send(id: number, ...templates: readonly FrameTemplate[]): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    exchange.queue.push(...templates);
    this.#waiting.add(id);
    this.#pump();
  }

  /** Ends an exchange the way Envoy ends each one. */
  reset(id: number): void {
    if (!this.#exchanges.delete(id)) return;
    this.#waiting.delete(id);
    this.#write(u32Frame(FrameType.RstStream, id, CANCEL));
  }

  close(): void {
    this.#isClosed = true;
    this.#exchanges.clear();
    this.#socket.destroy();
  }

  // ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #write(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#socket.write(bytes);
  }

  /** One message of each waiting exchange in turn. */
  #pump(): void {
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      for (const id of this.#waiting) {
        if (this.#socket.writableLength > UNWRITTEN_BYTES_MAX) return;
        const exchange = this.#exchanges.get(id)!;
        const { dataBytes } = exchange.queue[0]!;
        if (dataBytes > this.#window) return;
        if (dataBytes > exchange.window) continue;
        this.#window -= dataBytes;
        exchange.window -= dataBytes;
        const bytes = exchange.queue.shift()!.stamped(id);
        if (exchange.queue.length === 0) {
          this.#waiting.delete(id);
          exchange.listener.sent?.();
        }
        this.#write(bytes);
        isMoving = true;
      }
    }
  }

  #widen(by: number): void {
    this.#write(u32Frame(FrameType.WindowUpdate, 0, by));
  }

  // ── receiving ───────────────────────────────────────────────────────────────────────────────────────────────────

  #sink(): FrameSink {
    return {
      onDataStart: (id) => {
        this.#inbound = this.#exchanges.get(id) ?? null;
      },
      onData: (bytes, start, end) => this.#inbound?.scan.push(bytes, start, end),
      onDataEnd: (id, length, flags) => {
        this.#consumed += length;
        if (this.#consumed >= CONNECTION_WINDOW_BYTES / 2) {
          this.#widen(this.#consumed);
          this.#consumed = 0;
        }
        if ((flags & Flag.EndStream) !== 0) this.#end(id, "ended by the server");
      },
      onHeaders: (id, flags) => {
        if ((flags & Flag.EndStream) !== 0) this.#end(id, "ended by the server with trailers");
      },
      onFrame: (type, flags, id, bytes, start, end) =>
        this.#onFrame(type, flags, id, bytes, start, end),
      onBroken: (code, reason) => this.#endAll(`broken framing (${code}): ${reason}`),
    };
  }

  #onFrame(
    type: number,
    flags: number,
    id: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === FrameType.RstStream) {
      this.#end(id, `reset by the server, code ${bytes.readUInt32BE(start)}`);
    } else if (type === FrameType.Goaway) {
      this.#endAll(`GOAWAY, code ${bytes.readUInt32BE(start + 4)}`);
    } else if (type === FrameType.WindowUpdate) {
      const by = bytes.readUInt32BE(start);
      const exchange = this.#exchanges.get(id);
      if (id === 0) this.#window += by;
      else if (exchange !== undefined) exchange.window += by;
      this.#pump();
    } else if (type === FrameType.Ping && (flags & Flag.Ack) === 0) {
      this.#write(frame(FrameType.Ping, Flag.Ack, 0, bytes.subarray(start, end)));
    } else if (type === FrameType.Settings && (flags & Flag.Ack) === 0) {
      this.#onSettings(bytes, start, end);
    }
  }

  #onSettings(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at += 6) {
      if (bytes.readUInt16BE(at) === Setting.InitialWindowSize) {
        this.#streamWindow = bytes.readUInt32BE(at + 2);
      }
    }
    this.#write(frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0)));
    if (!this.#isGreeted) this.#onGreeted();
    this.#isGreeted = true;
  }

  #end(id: number, reason: string): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    this.#exchanges.delete(id);
    this.#waiting.delete(id);
    exchange.listener.ended(reason);
  }

  #endAll(reason: string): void {
    for (const id of [...this.#exchanges.keys()]) this.#end(id, reason);
  }
}
