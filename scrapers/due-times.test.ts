/**
 * When an endpoint is due.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BACKOFF_LAST_MS, DueTimes } from "./due-times.ts";

const middle = (): number => 0.5; // no jitter

describe("the interval", () => {
  test("is kept in the mean, whatever the jitter and the delay of the timer", () => {
    fc.assert(
      fc.property(
        fc.nat(4095),
        fc.integer({ min: 50, max: 5000 }),
        fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), { minLength: 20, maxLength: 20 }),
        (slot, intervalMs, randoms) => {
          let i = 0;
          const due = new DueTimes(slot, 1000, intervalMs, () => randoms[i++ % 20]!);
          const starts: number[] = [];
          for (let n = 0; n < 101; n++) {
            starts.push(due.dueMs);
            due.advance(due.dueMs + randoms[n % 20]! * intervalMs * 0.2);
          }
          // The first scrape may come early; from the second on one interval is one scrape.
          const spanMs = starts[100]! - starts[1]!;
          expect(Math.abs(spanMs - 99 * intervalMs)).toBeLessThanOrEqual(0.11 * intervalMs);
        },
      ),
    );
  });

  test("is skipped over where the time has passed", () => {
    const due = new DueTimes(0, 0, 100, middle);
    due.advance(0);
    expect(due.dueMs).toBe(100);
    due.advance(1234);
    expect(due.dueMs).toBe(1300);
  });

  test("can change", () => {
    const due = new DueTimes(0, 0, 100, middle);
    due.setInterval(1000);
    due.advance(0);
    expect(due.dueMs).toBe(1000);
  });
});

test("an endpoint that joins is due within 50 ms, also with a long interval", () => {
  for (let slot = 0; slot < 4096; slot++) {
    const { dueMs } = new DueTimes(slot, 0, 60_000, middle);
    expect(dueMs).toBeGreaterThanOrEqual(0);
    expect(dueMs).toBeLessThan(50);
  }
});

test("the phases of neighbors are spread over the interval", () => {
  const tenths = new Array<number>(10).fill(0);
  for (let slot = 0; slot < 100; slot++) {
    tenths[Math.floor(new DueTimes(slot, 0, 50, middle).dueMs / 5)]!++;
  }
  for (const count of tenths) expect(Math.abs(count - 10)).toBeLessThanOrEqual(2);
});

describe("refusals", () => {
  test("are answered from the third on by waiting 100 ms, then double, up to 5 s", () => {
    const due = new DueTimes(0, 0, 50, middle);
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      const nowMs = due.dueMs;
      due.advance(nowMs);
      due.refused(nowMs);
      waits.push(due.dueMs - nowMs);
    }
    expect(waits).toEqual([
      50,
      50,
      100,
      200,
      400,
      800,
      1600,
      3200,
      BACKOFF_LAST_MS,
      BACKOFF_LAST_MS,
    ]);
  });

  test("never make an endpoint due sooner than its interval", () => {
    const due = new DueTimes(0, 0, 10_000, middle);
    for (let i = 0; i < 5; i++) {
      const nowMs = due.dueMs;
      due.advance(nowMs);
      due.refused(nowMs + 1);
      expect(due.dueMs - nowMs).toBe(10_000);
    }
  });

  test("are forgotten after an answer", () => {
    const due = new DueTimes(0, 0, 50, middle);
    for (let i = 0; i < 6; i++) due.refused(0);
    due.answered();
    const nowMs = due.dueMs;
    due.advance(nowMs);
    due.refused(nowMs);
    expect(due.dueMs - nowMs).toBe(50);
  });
});
