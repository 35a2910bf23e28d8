/**
 * Floods: the attacker's connection is closed within a second, another connection does its work as before, memory stays,
 * and the way in which Envoy ends its exchanges is never taken for one. `npm run e2e:flood` is the longer one.
 * @module
 */
import { beforeAll, expect, test } from "vitest";
import { FLOOD_NAMES, type FloodResult, flood } from "./flood.ts";

/** Three rounds on a machine that has other things to do. */
const FLOOD_MS = 240_000;

let results: readonly FloodResult[];

beforeAll(async () => {
  results = await flood({ attackSeconds: 1.5, latencyMsMin: 40, normalEnds: 20_000 });
}, FLOOD_MS);

test.each(FLOOD_NAMES)("%s: no harm done", (name) => {
  const { misses, figures } = results.find((result) => result.name === name)!;
  expect(misses, JSON.stringify(figures)).toEqual([]);
});
