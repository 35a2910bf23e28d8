import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../test/support/plugin-setup.ts";
import { START_MS, scrape } from "../test/support/scheduler-setup.ts";
import { Known } from "./endpoints.ts";
import { areAllFresh, blendUntrusted, FADE_MS, staleAfterMs, trustOf } from "./staleness.ts";

const STALE_MS = staleAfterMs(50);

/** Endpoints with scrapes of these ages; null = never. */
function setup(agesMs: readonly (number | null)[]) {
  const { candidates, pool } = pluginSetup(agesMs.length);
  agesMs.forEach((ageMs, slot) => {
    if (ageMs !== null) scrape(pool, slot, {}, START_MS - ageMs);
  });
  candidates.reset(START_MS);
  return { candidates, pool };
}

function blended(agesMs: readonly (number | null)[], values: readonly number[]): number[] {
  const { candidates } = setup(agesMs);
  const scores = Float64Array.from(values);
  blendUntrusted(candidates, Known.waiting, STALE_MS, scores);
  return [...scores];
}

test("a value is stale after five scrape intervals, but not within a second", () => {
  expect(staleAfterMs(undefined)).toBe(1000);
  expect(staleAfterMs(50)).toBe(1000);
  expect(staleAfterMs(200)).toBe(1000);
  expect(staleAfterMs(3000)).toBe(15_000);
});

describe("trust", () => {
  const trustAt = (ageMs: number | null, fact: number = Known.waiting): number => {
    const { pool } = setup([ageMs]);
    return trustOf(pool.columns, 0, fact, START_MS, STALE_MS);
  };

  test("is whole while fresh, fades over ten seconds, then is gone", () => {
    expect(trustAt(0)).toBe(1);
    expect(trustAt(STALE_MS)).toBe(1);
    expect(trustAt(STALE_MS + FADE_MS / 4)).toBe(0.75);
    expect(trustAt(STALE_MS + FADE_MS)).toBe(0);
    expect(trustAt(1e9)).toBe(0);
  });

  test("there is none without a scrape, however young the clock", () => {
    const { candidates, pool } = setup([null]);
    pool.columns.known[0] = Known.waiting;
    candidates.nowMs = 10;
    expect(trustOf(pool.columns, 0, Known.waiting, 10, STALE_MS)).toBe(0);
    expect(areAllFresh(candidates, Known.waiting, STALE_MS)).toBe(false);
  });

  test("there is none without a scrape, and none in a fact that the engine does not report", () => {
    expect(trustAt(null)).toBe(0);
    const { pool } = setup([0]);
    pool.columns.known[0] = Known.waiting;
    expect(trustOf(pool.columns, 0, Known.waiting, START_MS, STALE_MS)).toBe(1);
    expect(trustOf(pool.columns, 0, Known.running, START_MS, STALE_MS)).toBe(0);
  });
});

describe("blending", () => {
  test("leaves fresh scores as they are", () => {
    expect(blended([0, 500, STALE_MS], [0.2, 0.7, 1])).toEqual([0.2, 0.7, 1]);
  });

  test("gives unknown endpoints the mean of the known ones, whatever stands in their place", () => {
    expect(blended([0, null, 0], [0.25, 99, 0.75])).toEqual([0.25, 0.5, 0.75]);
  });

  test("gives everybody 1 when nobody is known", () => {
    expect(blended([null, null], [0, 0.3])).toEqual([1, 1]);
  });

  test("draws a stale score halfway to the mean at half trust", () => {
    const scores = blended([0, STALE_MS + FADE_MS / 2], [1, 0]);
    const mean = 1 / 1.5; // the stale one counts half in it
    expect(scores[0]).toBe(1);
    expect(scores[1]).toBeCloseTo(mean / 2, 12);
  });

  test("keeps every score within the range of the trusted ones", () => {
    const age = fc.option(fc.nat(2 * (STALE_MS + FADE_MS)));
    const score = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(age, score), { minLength: 1, maxLength: 20 }), (endpoints) => {
        const ages = endpoints.map(([ageMs]) => ageMs);
        const before = endpoints.map(([, value]) => value);
        const after = blended(ages, before);
        const trusted = before.filter((_, i) => {
          const ageMs = ages[i] ?? null;
          return ageMs !== null && ageMs < STALE_MS + FADE_MS;
        });
        const low = trusted.length === 0 ? 1 : Math.min(...trusted);
        const high = trusted.length === 0 ? 1 : Math.max(...trusted);
        for (const value of after) {
          expect(value).toBeGreaterThanOrEqual(low - 1e-12);
          expect(value).toBeLessThanOrEqual(high + 1e-12);
        }
      }),
    );
  });
});

test("all are fresh exactly when each has full trust", () => {
  const age = fc.option(fc.nat(3 * STALE_MS), { freq: 8 });
  fc.assert(
    fc.property(fc.array(age, { maxLength: 6 }), fc.boolean(), (ages, isFirstWithoutFact) => {
      const { candidates, pool } = setup(ages);
      if (isFirstWithoutFact && ages.length > 0) pool.columns.known[0] = Known.running;
      const trusts = ages.map((_, slot) =>
        trustOf(pool.columns, slot, Known.waiting, START_MS, STALE_MS),
      );
      const expected = trusts.every((trust) => trust === 1);
      expect(areAllFresh(candidates, Known.waiting, STALE_MS)).toBe(expected);
    }),
  );
});
