import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { scrape } from "../../test/support/scheduler-setup.ts";
import { InferenceRequest } from "../request.ts";
import { meanLoad, probabilisticAdmitter, refusedShare } from "./probabilistic-admitter.ts";

const defaults = probabilisticAdmitter.parameters.parse({});
const sheddable = new InferenceRequest({ priority: -1 });

/** An admitter over endpoints with these queues, and the draws it gets. */
function setupOf(queues: readonly number[], draws: readonly number[] = []) {
  const { candidates, handle, pool } = pluginSetup(queues.length, {}, draws);
  queues.forEach((waiting, slot) => {
    scrape(pool, slot, { waiting }, 1);
  });
  return { admitter: probabilisticAdmitter.create(defaults, handle).admitter!, candidates };
}

test("refuses when the draw is below the share, and passes when it is not", () => {
  // Load 0.2: 0.2^5 × 300 = 0.096.
  const { admitter, candidates } = setupOf([1], [0.0959, 0.0961]);
  expect(admitter.admit(sheddable, candidates)).toBe("not-admitted");
  expect(admitter.admit(sheddable, candidates)).toBeNull();
});

test("never looks at requests that are not sheddable, nor at an empty list", () => {
  const { admitter, candidates } = setupOf([50]); // a draw would throw
  expect(admitter.admit(new InferenceRequest({ priority: 0 }), candidates)).toBeNull();
  expect(admitter.admit(new InferenceRequest({ priority: 3 }), candidates)).toBeNull();
  candidates.count = 0;
  expect(admitter.admit(sheddable, candidates)).toBeNull();
});

describe("share", () => {
  test("is 2.3 % at 0.15, all from (1/k)^(1/power) on, and never above 1", () => {
    expect(refusedShare(0.15, defaults)).toBeCloseTo(0.0228, 4);
    expect(refusedShare(0.2, defaults)).toBeCloseTo(0.096, 12);
    expect(refusedShare((1 / 300) ** (1 / 5), defaults)).toBeCloseTo(1, 12);
    expect(refusedShare(7, defaults)).toBe(1);
    expect(refusedShare(0, defaults)).toBe(0);
  });

  test("rises with the load", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 3, noNaN: true }),
        fc.double({ min: 0, max: 3, noNaN: true }),
        (a, b) => {
          const low = refusedShare(Math.min(a, b), defaults);
          expect(low).toBeLessThanOrEqual(refusedShare(Math.max(a, b), defaults));
          expect(low).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });
});

test("an endpoint that was never scraped counts 1, a stale one what it said last", () => {
  const { candidates } = setupOf([5, 0]);
  candidates.pool.columns.scrapedAtMs[1] = 0;
  candidates.nowMs = 1e9;
  expect(meanLoad(candidates, defaults)).toBe(1);
  candidates.pool.columns.scrapedAtMs[1] = 1;
  expect(meanLoad(candidates, defaults)).toBe(0.5);
});

test("parameters above 0 only", () => {
  for (const name of ["queueDepthThreshold", "kvCacheUtilThreshold", "power", "k"]) {
    expect(probabilisticAdmitter.parameters.safeParse({ [name]: 0 }).success, name).toBe(false);
  }
  expect(probabilisticAdmitter.parameters.safeParse({ other: 1 }).success).toBe(false);
});
