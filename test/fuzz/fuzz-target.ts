/**
 * What a fuzz target is: it makes inputs, and says what is wrong with how the product takes one.
 * @module
 */
import type { Dice } from "../support/wire-arbitraries.ts";

/** Looks at what is held while an input is being handled. */
export interface MemoryWatch {
  /** Before the product sees the input. */
  start(): void;
  /** When it holds the most. @throws when that is more than the input accounts for */
  check(inputBytes: number): void;
}

export interface FuzzTarget {
  readonly name: string;
  generate(dice: Dice): Buffer;
  /** Takes any bytes. @throws when the product breaks one of its promises */
  run(input: Buffer, memory: MemoryWatch | null): Promise<void> | void;
}

/** @throws Error with the text, unless the condition holds */
export function must(condition: boolean, text: () => string): asserts condition {
  if (!condition) throw new Error(text());
}

/** Cuts bytes into pieces, none empty; the same seed gives the same cuts. */
export function cutPieces(bytes: Buffer, dice: Dice): Buffer[] {
  const pieces: Buffer[] = [];
  // Crumbs, frames, or a mixture.
  const most = [1, 3, 12, 200, 20_000][dice.roll(5)]!;
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + (dice.roll(8) === 0 ? 0 : dice.roll(most));
    pieces.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  return pieces;
}
