import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { openPeriod, softReflectiveCeilingPolicy } from "./soft-reflective-ceiling-policy.ts";

const TICK_MS = 10;

function policyOf() {
  const { handle } = pluginSetup(0);
  return softReflectiveCeilingPolicy.create({}, handle).usageLimitPolicy!;
}

function ceilingsAt(policy: ReturnType<typeof policyOf>, s: number, bands: number, nowMs: number) {
  const ceilings = new Float64Array(bands).fill(1);
  const priorities = Array.from({ length: bands }, (_, i) => -i);
  policy.limits(s, priorities, ceilings, nowMs);
  return [...ceilings];
}

test.each([
  [0.5, 1],
  [0.6, 1],
  [0.75, 3],
  [0.9, 9],
  [0.99, 99],
])("at saturation %d one tick of %d is open", (saturation, period) => {
  expect(openPeriod(saturation)).toBe(period);
  const policy = policyOf();
  const open: number[] = [];
  for (let tick = 0; tick < 2 * period; tick++) {
    if (ceilingsAt(policy, saturation, 2, tick * TICK_MS)[1] === 1) open.push(tick);
  }
  expect(open).toEqual([0, period]);
});

test("at 1 and above only the top band is open", () => {
  for (const saturation of [1, 1.5]) {
    expect(ceilingsAt(policyOf(), saturation, 3, 0)).toEqual([1, 0, 0]);
  }
  expect(ceilingsAt(policyOf(), 1, 1, 0)).toEqual([1]);
});

test("a band is open as long as the saturation is below what it reflects", () => {
  const policy = policyOf();
  // Band i of 5 reflects 1 − i × 0.55 / 4: 0.86, 0.73, 0.59 and 0.45; the last is above it. Period 1: open all the same.
  expect(ceilingsAt(policy, 0.55, 5, TICK_MS)).toEqual([1, 1, 1, 1, 1]);
  // 0.9 reflects 0.78, 0.55, 0.33, 0.1: all of them give way, in the same ticks.
  expect(ceilingsAt(policy, 0.9, 5, TICK_MS)).toEqual([1, 0, 0, 0, 0]);
  expect(ceilingsAt(policy, 0.9, 5, 9 * TICK_MS)).toEqual([1, 1, 1, 1, 1]);
});

describe("time", () => {
  test("counts, calls do not", () => {
    const policy = policyOf();
    for (let calls = 0; calls < 50; calls++) {
      expect(ceilingsAt(policy, 0.75, 2, 3 * TICK_MS + calls / 10)[1]).toBe(1);
      expect(ceilingsAt(policy, 0.75, 2, 4 * TICK_MS + calls / 10)[1]).toBe(0);
    }
  });

  test("of the next open tick is told while a band waits for it, and else not", () => {
    const policy = policyOf();
    ceilingsAt(policy, 0.75, 2, 4 * TICK_MS);
    expect(policy.changesAtMs).toBe(6 * TICK_MS);
    ceilingsAt(policy, 0.2, 2, 4 * TICK_MS);
    expect(policy.changesAtMs).toBe(Number.POSITIVE_INFINITY);
    ceilingsAt(policy, 1, 2, 4 * TICK_MS);
    expect(policy.changesAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("that is told is open", () => {
    const policy = policyOf();
    fc.assert(
      fc.property(
        fc.double({ min: 0.75, max: 0.995, noNaN: true }),
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        (saturation, nowMs) => {
          ceilingsAt(policy, saturation, 2, nowMs);
          const atMs = policy.changesAtMs!;
          expect(atMs).toBeGreaterThan(nowMs);
          expect(ceilingsAt(policy, saturation, 2, atMs)[1]).toBe(1);
        },
      ),
    );
  });
});

test("any parameter is an error", () => {
  expect(softReflectiveCeilingPolicy.parameters.safeParse({ x: 1 }).success).toBe(false);
});
