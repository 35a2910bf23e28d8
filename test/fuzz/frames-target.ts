/**
 * Fuzz target: what a peer sends on a connection, to the real H2Connection.
 *
 *   input   [flags][cut seed] bytes …     flags 1: preface and SETTINGS come first · 2: the kernel takes nothing
 *                                               4: the peer ends its side · 8: we drain half way
 * @module
 */
import { PREFACE, settingsFrame } from "../../src/ingress/h2/frames.ts";
import { Dice } from "../support/wire-arbitraries.ts";
import {
  PLAY_PARTS,
  type Play,
  type PlayParts,
  playConnection,
  READ_BYTES,
} from "./connection-play.ts";
import { generateFrames } from "./frames-generator.ts";
import { cutPieces, type FuzzTarget, must } from "./fuzz-target.ts";

const GREETING = Buffer.concat([PREFACE, settingsFrame([])]);

export function framesTarget(parts: PlayParts = PLAY_PARTS): FuzzTarget {
  return {
    name: "frames",
    generate: (dice) => {
      const flags = (dice.roll(20) > 0 ? 1 : 0) | (dice.roll(6) === 0 ? 2 : 0) | (dice.roll(4) * 4);
      return Buffer.concat([Buffer.from([flags, dice.roll(256)]), generateFrames(dice)]);
    },
    run: async (input, memory) => {
      const flags = input[0] ?? 0;
      const bytes = Buffer.concat([
        (flags & 1) !== 0 ? GREETING : input.subarray(0, 0),
        input.subarray(2),
      ]);
      const play: Play = {
        pieces: readsOf(bytes),
        isStalled: (flags & 2) !== 0,
        ending: (flags & 8) !== 0 ? "drain" : (flags & 4) !== 0 ? "end" : "cut",
      };
      const whole = await playConnection(play, parts, memory);
      // A drain falls elsewhere, and what waits in a stalled socket stops the reading elsewhere, when the cuts differ.
      if (whole === null || memory !== null || play.ending === "drain" || play.isStalled) return;
      const pieces = cutPieces(bytes, new Dice((input[1] ?? 0) * 2));
      const cut = await playConnection({ ...play, pieces }, parts, null);
      must(cut === null || cut === whole, () => `cuts show: ${whole} became ${cut}`);
    },
  };
}

/** As a socket hands bytes over that have all come. */
function readsOf(bytes: Buffer): Buffer[] {
  const reads: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += READ_BYTES) {
    reads.push(Buffer.from(bytes.subarray(at, at + READ_BYTES)));
  }
  return reads;
}
