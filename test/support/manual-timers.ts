/**
 * Timers that a test moves by hand, together with the clock: nothing happens but in `turn` and `advance`.
 * @module
 */
import type { ManualClock } from "../../scheduler/index.ts";
import type { FlowTimers } from "../../src/ingress/flow-port.ts";

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** Turns that `advance` lets pass at one moment; more means that something calls itself without end. */
const TURNS_MAX = 10_000;

export class ManualTimers implements FlowTimers {
  /** Timers that have fired. */
  fired = 0;
  readonly #clock: ManualClock;
  readonly #timers = new Set<Timer>();
  #soon: (() => void)[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  /** Timers and calls that are still to come. */
  get pending(): number {
    return this.#timers.size + this.#soon.length;
  }

  after(ms: number, callback: () => void): Timer {
    const timer = { atMs: this.#clock.nowMs() + ms, callback };
    this.#timers.add(timer);
    return timer;
  }

  clear(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  /** One turn of the event loop. */
  turn(): void {
    const callbacks = this.#soon;
    this.#soon = [];
    for (const callback of callbacks) callback();
  }

  /** Turns until nothing is left to do at this moment. */
  settle(): void {
    for (let turns = 0; this.#soon.length > 0; turns++) {
      if (turns === TURNS_MAX) throw new Error(`still busy after ${TURNS_MAX} turns`);
      this.turn();
    }
  }

  /** Lets time pass, firing what falls due on the way. */
  advance(ms: number): void {
    const untilMs = this.#clock.nowMs() + ms;
    this.settle();
    for (;;) {
      const next = this.#next(untilMs);
      if (next === null) break;
      this.#timers.delete(next);
      this.#clock.advance(Math.max(0, next.atMs - this.#clock.nowMs()));
      this.fired++;
      next.callback();
      this.settle();
    }
    this.#clock.advance(Math.max(0, untilMs - this.#clock.nowMs()));
  }

  #next(untilMs: number): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (next === null || timer.atMs < next.atMs)) next = timer;
    }
    return next;
  }
}
