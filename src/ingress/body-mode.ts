/**
 * How much of a body the gateway shows, and how it wants it back: `protocol_config` of the first message.
 * @module
 */

import { type ProcessingRequest, type Side, writeBufferedBodyReply } from "../../proto/index.ts";
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
): void {
  if (mode === BodyMode.FullDuplexStreamed) {
    reply.body(side, body.list, body.byteLength, endOfStream);
  } else if (mode !== BodyMode.None) {
    writeUnchangedReply(reply, side);
  }
}

/** The answer to a chunk that the gateway keeps. */
export function writeUnchangedReply(reply: ReplyBuffer, side: Side): void {
  writeBufferedBodyReply(reply.writer, side, NO_MUTATION, null, false, null);
}
