/**
 * Requests for the engine model, written as the blocks of their prompts, and a log of what an engine does with them.
 * @module
 */
import { Engine, type EngineConfig, type EngineRequest, type EngineSink } from "../../sim/index.ts";

/** A prompt is a path of block names; equal beginnings get equal hashes, as chained hashing does. */
const ids = new Map<string, number>();

/** Chained hashes of a path. */
export function chained(path: readonly number[]): Float64Array {
  return Float64Array.from(path, (_, i) => {
    const key = path.slice(0, i + 1).join(",");
    const id = ids.get(key) ?? ids.size + 1;
    ids.set(key, id);
    return id;
  });
}

/** Small numbers that can be followed by hand: blocks of 4 tokens, a step is 10 ms and 1 ms a prompt token. */
export const SMALL_ENGINE: EngineConfig = {
  profile: { baseMs: 10, prefillTokensPerSecond: 1000, perSequenceMs: 0, perContextTokenMs: 0 },
  blockSizeTokens: 4,
  blocks: 100,
  sequencesMax: 8,
  stepTokensMax: 64,
  adapterSlots: 2,
  adapterLoadMs: 100,
  waitingMax: 1000,
};

/**
 * @param path blocks of the prompt; @param outputTokens to generate
 * @param tailTokens of the prompt behind its last full block
 */
export function promptOf(
  path: readonly number[],
  outputTokens: number,
  adapter: string | null = null,
  tailTokens = 1,
): EngineRequest {
  return {
    promptTokens: path.length * SMALL_ENGINE.blockSizeTokens + tailTokens,
    blockHashes: chained(path),
    outputTokens,
    adapter,
  };
}

/** What an engine told its sink. */
export interface EngineEvent {
  readonly kind: "token" | "finished";
  readonly id: number;
  readonly atMs: number;
  /** Index of the token; of an end -1. */
  readonly index: number;
}

/** An engine in virtual time with a log of its events. */
export class LoggedEngine implements EngineSink {
  readonly engine: Engine;
  readonly events: EngineEvent[] = [];
  nowMs = 0;

  constructor(config: Partial<EngineConfig> = {}) {
    this.engine = new Engine({ ...SMALL_ENGINE, ...config });
  }

  token(id: number, index: number, atMs: number): void {
    this.events.push({ kind: "token", id, atMs, index });
  }

  finished(id: number, atMs: number): void {
    this.events.push({ kind: "finished", id, atMs, index: -1 });
  }

  /** Submits now; the request must be taken. */
  submit(request: EngineRequest): number {
    const id = this.engine.submit(request, this.nowMs);
    if (typeof id === "string") throw new Error(`not taken: ${id}`);
    return id;
  }

  cancel(id: number): void {
    this.engine.cancel(id, this.nowMs);
  }

  /** Lets so much time pass. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.engine.advance(this.nowMs, this);
  }

  /** Runs to the end of the next step. @returns false when there is nothing to do */
  step(): boolean {
    const nextMs = this.engine.nextEventMs();
    if (nextMs === Number.POSITIVE_INFINITY) return false;
    this.pass(nextMs - this.nowMs);
    return true;
  }

  /** Runs until nothing is left to do; an engine that never comes to rest is an error. */
  drain(stepsMax = 100_000): void {
    for (let steps = 0; this.step(); steps++) {
      if (steps >= stepsMax) throw new Error(`not at rest after ${stepsMax} steps`);
    }
  }

  /** Times of a request's tokens, ms. */
  tokenTimes(id: number): number[] {
    return this.events
      .filter((event) => event.id === id && event.kind === "token")
      .map(({ atMs }) => atMs);
  }
}
