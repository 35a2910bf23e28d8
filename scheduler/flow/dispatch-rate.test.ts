import fc from "fast-check";
import { expect, test } from "vitest";
import { limits } from "../limits.ts";
import { REJECTIONS } from "../outcome.ts";
import { DispatchRate, rejectionAfter, retryAfterSeconds } from "./dispatch-rate.ts";

test("a steady stream is measured as what it is, and fades when it stops", () => {
  const rate = new DispatchRate();
  for (let ms = 0; ms < 100_000; ms += 10) rate.add(ms);
  expect(rate.perSecond(100_000)).toBeCloseTo(100, 0);
  expect(rate.perSecond(110_000)).toBeCloseTo(100 / Math.E, 0);
  expect(rate.perSecond(400_000)).toBeLessThan(1e-9);
});

test("nothing has been dispatched: the rate is 0, also when time has gone back", () => {
  const rate = new DispatchRate();
  expect(rate.perSecond(5000)).toBe(0);
  rate.add(5000);
  expect(rate.perSecond(4000)).toBe(0.1);
});

test("seconds are the queue ahead by the rate, at least 1 and at most 30", () => {
  expect(retryAfterSeconds(0, 0)).toBe(1);
  expect(retryAfterSeconds(0, 100)).toBe(1);
  expect(retryAfterSeconds(1, 100)).toBe(1);
  expect(retryAfterSeconds(101, 100)).toBe(2);
  expect(retryAfterSeconds(2000, 100)).toBe(20);
  expect(retryAfterSeconds(1, 0)).toBe(30);
  expect(retryAfterSeconds(1e9, 100)).toBe(30);
});

test("are whole and in bounds for any queue and rate", () => {
  fc.assert(
    fc.property(fc.nat(), fc.double({ min: 0, noNaN: true }), (ahead, perSecond) => {
      const seconds = retryAfterSeconds(ahead, perSecond);
      expect(Number.isInteger(seconds)).toBe(true);
      expect(seconds).toBeGreaterThanOrEqual(1);
      expect(seconds).toBeLessThanOrEqual(limits.retryAfterSecondsMax);
    }),
  );
});

test("a rejection is one frozen object for each reason and number of seconds", () => {
  const rejection = rejectionAfter("queue-full", 7);
  expect(rejection).toEqual({ ...REJECTIONS["queue-full"], retryAfterSeconds: 7 });
  expect(rejectionAfter("queue-full", 7)).toBe(rejection);
  expect(rejectionAfter("queue-full", 8)).not.toBe(rejection);
  expect(rejectionAfter("displaced", 7).reason).toBe("displaced");
  expect(Object.isFrozen(rejection)).toBe(true);
});
