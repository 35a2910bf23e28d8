/**
 * A header block that comes in pieces, gathered: HEADERS without END_HEADERS, then CONTINUATION until the flag is there.
 *
 *   none ──HEADERS──▶ gathering ──CONTINUATION*──▶ CONTINUATION with END_HEADERS ──▶ none
 *
 * Nothing else may come in between (RFC 9113 §6.10). Frames and bytes are bounded, since a peer could go on for ever.
 * @module
 */
import { h2Limits } from "./limits.ts";

export class HeaderFragments {
  /** Stream whose block is being gathered; 0 = none. */
  streamId = 0;
  /** Flags of its HEADERS frame. */
  flags = 0;
  #pieces: Buffer[] = [];
  #frameCount = 0;
  #byteLength = 0;

  begin(streamId: number, flags: number, bytes: Buffer, start: number, end: number): void {
    this.streamId = streamId;
    this.flags = flags;
    this.#frameCount = 0;
    this.#byteLength = 0;
    this.#keep(bytes, start, end);
  }

  /** @returns false when the block is too long */
  add(bytes: Buffer, start: number, end: number): boolean {
    this.#frameCount++;
    if (
      this.#frameCount > h2Limits.continuationFramesMax ||
      this.#byteLength + end - start > h2Limits.headerBlockBytesMax
    ) {
      return false;
    }
    this.#keep(bytes, start, end);
    return true;
  }

  /** The whole block; nothing is kept of it. */
  take(): Buffer {
    const block = Buffer.concat(this.#pieces);
    this.streamId = 0;
    this.#pieces = [];
    return block;
  }

  /** A copy, so that a small piece does not keep the chunk alive that it came in. */
  #keep(bytes: Buffer, start: number, end: number): void {
    this.#byteLength += end - start;
    this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
  }
}
