/**
 * A request for an unknown method is named in its refusal; the name of a few bytes on the wire may be long.
 * @module
 */
import { expect, test } from "vitest";
import { Flag, FrameType, frame } from "../../src/ingress/h2/frames.ts";
import { h2Limits } from "../../src/ingress/h2/limits.ts";
import { LONG_PATH_AGAIN, LONG_PATH_HEAD } from "../support/h2-hpack.ts";
import { MemoryPeer } from "../support/h2-memory.ts";

/** Refused streams of one read; more end the connection. */
const STREAMS = h2Limits.controlBucket - 1;
/** At which reading pauses when the peer does not read. */
const ANSWER_BYTES_MAX = 4 << 20;

test("refusals of one read stay below what makes reading pause", async () => {
  const peer = await MemoryPeer.open({ onAccept: () => false });
  const whole = Flag.EndHeaders | Flag.EndStream;
  const requests = Array.from({ length: STREAMS }, (_, i) =>
    frame(FrameType.Headers, whole, 2 * i + 1, i === 0 ? LONG_PATH_HEAD : LONG_PATH_AGAIN),
  );
  peer.send(...requests);
  await peer.settle();
  expect(peer.handlers.length).toBe(STREAMS);
  expect(peer.ofType(FrameType.Headers).length).toBe(STREAMS);
  const answered = peer.socket.calls.reduce((sum, bytes) => sum + bytes.length, 0);
  expect(answered).toBeLessThan(ANSWER_BYTES_MAX);
});
