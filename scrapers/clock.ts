/**
 * The clock of scrape times: milliseconds of one monotonic origin that all threads of the process share.
 * @module
 */
import type { Clock } from "../scheduler/index.ts";

/**
 * Reads `performance.timeOrigin + performance.now()`. The origin is the start of the process, in every
 * thread, and the running part is monotonic: a step of the wall clock moves neither, so a scrape time
 * of one thread can be compared with the clock of another.
 */
export const processClock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
};
