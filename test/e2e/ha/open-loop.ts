/**
 * Requests that leave on schedule whatever becomes of those before them: a closed loop would hide what hangs.
 * @module
 */
import type { Outcome } from "./request.ts";

/** How often the schedule is looked at; requests that fell due meanwhile leave together. */
const TICK_MS = 2;

export interface OpenLoop {
  /** `performance.now()` of the first request. */
  readonly startedAtMs: number;
  /** Sends no more, waits for what is open, and hands out all outcomes. */
  stop(): Promise<readonly Outcome[]>;
}

/**
 * @param rate requests a second
 * @param send sends the request of this index
 */
export function startOpenLoop(rate: number, send: (index: number) => Promise<Outcome>): OpenLoop {
  const startedAtMs = performance.now();
  const sent: Promise<Outcome>[] = [];
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAtMs) * rate) / 1000) + 1;
    while (sent.length < due) sent.push(send(sent.length));
  }, TICK_MS);
  return {
    startedAtMs,
    stop: () => {
      clearInterval(timer);
      return Promise.all(sent);
    },
  };
}
