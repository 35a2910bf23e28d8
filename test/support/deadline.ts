/**
 * Waiting with an end: polls and promises that fail with a reason when their time is up.
 * @module
 */

/** Resolves after the given time; only for pacing of polls and of generated traffic. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Asks until the answer is not null.
 *
 * @param ask gives the value, or null for "not yet"; what it throws ends the wait
 * @param timeoutMs after this time the wait fails
 * @param what is waited for, for the message
 */
export async function until<T>(
  ask: () => Promise<T | null> | T | null,
  timeoutMs: number,
  what: string,
  intervalMs = 20,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (value !== null) return value;
    if (performance.now() >= end)
      throw new Error(`${what}: not within ${Math.round(timeoutMs)} ms`);
    await delay(intervalMs);
  }
}

/** The promise's outcome, or an error that names `what` after `timeoutMs`. */
export function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: not within ${Math.round(timeoutMs)} ms`)),
      timeoutMs,
    );
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
