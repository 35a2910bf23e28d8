/**
 * What programs (fairness ids) have attained: service that fades, waits, requests under way. Shared by the bands that use one
 * instance of the policy. Bounded: idle programs go after a time, and the longest idle when there are too many.
 *
 *   stored = real × 2^((t − epoch) / half-life)     one scale for all, so fading needs no pass over them
 * @module
 */
import { limits } from "../limits.ts";

/** Half-lives after which the scale is begun anew: the stored numbers grow by 2 each. */
const EPOCH_HALF_LIVES = 64;

export interface Program {
  /** Place in `services`; another program has it once this one is forgotten. */
  readonly slot: number;
  /** Flows with something queued, over all bands. */
  activeFlows: number;
  /** Requests dispatched and not ended. */
  inFlight: number;
  /** Waits of dispatched requests. */
  waits: number;
  waitedMs: number;
  /** When it was last heard of, ms. */
  lastMs: number;
}

export class ProgramTable {
  readonly #halfLifeMs: number;
  readonly #ttlMs: number;
  readonly #sweepMs: number;
  /** Attained service by slot, in stored units: comparable with each other at any one time. Replaced when it grows. */
  services = new Float64Array(64);
  /** Least recently heard of first. */
  readonly #programs = new Map<string, Program>();
  readonly #free: number[] = [];
  #slots = 0;
  #epochMs = 0;
  #sweptAtMs = Number.NEGATIVE_INFINITY;
  #lastMs = 0;

  /**
   * @param halfLifeMs of service; 0 = it does not fade
   * @param ttlMs an idle program is kept this long; 0 = as long as there is room
   */
  constructor(halfLifeMs: number, ttlMs: number, sweepMs: number) {
    this.#halfLifeMs = halfLifeMs;
    this.#ttlMs = ttlMs;
    this.#sweepMs = sweepMs;
  }

  get size(): number {
    return this.#programs.size;
  }

  of(id: string): Program {
    const known = this.#programs.get(id);
    if (known !== undefined) return known;
    if (this.#programs.size >= limits.programsMax) this.#forgetOldest();
    const slot = this.#free.pop() ?? this.#slots++;
    if (slot === this.services.length) {
      const services = new Float64Array(slot * 2);
      services.set(this.services);
      this.services = services;
    }
    this.services[slot] = 0;
    const lastMs = this.#lastMs;
    const program = { slot, activeFlows: 0, inFlight: 0, waits: 0, waitedMs: 0, lastMs };
    this.#programs.set(id, program);
    return program;
  }

  /** @param tokens expected service */
  dispatched(id: string, tokens: number, waitedMs: number, nowMs: number): void {
    const program = this.#touch(id, nowMs);
    this.#add(program, tokens, nowMs);
    program.inFlight++;
    program.waits++;
    program.waitedMs += waitedMs;
  }

  /** @param tokens what was used beyond the expectation; negative = less */
  ended(id: string, tokens: number, nowMs: number): void {
    const program = this.#touch(id, nowMs);
    this.#add(program, tokens, nowMs);
    program.inFlight = Math.max(0, program.inFlight - 1);
  }

  #add({ slot }: Program, tokens: number, nowMs: number): void {
    const scale = this.#scale(nowMs);
    this.services[slot] = Math.max(0, this.services[slot]! + tokens * scale);
  }

  /** Service of a program now, tokens. */
  service(id: string, nowMs: number): number {
    const scale = this.#scale(nowMs);
    const program = this.#programs.get(id);
    return program === undefined ? 0 : this.services[program.slot]! / scale;
  }

  stats(nowMs: number): Readonly<Record<string, number>> {
    this.#sweep(nowMs);
    let inFlight = 0;
    let n = 0;
    let sum = 0;
    let squares = 0;
    for (const program of this.#programs.values()) {
      inFlight += program.inFlight;
      if (program.waits === 0) continue;
      const mean = program.waitedMs / program.waits;
      n++;
      sum += mean;
      squares += mean * mean;
    }
    const fairnessIndex = n <= 1 || squares === 0 ? 1 : (sum * sum) / (n * squares);
    return { totalPrograms: this.#programs.size, totalInFlight: inFlight, fairnessIndex };
  }

  /** The program, now the one heard of most recently. */
  #touch(id: string, nowMs: number): Program {
    this.#lastMs = nowMs;
    this.#sweep(nowMs);
    const program = this.of(id);
    program.lastMs = nowMs;
    this.#programs.delete(id);
    this.#programs.set(id, program);
    return program;
  }

  /** Stored units of a token at this time. */
  #scale(nowMs: number): number {
    if (this.#halfLifeMs === 0) return 1;
    const halfLives = (nowMs - this.#epochMs) / this.#halfLifeMs;
    if (halfLives < EPOCH_HALF_LIVES) return 2 ** halfLives;
    const shrink = 2 ** -halfLives;
    for (let slot = 0; slot < this.#slots; slot++) {
      this.services[slot] = this.services[slot]! * shrink;
    }
    this.#epochMs = nowMs;
    return 1;
  }

  #sweep(nowMs: number): void {
    if (this.#ttlMs === 0 || nowMs - this.#sweptAtMs < this.#sweepMs) return;
    this.#sweptAtMs = nowMs;
    for (const [id, program] of this.#programs) {
      if (isIdle(program) && nowMs - program.lastMs > this.#ttlMs) this.#forget(id, program);
    }
  }

  #forget(id: string, { slot }: Program): void {
    this.#programs.delete(id);
    this.#free.push(slot);
  }

  #forgetOldest(): void {
    for (const [id, program] of this.#programs) {
      if (!isIdle(program)) continue;
      this.#forget(id, program);
      return;
    }
  }
}

const isIdle = ({ activeFlows, inFlight }: Program): boolean => activeFlows === 0 && inFlight === 0;
