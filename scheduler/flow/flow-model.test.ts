import { expect, test } from "vitest";
import { FlowWorld } from "../../test/support/flow-world.ts";

/** Worlds are many rather than long: each has other policies and bounds. */
const WORLDS = 500;
const STEPS = 2_000;
const FIRST_SEED = 1;

test("a million random steps: outcomes, order, bounds and gauges are those of the naive reference", {
  timeout: 180_000,
}, () => {
  const happened = new Map<string, number>();
  let steps = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + WORLDS; seed++) {
    const world = new FlowWorld(seed);
    try {
      for (let i = 0; i < STEPS; i++) world.step();
      world.finish();
    } catch (error) {
      throw new Error(`world of seed ${seed}`, { cause: error });
    }
    steps += world.steps;
    for (const [what, count] of world.happened) {
      happened.set(what, (happened.get(what) ?? 0) + count);
    }
  }
  expect(steps).toBeGreaterThanOrEqual(1_000_000);
  for (const what of [
    "Dispatched",
    "RejectedCapacity",
    "RejectedNoEndpoints",
    "EvictedTTL",
    "EvictedNoEndpoints",
    "EvictedContextCancelled",
    "EvictedOther",
    "revoked",
    "confirmed",
    "timed_out",
    "shared flow",
    "aged turn",
  ]) {
    expect(happened.get(what) ?? 0, what).toBeGreaterThan(20);
  }
});
