/**
 * What every registered scorer must do, for any pool.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  anyEndpoint,
  anyRequest,
  ContractWorld,
  definitionsOf,
  sampleWorld,
  variantsOf,
} from "../support/contract-world.ts";
import { HEAP_GROWTH_MAX, heapGrowth } from "../support/heap-growth.ts";

const UNTOUCHED = 12_345;
/** Upstream's rule for these is about the place in the list. */
const BY_LIST_ORDER: ReadonlySet<string> = new Set(["no-hit-lru-scorer (compat: upstream)"]);
const endpoints = fc.array(anyEndpoint, { minLength: 1, maxLength: 12 });

test("there are scorers to check", () => {
  expect(definitionsOf("scorer").length).toBeGreaterThan(5);
});

for (const definition of definitionsOf("scorer")) {
  for (const { name, parameters } of variantsOf(definition)) {
    describe(name, () => {
      const scoresIn = (world: ContractWorld): Map<string, number> => {
        const { candidates, pool, request } = world;
        const { count } = candidates;
        const scores = new Float64Array(count);
        world.create(definition, parameters).scorer!.score(request, candidates, scores);
        return new Map(
          Array.from(scores, (score, i) => [pool.hostPort(candidates.slots[i]!), score]),
        );
      };

      test("scores lie in 0..1, one for each candidate, and nothing is written behind them", () => {
        fc.assert(
          fc.property(endpoints, anyRequest, (pods, facts) => {
            const world = new ContractWorld(pods, facts);
            const { count } = world.candidates;
            const scores = new Float64Array(count + 4).fill(UNTOUCHED);
            const { scorer } = world.create(definition, parameters);
            scorer!.score(world.request, world.candidates, scores);
            for (let i = 0; i < count; i++) {
              expect(scores[i]).toBeGreaterThanOrEqual(0);
              expect(scores[i]).toBeLessThanOrEqual(1);
            }
            expect([...scores.subarray(count)]).toEqual([
              UNTOUCHED,
              UNTOUCHED,
              UNTOUCHED,
              UNTOUCHED,
            ]);
          }),
        );
      });

      test("an engine that reports more than it can have still gets a finite score", () => {
        const overfull = fc.array(
          anyEndpoint.map((pod) => ({ ...pod, kvUtilization: pod.kvUtilization * 1000 })),
          { minLength: 1, maxLength: 6 },
        );
        fc.assert(
          fc.property(overfull, anyRequest, (pods, facts) => {
            for (const score of scoresIn(new ContractWorld(pods, facts)).values()) {
              expect(Number.isFinite(score)).toBe(true);
            }
          }),
        );
      });

      test("changes nothing but the scores, and the same input gives the same output", () => {
        fc.assert(
          fc.property(endpoints, anyRequest, (pods, facts) => {
            const world = new ContractWorld(pods, facts);
            const before = world.snapshot();
            const { scorer } = world.create(definition, parameters);
            const once = new Float64Array(pods.length).fill(UNTOUCHED);
            const again = new Float64Array(pods.length);
            scorer!.score(world.request, world.candidates, once);
            scorer!.score(world.request, world.candidates, again);
            expect(again).toEqual(once);
            expect(world.snapshot()).toBe(before);
          }),
          { numRuns: 30 },
        );
      });

      if (!BY_LIST_ORDER.has(name)) {
        test("the order of the candidates changes no endpoint's score", () => {
          const shuffles = fc.array(fc.nat(), { minLength: 12, maxLength: 12 });
          fc.assert(
            fc.property(endpoints, anyRequest, shuffles, (pods, facts, keys) => {
              const world = new ContractWorld(pods, facts);
              const expected = scoresIn(world);
              const order = pods.map((_, slot) => slot).sort((a, b) => keys[a]! - keys[b]!);
              world.setCandidates(order);
              for (const [hostPort, score] of scoresIn(world)) {
                expect(score).toBeCloseTo(expected.get(hostPort)!, 12);
              }
            }),
          );
        });
      }

      test("no candidate at all is no problem", () => {
        const world = new ContractWorld([]);
        const scores = new Float64Array(2).fill(UNTOUCHED);
        world.create(definition, parameters).scorer!.score(world.request, world.candidates, scores);
        expect([...scores]).toEqual([UNTOUCHED, UNTOUCHED]);
      });

      test("keeps no memory of the requests it has scored", () => {
        const world = sampleWorld(20);
        const { scorer } = world.create(definition, parameters);
        const scores = new Float64Array(20);
        const growth = heapGrowth(() => scorer!.score(world.request, world.candidates, scores));
        expect(growth).toBeLessThan(HEAP_GROWTH_MAX);
      });
    });
  }
}
