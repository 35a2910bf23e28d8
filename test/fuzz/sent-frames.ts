/**
 * What a server sends, held to the rules that it can not break whatever its peer does (RFC 9113 §5.1).
 * @module
 */
import { createHash } from "node:crypto";
import {
  Flag,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FrameType,
} from "../../src/ingress/h2/frames.ts";
import { must } from "./fuzz-target.ts";

/** Our own choice: larger DATA is of no use. */
const DATA_BYTES_MAX = 4 * FRAME_BYTES_MAX;

export class SentFrames {
  /** Streams whose answer has begun, and whether it is over. */
  readonly #answers = new Map<number, boolean>();
  readonly #hash = createHash("sha256");
  #rest: Buffer = Buffer.alloc(0);
  #count = 0;
  byteLength = 0;
  #isGone = false;

  read(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.byteLength += bytes.length;
    let left = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (left.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + left.readUIntBE(0, 3);
      if (left.length < end) break;
      this.#frame(left.subarray(0, end));
      left = left.subarray(end);
    }
    this.#rest = Buffer.from(left);
  }

  /** Names all bytes in their order; to be asked once. */
  end(): string {
    must(this.#rest.length === 0, () => "the last frame sent is not whole");
    return `${this.#count} frames ${this.#hash.digest("hex")}`;
  }

  #frame(bytes: Buffer): void {
    const type = bytes[3]!;
    const flags = bytes[4]!;
    const id = bytes.readUInt32BE(5);
    const length = bytes.length - FRAME_HEADER_BYTES;
    must(!this.#isGone, () => `frame of type ${type} behind a GOAWAY with an error`);
    must(this.#count++ > 0 || type === FrameType.Settings, () => "SETTINGS do not come first");
    const most = type === FrameType.Data ? DATA_BYTES_MAX : FRAME_BYTES_MAX;
    must(length <= most, () => `frame of type ${type} has ${length} bytes`);
    if (type === FrameType.Headers || type === FrameType.Data) this.#answer(type, flags, id);
    else if (type === FrameType.RstStream) this.#answers.set(id, true);
    else if (type === FrameType.Goaway) this.#isGone = bytes.readUInt32BE(13) !== 0;
  }

  #answer(type: number, flags: number, id: number): void {
    const isOver = this.#answers.get(id);
    must(id % 2 === 1, () => `frame of type ${type} on stream ${id}`);
    must(isOver !== true, () => `frame of type ${type} behind the end of stream ${id}`);
    must(type === FrameType.Headers || isOver === false, () => `DATA before HEADERS on ${id}`);
    this.#answers.set(id, (flags & Flag.EndStream) !== 0);
  }
}
