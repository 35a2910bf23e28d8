/**
 * Work that can be put aside: each step is short, so that whoever drives it decides what else may run in between.
 * @module
 */

/** Yields between its steps, and returns what came out of them. */
export type Steps<T> = Generator<void, T, void>;

/** All steps at once. */
export function runSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
