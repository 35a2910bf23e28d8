/**
 * A bucket that limits the rate of a peer's costly frames.
 * @module
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { TokenBucket } from "./token-bucket.ts";

/** @returns how many tokens there were */
function drain(bucket: TokenBucket): number {
  let taken = 0;
  while (bucket.take()) taken++;
  return taken;
}

test("holds its size at first, and what flows in later, up to its size", () => {
  let nowMs = 1000;
  const bucket = new TokenBucket(10, 5, () => nowMs);
  expect(drain(bucket)).toBe(10);
  nowMs += 199;
  expect(drain(bucket)).toBe(0);
  nowMs += 401;
  expect(drain(bucket)).toBe(3);
  nowMs += 3_600_000;
  expect(drain(bucket)).toBe(10);
});

test("reads no clock while there are tokens", () => {
  let reads = 0;
  const bucket = new TokenBucket(10, 5, () => reads++);
  for (let i = 0; i < 10; i++) bucket.take();
  expect(reads).toBe(1);
});

test("never gives more than its size and what flowed in, whatever the pace", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(500), fc.nat(40)), { maxLength: 40 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 0, max: 100 }),
      (turns, size, refillPerSecond) => {
        let nowMs = 0;
        let taken = 0;
        const bucket = new TokenBucket(size, refillPerSecond, () => nowMs);
        for (const [passedMs, asks] of turns) {
          nowMs += passedMs;
          for (let i = 0; i < asks; i++) if (bucket.take()) taken++;
          expect(taken).toBeLessThanOrEqual(size + (nowMs / 1000) * refillPerSecond + 1e-6);
        }
      },
    ),
  );
});
