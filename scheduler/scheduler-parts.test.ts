/**
 * Schedulers put together by hand, for what no registered plugin does: several profiles, producers that watch, plugins that
 * throw.
 */
import { describe, expect, test } from "vitest";
import { endpointMetadata, START_MS } from "../test/support/scheduler-setup.ts";
import type { Candidates } from "./candidates.ts";
import { ManualClock } from "./clock.ts";
import { EndpointPool } from "./endpoints.ts";
import type { Flight } from "./flight.ts";
import type { Outcome } from "./outcome.ts";
import type { HashPlan, Picker, Producer, ProfileHandler } from "./plugin.ts";
import { Profile } from "./profile.ts";
import { InferenceRequest } from "./request.ts";
import { Scheduler } from "./scheduler.ts";

const nobody = new InferenceRequest({});

function flightOf(outcome: Outcome): Flight {
  if (outcome.kind === "picked") return outcome;
  throw new Error(`rejected: ${outcome.reason}`);
}

function reasonOf(outcome: Outcome): string {
  return outcome.kind === "rejected" ? outcome.reason : `picked ${outcome.destination}`;
}

const pickFirst: Picker = {
  pick(_request, _candidates, _totals, out) {
    out.count = 1;
    out.indexes[0] = 0;
  },
};

interface HandMade {
  readonly producers?: readonly Producer[];
  readonly pickers?: Readonly<Record<string, Picker>>;
  readonly handler?: ProfileHandler;
}

function handMade({ producers = [], pickers = { only: pickFirst }, handler }: HandMade) {
  const pool = new EndpointPool();
  const counters = { nanScores: 0 };
  const names = Object.keys(pickers);
  const profiles = names.map(
    (name) =>
      new Profile({ name, pool, filters: [], scorers: [], picker: pickers[name]!, counters }),
  );
  const scheduler = new Scheduler({
    pool,
    clock: new ManualClock(START_MS),
    profiles: new Map(profiles.map((profile) => [profile.name, profile])),
    handler: handler ?? {
      next: (_request, done) => names[done.length] ?? null,
      primary: (succeeded) => succeeded.at(-1) ?? null,
    },
    producers: producers.map((producer, i) => ({ name: `producer-${i}`, type: "test", producer })),
    recorder: null,
    counters,
  });
  for (let i = 0; i < 4; i++) pool.upsert(endpointMetadata(i));
  return { pool, scheduler };
}

const pickSlot = (...slots: number[]): Picker => ({
  pick(_request, candidates: Candidates, _totals, out) {
    out.count = slots.length;
    slots.forEach((slot, i) => {
      out.indexes[i] = candidates.slots.indexOf(slot);
    });
  },
});

describe("several profiles", () => {
  test("charge their first targets, the primary's before the others", () => {
    const { pool, scheduler } = handMade({
      pickers: { prefill: pickSlot(2, 0), decode: pickSlot(1, 3) },
    });
    const flight = flightOf(scheduler.schedule(nobody, null));
    expect(flight.destination).toBe("10.0.0.1:8000,10.0.0.3:8000");
    expect(flight.charges.map(({ profile, slot }) => [profile, slot])).toEqual([
      ["decode", 1],
      ["prefill", 2],
    ]);
    expect([...pool.columns.inflight.subarray(0, 4)]).toEqual([0, 1, 1, 0]);
    scheduler.complete(flight, "natural");
    expect([...pool.columns.inflight.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
  });

  test("a stage that ends with the first token is off its endpoint, and its credit too", () => {
    const { pool, scheduler } = handMade({
      pickers: { prefill: pickSlot(2), decode: pickSlot(1) },
      producers: [
        {
          data: {},
          firstToken({ charges }) {
            charges[1]!.requests = 0;
          },
        },
      ],
    });
    const flight = flightOf(scheduler.schedule(nobody, null));
    scheduler.firstToken(flight);
    expect([...pool.columns.inflight.subarray(0, 4)]).toEqual([0, 1, 0, 0]);
    expect([...pool.columns.creditSinceScrape.subarray(0, 4)]).toEqual([0, 1, 0, 0]);
    scheduler.complete(flight, "natural");
    expect([...pool.columns.creditSinceScrape.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
  });

  test("the handler hears which have run; one that does not exist gives no result", () => {
    const heard: string[][] = [];
    const { scheduler } = handMade({
      handler: {
        next(_request, done) {
          heard.push([...done]);
          return ["only", "absent"][done.length] ?? null;
        },
        primary: (succeeded) => succeeded.find((name) => name === "absent") ?? null,
      },
    });
    expect(reasonOf(scheduler.schedule(nobody, null))).toBe("no-profile");
    expect(reasonOf(scheduler.schedule(nobody, null))).toBe("no-profile");
    const once = [[], ["only"], ["only", "absent"]];
    expect(heard).toEqual([...once, ...once]);
  });

  test("a handler that never ends is stopped", () => {
    const { scheduler } = handMade({
      handler: { next: () => "only", primary: (succeeded) => succeeded[0] ?? null },
    });
    expect(flightOf(scheduler.schedule(nobody, null)).destination).toBe("10.0.0.0:8000");
  });
});

describe("producers", () => {
  test("with a hash plan are told its index, in their order", () => {
    const told: number[] = [];
    const plan = (blockSizeTokens: number): HashPlan => ({
      blockSizeTokens,
      blocksMax: 1,
      upstreamRoot: false,
    });
    const planned = (hashPlan: HashPlan): Producer => ({
      data: {},
      hashPlan,
      setPlanIndex: (index) => told.push(index),
    });
    const plans = [plan(64), plan(16)];
    const { scheduler } = handMade({
      producers: [planned(plans[0]!), { data: {} }, planned(plans[1]!)],
    });
    expect(told).toEqual([0, 1]);
    expect(scheduler.hashPlans).toEqual(plans);
  });

  test("hear of a request in the order of its life, and of endpoints", () => {
    const events: string[] = [];
    const { pool, scheduler } = handMade({
      producers: [
        {
          data: {},
          produce: (request, { count }) => events.push(`produce ${request.id} ${count}`),
          account: ({ charges }) => {
            charges[0]!.tokens += 40;
            events.push(`account ${charges.length}`);
          },
          firstToken: ({ state }) => events.push(`first token, ${state}`),
          complete: (_flight, cause, answered) => events.push(`complete ${cause} ${answered}`),
          endpointAdded: (slot) => events.push(`added ${slot}`),
          endpointRemoved: (slot) => events.push(`removed ${slot}`),
          stats: () => ({ size: 3 }),
        },
      ],
    });
    events.length = 0;
    const flight = flightOf(scheduler.schedule(new InferenceRequest({ id: "r" }), null));
    expect(pool.columns.inflightTokens[0]).toBe(40);
    scheduler.firstToken(flight);
    scheduler.complete(flight, "natural");
    scheduler.complete(flightOf(scheduler.schedule(nobody, ["10.0.0.0"])), "evicted");
    pool.remove("default/p3");
    pool.upsert(endpointMetadata(9));
    expect(events).toEqual([
      "produce r 4",
      "account 1",
      "first token, streaming",
      "complete natural true",
      "produce  1",
      "account 1",
      "complete evicted false",
      "removed 3",
      "added 3",
    ]);
    expect(scheduler.pluginsState()).toEqual({
      "producer-0": { name: "producer-0", type: "test", state: { size: 3 } },
    });
  });

  test("hear of first token and end once each, however often ingress tells", () => {
    const events: string[] = [];
    const { scheduler } = handMade({
      producers: [
        {
          data: {},
          firstToken: () => events.push("first token"),
          complete: (_flight, cause) => events.push(cause),
        },
      ],
    });
    const flight = flightOf(scheduler.schedule(nobody, null));
    for (let i = 0; i < 3; i++) scheduler.firstToken(flight);
    scheduler.complete(flight, "natural");
    scheduler.complete(flight, "error");
    scheduler.firstToken(flight);
    expect(events).toEqual(["first token", "natural"]);
  });

  test("that change charges late are booked as they leave them", () => {
    const { pool, scheduler } = handMade({
      producers: [
        {
          data: {},
          account: ({ charges }) => {
            charges[0]!.tokens += 100;
          },
          firstToken: ({ charges }) => {
            charges[0]!.tokens += 50;
          },
          complete: ({ charges }) => {
            charges[0]!.tokens = 1;
          },
        },
      ],
    });
    const flight = flightOf(scheduler.schedule(nobody, null));
    scheduler.firstToken(flight);
    expect(pool.columns.inflightTokens[0]).toBe(150);
    scheduler.complete(flight, "natural");
    expect(pool.columns.inflightTokens[0]).toBe(0);
    expect(scheduler.stats().accountingRepairs).toBe(0);
  });
});

describe("a plugin that throws", () => {
  const fault = (): never => {
    throw new Error("a fault");
  };

  test("during the pick leaves nothing charged, and a plain pick is still to be had", () => {
    const { pool, scheduler } = handMade({ producers: [{ data: {}, account: fault }] });
    expect(() => scheduler.schedule(nobody, null)).toThrow("a fault");
    expect(scheduler.openFlights).toBe(0);
    expect(pool.columns.inflight[0]).toBe(0);
    const destinations = [1, 2, 3, 4, 5].map(
      () => flightOf(scheduler.scheduleFallback(nobody, null)).destination,
    );
    expect(destinations).toEqual([0, 1, 2, 3, 0].map((i) => `10.0.0.${i}:8000`));
    expect([...pool.columns.inflight.subarray(0, 4)]).toEqual([2, 1, 1, 1]);
  });

  test("at the first token or the end does not keep the charges", () => {
    const { pool, scheduler } = handMade({
      producers: [
        {
          data: {},
          account: ({ charges }) => {
            charges[0]!.tokens += 10;
          },
          firstToken: fault,
          complete: fault,
        },
      ],
    });
    const flight = flightOf(scheduler.schedule(nobody, null));
    expect(() => scheduler.firstToken(flight)).toThrow("a fault");
    expect(() => scheduler.complete(flight, "error")).toThrow("a fault");
    expect([pool.columns.inflight[0], pool.columns.inflightTokens[0]]).toEqual([0, 0]);
    expect(scheduler.openFlights).toBe(0);
  });

  test("a plain pick keeps to the subset hint, and rejects where that leaves nobody", () => {
    const { scheduler } = handMade({});
    expect(flightOf(scheduler.scheduleFallback(nobody, ["10.0.0.2"])).destination).toBe(
      "10.0.0.2:8000",
    );
    expect(reasonOf(scheduler.scheduleFallback(nobody, []))).toBe("no-candidates");
  });
});
