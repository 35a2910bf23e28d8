/**
 * A short soak in every run of the suite; `npm run soak` is the long one.
 * @module
 */
import { expect, test } from "vitest";
import { keptNames, memoryGrowth, soak } from "./soak.ts";

/** In half a minute caches still fill: this bound catches what grows with each request, the long run the rest. */
const GROWTH_MAX = 1.3;

test("what a request takes it gives back, however it ends, and memory stays", async () => {
  const { surprises, before, after, samples } = await soak({ seconds: 30, rate: 150 });
  expect(surprises).toEqual([]);
  expect(keptNames(before, after)).toEqual([]);
  expect(memoryGrowth(samples).rss).toBeLessThan(GROWTH_MAX);
});
