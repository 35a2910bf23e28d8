/**
 * Damage to bytes that knows nothing of what they mean.
 * @module
 */
import type { Dice } from "../support/wire-arbitraries.ts";

const BORDER_BYTES = [0, 1, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xbe, 0xff] as const;
const OUTPUT_BYTES_MAX = 1 << 20;

/** Bytes of no meaning. */
export function randomBytes(dice: Dice, byteLength: number): Buffer {
  const out = Buffer.allocUnsafe(byteLength);
  for (let i = 0; i < byteLength; i++) out[i] = dice.roll(256);
  return out;
}

/** Some of: flipped bits, bytes of the borders, parts cut out, doubled, moved, taken from another input. */
export function mutate(bytes: Buffer, other: Buffer, dice: Dice): Buffer {
  let out: Buffer = Buffer.from(bytes);
  for (let count = 1 + dice.roll(4); count > 0; count--) out = mutateOnce(out, other, dice);
  return out.subarray(0, OUTPUT_BYTES_MAX);
}

function mutateOnce(bytes: Buffer, other: Buffer, dice: Dice): Buffer {
  const at = dice.roll(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + dice.roll(1 << dice.roll(12)));
  const [before, part, after] = [
    bytes.subarray(0, at),
    bytes.subarray(at, end),
    bytes.subarray(end),
  ];
  const out = Buffer.from(bytes);
  switch (dice.roll(7)) {
    case 0:
      if (at < out.length) out[at] = out[at]! ^ (1 << dice.roll(8));
      return out;
    case 1:
      if (at < out.length) out[at] = BORDER_BYTES[dice.roll(BORDER_BYTES.length)]!;
      return out;
    case 2:
      return Buffer.concat([before, after]);
    case 3:
      return Buffer.concat([before, part, part, after]);
    case 4:
      return Buffer.concat([part, before, after]);
    case 5:
      return Buffer.concat([before, randomBytes(dice, 1 + dice.roll(9)), after]);
    default: {
      const from = dice.roll(other.length + 1);
      return Buffer.concat([before, other.subarray(from, from + (end - at)), after]);
    }
  }
}
