/**
 * A peer that speaks HTTP/2 frame by frame over a raw socket, well or badly, and what it has been sent.
 * @module
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  FRAME_HEADER_BYTES,
  FrameType,
  frame,
  PREFACE,
  settingsFrame,
} from "../../src/ingress/h2/frames.ts";
import { literal } from "../../src/ingress/h2/hpack.ts";
import { until } from "./deadline.ts";

const WAIT_MS = 5000;

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** A header block that opens a gRPC stream. */
export const GRPC_HEAD: Buffer = Buffer.concat([
  Buffer.from([0x83, 0x86]),
  literal(":path", "/a.B/C"),
  literal("content-type", "application/grpc"),
]);

/** Frames out of bytes that come in any pieces. */
export class FrameLog {
  readonly frames: SeenFrame[] = [];
  #bytes: Buffer = Buffer.alloc(0);

  /** Of a type, or of all types, in the order in which they came. */
  ofType(type: number): SeenFrame[] {
    return this.frames.filter((one) => one.type === type);
  }

  /** Bytes of all DATA of a stream. */
  dataOf(id: number): Buffer {
    const data = this.ofType(FrameType.Data).filter((one) => one.id === id);
    return Buffer.concat(data.map(({ payload }) => payload));
  }

  read(chunk: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < FRAME_HEADER_BYTES) return;
      const end = FRAME_HEADER_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.length < end) return;
      this.frames.push({
        type: bytes[3]!,
        flags: bytes[4]!,
        id: bytes.readUInt32BE(5),
        payload: Buffer.from(bytes.subarray(FRAME_HEADER_BYTES, end)),
      });
      this.#bytes = bytes.subarray(end);
    }
  }
}

export class H2Peer extends FrameLog {
  readonly socket: Socket;
  isClosed = false;

  private constructor(socket: Socket) {
    super();
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.read(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
    });
  }

  /** Connects, and sends preface and settings unless told otherwise. */
  static async connect(
    port: number,
    settings: readonly (readonly [number, number])[] | null = [],
  ): Promise<H2Peer> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    const peer = new H2Peer(socket);
    if (settings !== null) peer.send(PREFACE, settingsFrame(settings));
    return peer;
  }

  send(...parts: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Waits for a frame. */
  frame(type: number, matches: (seen: SeenFrame) => boolean = () => true): Promise<SeenFrame> {
    return until(
      () => this.ofType(type).find(matches) ?? null,
      WAIT_MS,
      `frame of type ${type}`,
      2,
    );
  }

  /** Waits for GOAWAY and the end of the connection. @returns the error code */
  async goaway(): Promise<number> {
    const { payload } = await this.frame(FrameType.Goaway);
    await until(() => this.isClosed || null, WAIT_MS, "end of the connection", 2);
    return payload.readUInt32BE(4);
  }

  /** Answered PING: everything sent before has been read. */
  async roundTrip(): Promise<void> {
    const mark = Buffer.alloc(8);
    mark.writeUInt32BE(this.frames.length, 4);
    this.send(frame(FrameType.Ping, 0, 0, mark));
    await this.frame(FrameType.Ping, ({ payload }) => payload.equals(mark));
  }

  close(): void {
    this.socket.destroy();
  }
}
