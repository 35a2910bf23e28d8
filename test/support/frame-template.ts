/**
 * ext_proc messages as the DATA frames that carry them, made once and stamped with the id of each stream that sends them:
 * a load generator then costs a copy a message and not an encoding.
 * @module
 */
import { FRAME_BYTES_MAX, FrameType, frame } from "../../src/ingress/h2/frames.ts";
import { encodeRequest } from "./ext-proc-client.ts";
import type { ProcessingRequest } from "./ext-proc-messages.ts";
import { grpcFrame } from "./grpc-frame.ts";

const ID_OFFSET = 5;

export class FrameTemplate {
  /** Bytes that count against the windows. */
  readonly dataBytes: number;
  readonly #bytes: Buffer;
  readonly #idsAt: readonly number[];

  private constructor(bytes: Buffer, idsAt: readonly number[], dataBytes: number) {
    this.#bytes = bytes;
    this.#idsAt = idsAt;
    this.dataBytes = dataBytes;
  }

  static of(...messages: readonly ProcessingRequest[]): FrameTemplate {
    const frames: Buffer[] = [];
    const idsAt: number[] = [];
    let at = 0;
    let dataBytes = 0;
    for (const message of messages) {
      const bytes = grpcFrame(encodeRequest(message));
      dataBytes += bytes.length;
      for (let from = 0; from < bytes.length; from += FRAME_BYTES_MAX) {
        const piece = frame(FrameType.Data, 0, 0, bytes.subarray(from, from + FRAME_BYTES_MAX));
        frames.push(piece);
        idsAt.push(at + ID_OFFSET);
        at += piece.length;
      }
    }
    return new FrameTemplate(Buffer.concat(frames), idsAt, dataBytes);
  }

  /** The frames for one stream, in a buffer of their own. */
  stamped(streamId: number): Buffer {
    const out = Buffer.allocUnsafe(this.#bytes.length);
    this.#bytes.copy(out);
    for (const at of this.#idsAt) out.writeUInt32BE(streamId, at);
    return out;
  }

  /** The same frames with the first `mark` in them replaced by text of its length; it must lie within one frame. */
  marked(mark: string, text: string): FrameTemplate {
    const at = this.#bytes.indexOf(mark);
    if (at < 0 || mark.length !== text.length) throw new RangeError(`"${mark}" is not replaced`);
    const bytes = Buffer.from(this.#bytes);
    bytes.write(text, at, "latin1");
    return new FrameTemplate(bytes, this.#idsAt, this.dataBytes);
  }
}
