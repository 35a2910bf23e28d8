import { describe, expect, test } from "vitest";
import {
  endpointMetadata,
  requestOf,
  type SchedulingDocument,
  START_MS,
  schedulerOf,
  scrape,
} from "../test/support/scheduler-setup.ts";
import { DecisionRecorder } from "./decision.ts";
import type { Flight } from "./flight.ts";
import type { Outcome } from "./outcome.ts";
import { InferenceRequest } from "./request.ts";

const nobody = new InferenceRequest({});

function flightOf(outcome: Outcome): Flight {
  if (outcome.kind === "picked") return outcome;
  throw new Error(`rejected: ${outcome.reason}`);
}

function reasonOf(outcome: Outcome): string {
  return outcome.kind === "rejected" ? outcome.reason : `picked ${outcome.destination}`;
}

/** Token ids of `blocks` blocks of 64. */
function prompt(blocks: number, seed = 0): number[] {
  return Array.from({ length: blocks * 64 }, (_, i) => seed * 1_000_003 + i);
}

describe("the built-in configuration", () => {
  test("weighs queue 2, KV cache 2 and prefix 3, and sends to the highest total", () => {
    const { pool, scheduler } = schedulerOf();
    const facts = [
      { waiting: 10, kvUtilization: 0.9 },
      { waiting: 0, kvUtilization: 0.1 },
      { waiting: 5, kvUtilization: 0.5 },
    ];
    facts.forEach((fact, i) => {
      scrape(pool, pool.upsert(endpointMetadata(i)), fact, START_MS);
    });
    // p0 holds all 8 blocks of the prompt, p2 half of them.
    const whole = requestOf(scheduler, prompt(8));
    scheduler.firstToken(flightOf(scheduler.schedule(whole, ["10.0.0.0"])));
    const half = requestOf(scheduler, prompt(8).slice(0, 4 * 64));
    scheduler.firstToken(flightOf(scheduler.schedule(half, ["10.0.0.2"])));

    const flight = flightOf(scheduler.schedule(whole, null));
    expect(flight.destination).toBe("10.0.0.1:8000");
    const totals: Record<string, number> = {};
    scheduler.lastScores(totals);
    expect(totals["10.0.0.0:8000"]).toBeCloseTo(3.2, 9);
    expect(totals["10.0.0.1:8000"]).toBeCloseTo(3.8, 9);
    expect(totals["10.0.0.2:8000"]).toBeCloseTo(3.5, 9);
  });

  test("sends a conversation back to the endpoint that has its beginning", () => {
    const { pool, scheduler } = schedulerOf();
    for (let i = 0; i < 4; i++) scrape(pool, pool.upsert(endpointMetadata(i)), {}, START_MS);
    const first = flightOf(scheduler.schedule(requestOf(scheduler, prompt(4)), null));
    scheduler.firstToken(first);
    scheduler.complete(first, "natural");
    for (let turn = 5; turn < 9; turn++) {
      const next = flightOf(scheduler.schedule(requestOf(scheduler, prompt(turn)), null));
      expect(next.destination).toBe(first.destination);
      scheduler.firstToken(next);
      scheduler.complete(next, "natural");
    }
  });

  test("spreads a burst of equal requests evenly, although no metrics arrive in between", () => {
    const { pool, scheduler } = schedulerOf();
    for (let i = 0; i < 5; i++) scrape(pool, pool.upsert(endpointMetadata(i)), {}, START_MS);
    const counts = new Map<string, number>();
    for (let i = 0; i < 50; i++) {
      const { destination } = flightOf(scheduler.schedule(nobody, null));
      counts.set(destination, (counts.get(destination) ?? 0) + 1);
    }
    expect([...counts.values()]).toEqual([10, 10, 10, 10, 10]);
  });

  test("prefers nobody for not having been scraped", () => {
    const { pool, scheduler } = schedulerOf();
    scrape(pool, pool.upsert(endpointMetadata(0)), { waiting: 1, kvUtilization: 0.1 }, START_MS);
    scrape(pool, pool.upsert(endpointMetadata(1)), { waiting: 0, kvUtilization: 0 }, START_MS);
    pool.upsert(endpointMetadata(2));
    expect(flightOf(scheduler.schedule(nobody, null)).destination).toBe("10.0.0.1:8000");
  });
});

describe("the subset hint", () => {
  test("narrows the pool, and an empty one leaves nobody", () => {
    const { pool, scheduler } = schedulerOf();
    for (let i = 0; i < 3; i++) pool.upsert(endpointMetadata(i));
    expect(flightOf(scheduler.schedule(nobody, ["10.0.0.2:8000"])).destination).toBe(
      "10.0.0.2:8000",
    );
    expect(reasonOf(scheduler.schedule(nobody, []))).toBe("no-candidates");
    expect(reasonOf(scheduler.schedule(nobody, ["10.9.9.9"]))).toBe("no-candidates");
  });
});

describe("rejections", () => {
  test("an empty pool has no candidates", () => {
    expect(reasonOf(schedulerOf().scheduler.schedule(nobody, null))).toBe("no-candidates");
  });

  test("tell whether labels left nobody", () => {
    const { pool, scheduler } = schedulerOf({
      plugins: [{ type: "prefill-filter" }, { type: "max-score-picker" }],
    });
    pool.upsert(endpointMetadata(0));
    expect(reasonOf(scheduler.schedule(nobody, null))).toBe("filtered-by-labels");
    expect(scheduler.openFlights).toBe(0);
  });

  test("charge nothing and leave no scores", () => {
    const { pool, scheduler } = schedulerOf();
    pool.upsert(endpointMetadata(0));
    const flight = flightOf(scheduler.schedule(nobody, null));
    scheduler.schedule(nobody, []);
    const scores: Record<string, number> = {};
    scheduler.lastScores(scores);
    expect(scores).toEqual({});
    scheduler.complete(flight, "natural");
    expect(scheduler.stats()).toEqual({
      openFlights: 0,
      flightsTotal: 1,
      accountingRepairs: 0,
      nanScores: 0,
    });
  });
});

describe("accounting", () => {
  const document: SchedulingDocument = {
    plugins: [{ type: "token-load-scorer" }, { type: "max-score-picker" }],
  };

  test("a pick is charged before the next one is made, and given back at its end", () => {
    const { pool, scheduler } = schedulerOf(document);
    for (let i = 0; i < 2; i++) pool.upsert(endpointMetadata(i));
    const { inflight, inflightTokens } = pool.columns;
    const request = new InferenceRequest({ promptTokens: 100 });
    const a = flightOf(scheduler.schedule(request, null));
    const b = flightOf(scheduler.schedule(request, null));
    expect(new Set([a.destination, b.destination]).size).toBe(2);
    expect([...inflight.subarray(0, 2)]).toEqual([1, 1]);
    expect([...inflightTokens.subarray(0, 2)]).toEqual([100, 100]);
    scheduler.complete(a, "natural");
    scheduler.complete(b, "client-disconnect");
    expect([...inflight.subarray(0, 2)]).toEqual([0, 0]);
    expect([...inflightTokens.subarray(0, 2)]).toEqual([0, 0]);
  });

  test("the first token gives back the prompt's tokens, the end the request", () => {
    const { pool, scheduler } = schedulerOf(document);
    pool.upsert(endpointMetadata(0));
    const { inflight, inflightTokens } = pool.columns;
    const flight = flightOf(scheduler.schedule(new InferenceRequest({ promptTokens: 100 }), null));
    scheduler.firstToken(flight);
    scheduler.firstToken(flight);
    expect([inflight[0], inflightTokens[0]]).toEqual([1, 0]);
    scheduler.complete(flight, "natural");
    scheduler.complete(flight, "error");
    scheduler.firstToken(flight);
    expect([inflight[0], inflightTokens[0]]).toEqual([0, 0]);
    expect(flight.state).toBe("closed");
    expect(scheduler.stats().accountingRepairs).toBe(0);
  });

  test("a flight to an endpoint that left gives nothing to its successor in the slot", () => {
    const { pool, scheduler } = schedulerOf(document);
    const slot = pool.upsert(endpointMetadata(0));
    const flight = flightOf(scheduler.schedule(new InferenceRequest({ promptTokens: 9 }), null));
    pool.remove("default/p0");
    expect(pool.upsert(endpointMetadata(1))).toBe(slot);
    const other = flightOf(scheduler.schedule(new InferenceRequest({ promptTokens: 5 }), null));
    scheduler.firstToken(flight);
    scheduler.complete(flight, "error");
    expect([pool.columns.inflight[slot], pool.columns.inflightTokens[slot]]).toEqual([1, 5]);
    scheduler.complete(other, "natural");
    expect(pool.columns.inflight[slot]).toBe(0);
  });

  test("an audit repairs what somebody else wrote into the columns", () => {
    const { pool, scheduler } = schedulerOf(document);
    pool.upsert(endpointMetadata(0));
    scheduler.schedule(nobody, null);
    pool.columns.inflight[0] = 77;
    scheduler.auditStep();
    expect(pool.columns.inflight[0]).toBe(1);
    expect(scheduler.stats().accountingRepairs).toBe(1);
  });
});

test("recording can be switched on and off, and changes no pick", () => {
  const destinations = (recorder: DecisionRecorder | null): string[] => {
    const { pool, scheduler } = schedulerOf();
    scheduler.recorder = recorder;
    for (let i = 0; i < 3; i++) pool.upsert(endpointMetadata(i));
    return Array.from({ length: 9 }, (_, i) => {
      const facts = { id: `r${i}` };
      return flightOf(scheduler.schedule(requestOf(scheduler, prompt(2, i), facts), null))
        .destination;
    });
  };
  const recorder = new DecisionRecorder(9);
  expect(destinations(recorder)).toEqual(destinations(null));
  expect(recorder.newest(9).map(({ requestId }) => requestId)).toHaveLength(9);
  expect(recorder.find("r4")!.promptTokens).toBe(128);
});

describe("a flight that another endpoint serves", () => {
  const OTHER = "10.0.0.1:8000";

  function dispatched() {
    const setup = schedulerOf();
    const { pool, scheduler } = setup;
    for (let i = 0; i < 2; i++) scrape(pool, pool.upsert(endpointMetadata(i)), {}, START_MS);
    const request = requestOf(scheduler, prompt(4));
    const flight = flightOf(scheduler.schedule(request, ["10.0.0.0"]));
    const loads = () => {
      const { creditSinceScrape, inflight, inflightTokens } = pool.columns;
      return [0, 1].map((slot) => [inflight[slot], inflightTokens[slot], creditSinceScrape[slot]]);
    };
    return { ...setup, flight, loads, request };
  }

  test("is charged there with the same, and gives it back there once", () => {
    const { flight, loads, scheduler } = dispatched();
    const [own, none] = loads();
    expect(own![0]).toBe(1);
    expect(scheduler.served(flight, OTHER)).toBe(true);
    expect(loads()).toEqual([none, own]);
    expect(scheduler.served(flight, OTHER)).toBe(false);
    scheduler.firstToken(flight);
    scheduler.complete(flight, "natural");
    scheduler.complete(flight, "natural");
    expect(loads()).toEqual([none, none]);
    scheduler.auditStep();
    expect(scheduler.stats().accountingRepairs).toBe(0);
  });

  test("has its prompt in the cache of that endpoint, and not in that of the one picked first", () => {
    const { flight, request, scheduler } = dispatched();
    scheduler.served(flight, OTHER);
    scheduler.firstToken(flight);
    scheduler.complete(flight, "natural");
    expect(flightOf(scheduler.schedule(request, null)).destination).toBe(OTHER);
  });

  test("stays where it is when the endpoint is the same, is not known, or the flight has ended", () => {
    const { flight, loads, scheduler } = dispatched();
    const before = loads();
    expect(scheduler.served(flight, "10.0.0.0:8000")).toBe(false);
    expect(scheduler.served(flight, "10.9.9.9:8000")).toBe(false);
    expect(scheduler.served(flight, "")).toBe(false);
    expect(loads()).toEqual(before);
    scheduler.complete(flight, "natural");
    const after = loads();
    expect(scheduler.served(flight, OTHER)).toBe(false);
    expect(loads()).toEqual(after);
  });

  test("counts there although the one picked first is gone", () => {
    const { flight, loads, pool, scheduler } = dispatched();
    pool.remove("default/p0");
    expect(scheduler.served(flight, OTHER)).toBe(true);
    expect(loads()[1]![0]).toBe(1);
    scheduler.complete(flight, "natural");
    expect(loads()[1]!.slice(0, 2)).toEqual([0, 0]);
    scheduler.auditStep();
    expect(scheduler.stats().accountingRepairs).toBe(0);
  });
});
