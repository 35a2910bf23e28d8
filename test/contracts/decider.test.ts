/**
 * What every registered decider must do, for any pool.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  anyEndpoint,
  anyRequest,
  ContractWorld,
  definitionsOf,
  variantsOf,
} from "../support/contract-world.ts";

const endpoints = fc.array(anyEndpoint, { minLength: 1, maxLength: 12 });

test("there are deciders to check", () => {
  expect(definitionsOf("decider").length).toBeGreaterThan(2);
});

for (const definition of definitionsOf("decider")) {
  for (const { name, parameters } of variantsOf(definition)) {
    describe(name, () => {
      test("changes nothing, and the same input gives the same answer, with an endpoint or without", () => {
        fc.assert(
          fc.property(endpoints, anyRequest, fc.nat(), (pods, facts, choice) => {
            const world = new ContractWorld(pods, facts);
            const decider = world.create(definition, parameters).decider!;
            const before = world.snapshot();
            for (const slot of [-1, choice % pods.length]) {
              const once = decider.disaggregate(world.request, slot);
              expect(typeof once).toBe("boolean");
              expect(decider.disaggregate(world.request, slot)).toBe(once);
            }
            expect(world.snapshot()).toBe(before);
          }),
        );
      });
    });
  }
}
