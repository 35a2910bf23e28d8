/**
 * What every registered picker must do, for any pool and totals.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Pick } from "../../scheduler/index.ts";
import {
  anyEndpoint,
  ContractWorld,
  definitionsOf,
  sampleWorld,
  variantsOf,
} from "../support/contract-world.ts";
import { HEAP_GROWTH_MAX, heapGrowth } from "../support/heap-growth.ts";

const UNTOUCHED = -77;
const scored = fc.array(
  fc.tuple(
    anyEndpoint,
    fc.oneof(fc.constantFrom(0, 1, 2.5), fc.double({ min: 0, max: 9, noNaN: true })),
  ),
  { minLength: 1, maxLength: 20 },
);
const wanted = fc.integer({ min: 1, max: 16 });

test("there are pickers to check", () => {
  expect(definitionsOf("picker").length).toBeGreaterThan(2);
});

for (const definition of definitionsOf("picker")) {
  for (const { name, parameters: defaults } of variantsOf(definition)) {
    describe(name, () => {
      const parametersFor = (maxNumOfEndpoints: number): unknown => ({
        ...(defaults as object),
        maxNumOfEndpoints,
      });

      test("picks as many different candidates as are wanted and there, at least one", () => {
        fc.assert(
          fc.property(scored, wanted, fc.nat(), (candidates, count, seed) => {
            const world = new ContractWorld(candidates.map(([pod]) => pod));
            const { picker } = world.create(definition, parametersFor(count), seed);
            const totals = Float64Array.from(candidates, ([, total]) => total);
            const out = new Pick(16);
            out.indexes.fill(UNTOUCHED);
            picker!.pick(world.request, world.candidates, totals, out);
            const picked = [...out.indexes.subarray(0, out.count)];
            expect(out.count).toBe(Math.min(count, candidates.length));
            expect(new Set(picked).size).toBe(out.count);
            for (const index of picked) {
              expect(index).toBeGreaterThanOrEqual(0);
              expect(index).toBeLessThan(candidates.length);
            }
            expect(out.indexes.subarray(out.count).every((index) => index === UNTOUCHED)).toBe(
              true,
            );
          }),
        );
      });

      test("changes neither pool, candidates nor totals", () => {
        fc.assert(
          fc.property(scored, wanted, (candidates, count) => {
            const world = new ContractWorld(candidates.map(([pod]) => pod));
            const before = world.snapshot();
            const slots = [...world.candidates.slots];
            const totals = Float64Array.from(candidates, ([, total]) => total);
            const { picker } = world.create(definition, parametersFor(count));
            picker!.pick(world.request, world.candidates, totals, new Pick(16));
            expect(world.snapshot()).toBe(before);
            expect([...world.candidates.slots]).toEqual(slots);
            expect([...totals]).toEqual(candidates.map(([, total]) => total));
          }),
          { numRuns: 30 },
        );
      });

      test("picks of two instances with the same seed are the same, pick by pick", () => {
        fc.assert(
          fc.property(scored, wanted, fc.nat(), (candidates, count, seed) => {
            const world = new ContractWorld(candidates.map(([pod]) => pod));
            const totals = Float64Array.from(candidates, ([, total]) => total);
            const picksOfOne = (): string => {
              const { picker } = world.create(definition, parametersFor(count), seed);
              const out = new Pick(16);
              const picks: number[][] = [];
              for (let i = 0; i < 5; i++) {
                picker!.pick(world.request, world.candidates, totals, out);
                picks.push([...out.indexes.subarray(0, out.count)]);
              }
              return JSON.stringify(picks);
            };
            expect(picksOfOne()).toBe(picksOfOne());
          }),
        );
      });

      test("a single candidate is the pick, whatever its total", () => {
        const totals = fc.constantFrom(0, 1, 1e-300, Number.NaN);
        fc.assert(
          fc.property(anyEndpoint, totals, (pod, total) => {
            const world = new ContractWorld([pod]);
            const { picker } = world.create(definition, defaults);
            const out = new Pick(16);
            picker!.pick(world.request, world.candidates, Float64Array.of(total), out);
            expect([out.count, out.indexes[0]]).toEqual([1, 0]);
          }),
        );
      });

      test("keeps no memory that grows with the picks it has made", () => {
        const world = sampleWorld(20);
        const { picker } = world.create(definition, parametersFor(3));
        const totals = Float64Array.from({ length: 20 }, (_, i) => i % 3);
        const out = new Pick(16);
        const growth = heapGrowth(() => picker!.pick(world.request, world.candidates, totals, out));
        expect(growth).toBeLessThan(HEAP_GROWTH_MAX);
      });
    });
  }
}
