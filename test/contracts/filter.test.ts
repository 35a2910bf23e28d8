/**
 * What every registered filter must do, for any pool.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { REJECTIONS } from "../../scheduler/index.ts";
import {
  anyEndpoint,
  anyRequest,
  ContractWorld,
  definitionsOf,
  sampleWorld,
  variantsOf,
} from "../support/contract-world.ts";
import { HEAP_GROWTH_MAX, heapGrowth } from "../support/heap-growth.ts";

const endpoints = fc.array(anyEndpoint, { minLength: 1, maxLength: 12 });

test("there are filters to check", () => {
  expect(definitionsOf("filter").length).toBeGreaterThan(4);
});

for (const definition of definitionsOf("filter")) {
  for (const { name, parameters } of variantsOf(definition)) {
    describe(name, () => {
      const keptIn = (world: ContractWorld): number[] => {
        const { candidates, request } = world;
        world.create(definition, parameters).filter!.filter(request, candidates);
        return [...candidates.slots.subarray(0, candidates.count)];
      };

      test("keeps some of the candidates, in their order", () => {
        const some = fc.array(fc.boolean(), { minLength: 12, maxLength: 12 });
        fc.assert(
          fc.property(endpoints, anyRequest, some, (pods, facts, chosen) => {
            const world = new ContractWorld(pods, facts);
            const before = pods.map((_, slot) => slot).filter((slot) => chosen[slot]);
            world.setCandidates(before);
            const kept = keptIn(world);
            expect(before.filter((slot) => kept.includes(slot))).toEqual(kept);
          }),
        );
      });

      test("says why it leaves nobody", () => {
        const { filter } = new ContractWorld([]).create(definition, parameters);
        expect(Object.keys(REJECTIONS)).toContain(filter!.rejects);
      });

      test("changes nothing but the list, and the same input gives the same output", () => {
        fc.assert(
          fc.property(endpoints, anyRequest, (pods, facts) => {
            const world = new ContractWorld(pods, facts);
            const before = world.snapshot();
            const kept = keptIn(world);
            const all = pods.map((_, slot) => slot);
            world.setCandidates(all);
            expect(world.snapshot()).toBe(before);
            expect(keptIn(world)).toEqual(kept);
          }),
          { numRuns: 30 },
        );
      });

      test("the order of the candidates changes the order of the kept, not who is kept", () => {
        fc.assert(
          fc.property(endpoints, anyRequest, (pods, facts) => {
            const world = new ContractWorld(pods, facts);
            const kept = keptIn(world);
            world.setCandidates(pods.map((_, slot) => slot).reverse());
            expect(keptIn(world)).toEqual([...kept].reverse());
          }),
        );
      });

      test("no candidate at all is no problem", () => {
        expect(keptIn(new ContractWorld([]))).toEqual([]);
      });

      test("keeps no memory of the requests it has filtered", () => {
        const world = sampleWorld(20);
        const { filter } = world.create(definition, parameters);
        const all = Array.from({ length: 20 }, (_, slot) => slot);
        const growth = heapGrowth(() => {
          world.setCandidates(all);
          filter!.filter(world.request, world.candidates);
        });
        expect(growth).toBeLessThan(HEAP_GROWTH_MAX);
      });
    });
  }
}
