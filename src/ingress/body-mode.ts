/**
 * How much of a body the gateway shows, and how it wants it back: `protocol_config` of the first message.
 * @module
 */

import {
  type ProcessingRequest,
  type Side,
  type StructObject,
  writeBufferedBodyReply,
} from "../../proto/index.ts";
import type { ReplyBuffer } from "./reply-buffer.ts";

/** envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode, as far as it is spoken here. */
export const BodyMode = {
  None: 0,
  Streamed: 1,
  Buffered: 2,
  BufferedPartial: 3,
  FullDuplexStreamed: 4,
} as const;

/** @param mode as decoded: any 32-bit integer */
export function isSupportedMode(mode: number): boolean {
  return mode >= BodyMode.None && mode <= BodyMode.FullDuplexStreamed;
}

/** Modes in which the gateway holds the body until its headers are answered, and then sends it in one message. */
export function isBufferedMode(mode: number): boolean {
  return mode === BodyMode.Buffered || mode === BodyMode.BufferedPartial;
}

const NO_MUTATION = { set: [], remove: [] } as const;

/** Answers a chunk that changes nothing: sent back in full duplex, else a word that the gateway's own may go on. */
export function answerChunk(
  reply: ReplyBuffer,
  side: Side,
  mode: number,
  { body, endOfStream }: ProcessingRequest,
  metadata: StructObject | null = null,
): void {
  if (mode === BodyMode.FullDuplexStreamed) {
    reply.body(side, body.list, body.byteLength, endOfStream, metadata);
  } else if (mode !== BodyMode.None) {
    writeUnchangedReply(reply, side, metadata);
  }
}

/** Answers a chunk with others in its place. @param pieces the same ones when nothing changes */
export function answerRewritten(
  reply: ReplyBuffer,
  side: Side,
  mode: number,
  { body, endOfStream }: ProcessingRequest,
  pieces: readonly Uint8Array[],
  metadata: StructObject | null,
): void {
  if (mode === BodyMode.FullDuplexStreamed) {
    const byteLength = pieces.reduce((sum, { length }) => sum + length, 0);
    reply.body(side, pieces, byteLength, endOfStream, metadata);
  } else if (mode !== BodyMode.None) {
    const isSame =
      pieces.length === body.list.length && pieces.every((piece, i) => piece === body.list[i]);
    const changed = isSame ? null : Buffer.concat(pieces);
    writeBufferedBodyReply(reply.writer, side, NO_MUTATION, changed, false, metadata);
  }
}

/** The answer to a chunk that the gateway keeps. */
export function writeUnchangedReply(
  reply: ReplyBuffer,
  side: Side,
  metadata: StructObject | null = null,
): void {
  writeBufferedBodyReply(reply.writer, side, NO_MUTATION, null, false, metadata);
}
