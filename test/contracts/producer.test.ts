/**
 * What every registered producer must do, for any life of requests and any pool that changes meanwhile.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EndCause, Flight, Producer } from "../../scheduler/index.ts";
import { ContractWorld, definitionsOf, variantsOf } from "../support/contract-world.ts";
import { HEAP_GROWTH_MAX, heapGrowth } from "../support/heap-growth.ts";
import {
  endpointMetadata,
  requestOf,
  START_MS,
  schedulerOf,
  scrape,
} from "../support/scheduler-setup.ts";

const ENDPOINTS = 6;

/** A scheduler with this producer, whatever consumes it, and picks at random. */
function schedulerWith(type: string, parameters: unknown) {
  return schedulerOf({
    plugins: [{ type, parameters }, { type: "random-picker" }],
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "random-picker" }] }],
  });
}

type Step =
  | { readonly kind: "add" | "remove"; readonly endpoint: number }
  | { readonly kind: "scrape"; readonly endpoint: number; readonly cacheBlocks: number }
  | { readonly kind: "pick" | "plain-pick"; readonly prompt: number; readonly tokens: number }
  | { readonly kind: "first-token"; readonly flight: number }
  | { readonly kind: "served"; readonly flight: number; readonly endpoint: number }
  | { readonly kind: "complete"; readonly flight: number; readonly cause: EndCause };

const endpoint = fc.nat(ENDPOINTS - 1);
const flight = fc.nat(30);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("add" as const), endpoint }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), endpoint }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("scrape" as const),
      endpoint,
      cacheBlocks: fc.nat(20),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom("pick" as const, "pick" as const, "plain-pick" as const),
      prompt: fc.nat(3),
      tokens: fc.nat(700),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("first-token" as const), flight }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("served" as const), flight, endpoint }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("complete" as const),
      flight,
      cause: fc.constantFrom<EndCause[]>("natural", "error", "client-disconnect", "evicted"),
    }),
  },
);

function tokensOf(prompt: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => prompt * 1_000_003 + i);
}

test("there are producers to check", () => {
  expect(definitionsOf("producer").length).toBeGreaterThan(2);
});

for (const definition of definitionsOf("producer")) {
  for (const { name, parameters } of variantsOf(definition)) {
    describe(name, () => {
      const play = (steps: readonly Step[]) => {
        const setup = schedulerWith(definition.type, parameters);
        const { pool, scheduler } = setup;
        const flights: Flight[] = [];
        const take = (at: number, use: (known: Flight) => void): void => {
          const known = flights[at];
          if (known !== undefined) use(known);
        };
        for (const move of steps) {
          switch (move.kind) {
            case "add":
              pool.upsert(endpointMetadata(move.endpoint));
              break;
            case "remove":
              pool.remove(`default/p${move.endpoint}`);
              break;
            case "scrape": {
              const slot = pool.slotOf(`default/p${move.endpoint}`);
              if (slot < 0) break;
              scrape(pool, slot, {}, START_MS);
              pool.columns.cacheBlocks[slot] = move.cacheBlocks;
              pool.columns.cacheBlockSize[slot] = 16;
              break;
            }
            case "first-token":
              take(move.flight, (known) => scheduler.firstToken(known));
              break;
            case "served":
              take(move.flight, (known) => scheduler.served(known, `10.0.0.${move.endpoint}:8000`));
              break;
            case "complete":
              take(move.flight, (known) => scheduler.complete(known, move.cause));
              break;
            default: {
              const request = requestOf(scheduler, tokensOf(move.prompt, move.tokens));
              const outcome =
                move.kind === "pick"
                  ? scheduler.schedule(request, null)
                  : scheduler.scheduleFallback(request, null);
              if (outcome.kind === "picked") flights.push(outcome);
            }
          }
          for (let slot = 0; slot < pool.columns.capacity; slot++) {
            expect(pool.columns.inflight[slot]).toBeGreaterThanOrEqual(0);
            expect(pool.columns.inflightTokens[slot]).toBeGreaterThanOrEqual(0);
          }
        }
        return { ...setup, flights };
      };

      test("what requests charge goes back to zero, whatever order they end in", () => {
        const order = fc.array(fc.nat(), { minLength: 60, maxLength: 60 });
        fc.assert(
          fc.property(fc.array(step, { maxLength: 60 }), order, (steps, keys) => {
            const { flights, pool, scheduler } = play(steps);
            const ending = flights.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]!);
            for (const i of ending) {
              if (keys[i]! % 2 === 0) scheduler.firstToken(flights[i]!);
              scheduler.complete(flights[i]!, "natural");
              scheduler.complete(flights[i]!, "error");
            }
            expect(Math.max(...pool.columns.inflight)).toBe(0);
            expect(Math.max(...pool.columns.inflightTokens)).toBe(0);
            scheduler.auditStep();
            expect(scheduler.stats().accountingRepairs).toBe(0);
            for (const { state } of Object.values(scheduler.pluginsState())) {
              for (const [key, value] of Object.entries(state)) {
                expect(Number.isFinite(value), key).toBe(true);
              }
            }
          }),
        );
      });

      test("publishes what it says, in objects that stay the same while the pool grows", () => {
        const world = new ContractWorld([]);
        const { producer } = world.create(definition, parameters);
        expect(Object.keys(producer!.data).sort()).toEqual([...(definition.produces ?? [])].sort());
        const before = { ...producer!.data };
        for (let i = 0; i < 100; i++) {
          const slot = world.pool.upsert(endpointMetadata(i));
          producer!.endpointAdded?.(slot);
        }
        world.candidates.reset(START_MS);
        producer!.produce?.(world.request, world.candidates);
        for (const [type, datum] of Object.entries(producer!.data)) {
          expect(datum).toBe(before[type as keyof Producer["data"]]);
          for (const [field, array] of Object.entries(datum)) {
            if (typeof array === "string") continue; // a fact of the request, not of its candidates
            expect(array.length, `${type}.${field}`).toBeGreaterThanOrEqual(100);
          }
        }
      });

      test("changes neither candidates nor columns while it produces", () => {
        const { pool, scheduler } = schedulerWith(definition.type, parameters);
        for (let i = 0; i < 5; i++) scrape(pool, pool.upsert(endpointMetadata(i)), {}, START_MS);
        const world = new ContractWorld([]);
        for (let i = 0; i < 5; i++)
          scrape(world.pool, world.pool.upsert(endpointMetadata(i)), {}, START_MS);
        world.candidates.reset(START_MS);
        const before = world.snapshot();
        const slots = [...world.candidates.slots];
        const { producer } = world.create(definition, parameters);
        producer!.setPlanIndex?.(0);
        producer!.produce?.(requestOf(scheduler, tokensOf(1, 500)), world.candidates);
        expect(world.snapshot()).toBe(before);
        expect([...world.candidates.slots]).toEqual(slots);
      });

      test("keeps no memory that grows with the requests that have ended", () => {
        const { pool, scheduler } = schedulerWith(definition.type, parameters);
        for (let i = 0; i < 5; i++) pool.upsert(endpointMetadata(i));
        const requests = Array.from({ length: 50 }, (_, i) =>
          requestOf(scheduler, tokensOf(i, 500)),
        );
        const growth = heapGrowth((i) => {
          const outcome = scheduler.schedule(requests[i % 50]!, null);
          if (outcome.kind !== "picked") throw new Error(outcome.reason);
          if (i % 3 > 0) scheduler.firstToken(outcome);
          scheduler.complete(outcome, i % 3 > 0 ? "natural" : "error");
        });
        expect(growth).toBeLessThan(HEAP_GROWTH_MAX);
      });
    });
  }
}
