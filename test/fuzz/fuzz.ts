/**
 * Runs a target on inputs that follow from a seed: generated, mutated, of no meaning.
 * @module
 */
import { Dice } from "../support/wire-arbitraries.ts";
import type { FuzzTarget, MemoryWatch } from "./fuzz-target.ts";
import { mutate, randomBytes } from "./mutate.ts";
import { shrink } from "./shrink.ts";

const RAW_BYTES_MAX = 400;
const SHRINK_RUNS = 3000;
/** The garbage collector runs twice in each. */
const SHRINK_RUNS_WATCHED = 150;

export interface FuzzOptions {
  readonly seed: number;
  /** Inputs to start from; each is run too. */
  readonly corpus: readonly Buffer[];
  /** Asked before each execution. */
  readonly isOver: (executions: number) => boolean;
  /** Called around each execution. */
  readonly onInput?: (input: Buffer) => void;
  readonly onDone?: (input: Buffer) => void;
  /** Called before the input is made smaller. */
  readonly onFailure?: (error: unknown, input: Buffer) => void;
  /** How often a failing input is run to make it smaller. */
  readonly shrinkRuns?: number;
  /** Looks at every so manieth execution. */
  readonly memory?: { readonly watch: MemoryWatch; readonly every: number };
}

export interface FuzzFailure {
  readonly error: unknown;
  readonly input: Buffer;
  readonly shrunk: Buffer;
}

export interface FuzzReport {
  readonly executions: number;
  readonly failure: FuzzFailure | null;
}

/** Input number `index` of a seed, whatever came before it. */
export function inputOf(
  target: FuzzTarget,
  seed: number,
  index: number,
  corpus: readonly Buffer[],
): Buffer {
  // Odd multipliers, so that neighbors have nothing in common after the first rolls.
  const dice = new Dice((Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) << 1);
  for (let i = 0; i < 4; i++) dice.roll(2);
  const way = dice.roll(10);
  if (way === 0) return randomBytes(dice, dice.roll(RAW_BYTES_MAX));
  const made = target.generate(dice);
  if (way < 6) return made;
  const known = corpus.length === 0 ? made : corpus[dice.roll(corpus.length)]!;
  return dice.roll(2) === 0 ? mutate(made, known, dice) : mutate(known, made, dice);
}

/** Stops at the first failure. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzReport> {
  const { corpus, isOver, memory, onDone, onInput, seed, shrinkRuns = SHRINK_RUNS } = options;
  let executions = 0;
  for (; !isOver(executions); executions++) {
    const index = executions - corpus.length;
    const input = index < 0 ? corpus[executions]! : inputOf(target, seed, index, corpus);
    const watch = memory !== undefined && executions % memory.every === 0 ? memory.watch : null;
    onInput?.(input);
    try {
      await target.run(input, watch);
      onDone?.(input);
    } catch (error) {
      options.onFailure?.(error, input);
      const fails = async (smaller: Buffer): Promise<boolean> => {
        onInput?.(smaller);
        try {
          await target.run(smaller, watch);
          onDone?.(smaller);
          return false;
        } catch {
          return true;
        }
      };
      const shrunk = await shrink(input, watch === null ? shrinkRuns : SHRINK_RUNS_WATCHED, fails);
      return { executions: executions + 1, failure: { error, input, shrunk } };
    }
  }
  return { executions, failure: null };
}
