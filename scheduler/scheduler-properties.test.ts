/**
 * What holds for any sequence of requests, ends, scrapes and changes of the pool, and picks compared with those of a
 * scheduler written for clarity.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type NaiveFlight, NaiveScheduler } from "../test/support/naive-scheduler.ts";
import {
  endpointMetadata,
  requestOf,
  type SchedulerSetup,
  type SchedulingDocument,
  schedulerOf,
  scrape,
} from "../test/support/scheduler-setup.ts";
import type { EndCause, Flight } from "./flight.ts";

const ENDPOINTS = 8;
const BLOCK_TOKENS = 64;

// ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type Command =
  | { readonly kind: "add"; readonly endpoint: number; readonly decodes: boolean }
  | { readonly kind: "remove"; readonly endpoint: number }
  | {
      readonly kind: "scrape";
      readonly endpoint: number;
      readonly waiting: number;
      readonly running: number;
      readonly kv: number;
    }
  | {
      readonly kind: "pick";
      readonly conversation: number;
      readonly blocks: number;
      readonly subset: readonly number[] | null;
    }
  | { readonly kind: "first-token"; readonly flight: number }
  | { readonly kind: "served"; readonly flight: number; readonly endpoint: number }
  | { readonly kind: "complete"; readonly flight: number; readonly cause: EndCause }
  | { readonly kind: "wait"; readonly ms: number };

const endpoint = fc.nat(ENDPOINTS - 1);
const flight = fc.nat(40);

const add = fc.record({
  kind: fc.constant("add" as const),
  endpoint,
  decodes: fc.boolean(),
});
const remove = fc.record({ kind: fc.constant("remove" as const), endpoint });
const scraped = fc.record({
  kind: fc.constant("scrape" as const),
  endpoint,
  waiting: fc.nat(5),
  running: fc.nat(5),
  kv: fc.constantFrom(0, 0.25, 0.5, 1, 1.5),
});
const pick = fc.record({
  kind: fc.constant("pick" as const),
  conversation: fc.nat(3),
  blocks: fc.nat(6),
  subset: fc.option(fc.array(endpoint, { maxLength: 4 }), { freq: 4 }),
});
const firstToken = fc.record({ kind: fc.constant("first-token" as const), flight });
const served = fc.record({ kind: fc.constant("served" as const), flight, endpoint });
const complete = fc.record({
  kind: fc.constant("complete" as const),
  flight,
  cause: fc.constantFrom<EndCause[]>("natural", "error", "client-disconnect", "evicted"),
});
const wait = fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(20_000) });

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 3, arbitrary: add },
  { weight: 1, arbitrary: remove },
  { weight: 4, arbitrary: scraped },
  { weight: 10, arbitrary: pick },
  { weight: 4, arbitrary: firstToken },
  { weight: 2, arbitrary: served },
  { weight: 6, arbitrary: complete },
  { weight: 1, arbitrary: wait },
);
const commands = fc.array(anyCommand, { minLength: 1, maxLength: 60 });

/** Token ids of the first blocks of a conversation. */
function promptOf(conversation: number, blocks: number): number[] {
  return Array.from({ length: blocks * BLOCK_TOKENS }, (_, i) => conversation * 1_000_003 + i);
}

/** Plays commands on a scheduler, and keeps what came out. */
class Player {
  readonly setup: SchedulerSetup;
  readonly flights: Flight[] = [];
  /** Destination or reason of each pick. */
  readonly outcomes: string[] = [];

  constructor(document?: SchedulingDocument) {
    this.setup = schedulerOf(document);
  }

  play(command: Command): void {
    const { clock, pool, scheduler } = this.setup;
    switch (command.kind) {
      case "add": {
        const role = command.decodes ? "decode" : "prefill";
        pool.upsert(endpointMetadata(command.endpoint, { "llm-d.ai/role": role }));
        return;
      }
      case "remove":
        pool.remove(`default/p${command.endpoint}`);
        return;
      case "scrape": {
        const slot = pool.slotOf(`default/p${command.endpoint}`);
        const { kv, running, waiting } = command;
        if (slot >= 0) scrape(pool, slot, { kvUtilization: kv, running, waiting }, clock.nowMs());
        return;
      }
      case "pick": {
        const request = requestOf(scheduler, promptOf(command.conversation, command.blocks));
        const subset = command.subset?.map((i) => `10.0.0.${i}:8000`) ?? null;
        const outcome = scheduler.schedule(request, subset);
        if (outcome.kind === "picked") this.flights.push(outcome);
        this.outcomes.push(outcome.kind === "picked" ? outcome.destination : outcome.reason);
        return;
      }
      case "first-token": {
        const known = this.flights[command.flight];
        if (known !== undefined) scheduler.firstToken(known);
        return;
      }
      case "served": {
        const known = this.flights[command.flight];
        if (known !== undefined) scheduler.served(known, `10.0.0.${command.endpoint}:8000`);
        return;
      }
      case "complete": {
        const known = this.flights[command.flight];
        if (known !== undefined) scheduler.complete(known, command.cause);
        return;
      }
      case "wait":
        clock.advance(command.ms);
    }
  }

  playAll(all: readonly Command[]): string[] {
    for (const command of all) this.play(command);
    return this.outcomes;
  }

  /** Totals of the last pick by endpoint. */
  totals(): Record<string, number> {
    const totals: Record<string, number> = {};
    this.setup.scheduler.lastScores(totals);
    return totals;
  }
}

// ── configurations ───────────────────────────────────────────────────────────────────────────────────────────────────

type Use = readonly [plugin: string, weight: number];

const SCORERS: readonly Use[] = [
  ["queue-scorer", 2],
  ["running-requests-size-scorer", 1],
  ["kv-cache-utilization-scorer", 2],
  ["prefix-cache-scorer", 3],
  ["active-request-scorer", 1],
  ["token-load-scorer", 1],
  ["lora-affinity-scorer", 1],
];

/** All scorers behind a role filter, with every producer. */
function documentOf(scorers: readonly Use[], picker = "max-score-picker"): SchedulingDocument {
  return {
    plugins: [
      ...new Set([
        "decode-filter",
        "inflight-load-producer",
        picker,
        ...scorers.map(([type]) => type),
      ]),
    ].map((type) =>
      type === "inflight-load-producer"
        ? { type, parameters: { addEstimatedOutputTokens: true } }
        : { type },
    ),
    schedulingProfiles: [
      {
        name: "default",
        plugins: [
          { pluginRef: "decode-filter" },
          ...scorers.map(([pluginRef, weight]) => ({ pluginRef, weight })),
          { pluginRef: picker },
        ],
      },
    ],
  };
}

const picker = fc.constantFrom("max-score-picker", "random-picker", "weighted-random-picker");

// ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────────

test("a winner is always a candidate that passes the filters, and nobody is turned away while there is one", () => {
  fc.assert(
    fc.property(commands, picker, (all, picked) => {
      const player = new Player(documentOf(SCORERS, picked));
      const { pool } = player.setup;
      for (const command of all) {
        player.play(command);
        if (command.kind !== "pick") continue;
        const allowed: string[] = [];
        for (let i = 0; i < pool.liveCount; i++) {
          const { id, labels } = pool.metadata(pool.live[i]!);
          const isNamed = command.subset?.some((e) => id === `default/p${e}`) ?? true;
          if (isNamed && labels.get("llm-d.ai/role") === "decode") {
            allowed.push(pool.hostPort(pool.live[i]!));
          }
        }
        const outcome = player.outcomes.at(-1)!;
        if (allowed.length > 0) expect(allowed).toContain(outcome);
        else expect(["no-candidates", "filtered-by-labels"]).toContain(outcome);
      }
    }),
  );
});

test("at every moment the columns are the sum of the open flights, and in the end they are zero", () => {
  fc.assert(
    fc.property(commands, (all) => {
      const player = new Player(documentOf(SCORERS));
      const { pool, scheduler } = player.setup;
      for (const command of all) {
        player.play(command);
        const requests = new Map<number, number>();
        const tokens = new Map<number, number>();
        for (const { charges } of player.flights) {
          for (const charge of charges) {
            const { slot } = charge;
            if (pool.columns.generation[slot] !== charge.generation) continue;
            requests.set(slot, (requests.get(slot) ?? 0) + charge.requests);
            tokens.set(slot, (tokens.get(slot) ?? 0) + charge.tokens);
          }
        }
        for (let slot = 0; slot < pool.columns.capacity; slot++) {
          expect(pool.columns.inflight[slot]).toBe(requests.get(slot) ?? 0);
          expect(pool.columns.inflightTokens[slot]).toBe(tokens.get(slot) ?? 0);
        }
      }
      for (const open of [...player.flights].reverse()) scheduler.complete(open, "natural");
      for (let slot = 0; slot < pool.columns.capacity; slot++) {
        expect(pool.columns.inflight[slot]).toBe(0);
        expect(pool.columns.inflightTokens[slot]).toBe(0);
      }
      scheduler.auditStep();
      expect(scheduler.stats().accountingRepairs).toBe(0);
      expect(scheduler.openFlights).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test("a scorer of weight 0 changes no pick", () => {
  fc.assert(
    fc.property(commands, fc.nat(SCORERS.length - 1), fc.nat(SCORERS.length), (all, which, at) => {
      const base = SCORERS.filter((_, i) => i !== which);
      const withZero = [...base.slice(0, at), [SCORERS[which]![0], 0] as const, ...base.slice(at)];
      const expected = new Player(documentOf(base)).playAll(all);
      expect(new Player(documentOf(withZero)).playAll(all)).toEqual(expected);
    }),
  );
});

test("multiplying all weights by the same factor changes no pick", () => {
  fc.assert(
    fc.property(commands, fc.constantFrom(0.125, 0.3, 3, 7, 1000), (all, factor) => {
      const scaled = SCORERS.map(([type, weight]) => [type, weight * factor] as const);
      const expected = new Player(documentOf(SCORERS)).playAll(all);
      expect(new Player(documentOf(scaled)).playAll(all)).toEqual(expected);
    }),
  );
});

test("the order in which endpoints arrived changes no total, and the winner only among equals", () => {
  const addresses = Array.from({ length: ENDPOINTS }, (_, i) => i);
  const shuffled = fc.shuffledSubarray(addresses, { minLength: ENDPOINTS });
  const adding = (order: readonly number[]): Command[] =>
    order.map((index) => ({ kind: "add", endpoint: index, decodes: true }));
  const facts = fc.array(fc.oneof(scraped, wait), { maxLength: 20 });
  fc.assert(
    fc.property(shuffled, shuffled, facts, pick, (one, other, scrapes, last) => {
      const everybody: Command = { ...last, subset: null };
      const a = new Player(documentOf(SCORERS));
      const b = new Player(documentOf(SCORERS));
      const [winnerA] = a.playAll([...adding(one), ...scrapes, everybody]);
      const [winnerB] = b.playAll([...adding(other), ...scrapes, everybody]);
      const totals = a.totals();
      for (const [hostPort, total] of Object.entries(b.totals())) {
        expect(totals[hostPort]).toBeCloseTo(total, 12);
      }
      expect(totals[winnerA!]).toBeCloseTo(totals[winnerB!]!, 8);
    }),
  );
});

test("the same seed and commands give the same picks", () => {
  fc.assert(
    fc.property(commands, picker, (all, picked) => {
      const document = documentOf(SCORERS, picked);
      expect(new Player(document).playAll(all)).toEqual(new Player(document).playAll(all));
    }),
    { numRuns: 50 },
  );
});

test("picks are those of the naive scheduler, pick by pick", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: scraped },
    { weight: 8, arbitrary: pick },
    { weight: 6, arbitrary: complete },
  );
  const count = fc.integer({ min: 1, max: ENDPOINTS });
  fc.assert(
    fc.property(count, fc.array(step, { maxLength: 120 }), (endpoints, steps) => {
      const player = new Player(); // the built-in configuration
      const naive = new NaiveScheduler();
      const naiveFlights: NaiveFlight[] = [];
      const { clock, pool, scheduler } = player.setup;
      for (let i = 0; i < endpoints; i++) {
        const slot = pool.upsert(endpointMetadata(i));
        scrape(pool, slot, {}, clock.nowMs());
        naive.add(`default/p${i}`, pool.hostPort(slot));
      }
      for (const command of steps) {
        player.play(command);
        if (command.kind === "scrape" && command.endpoint < endpoints) {
          const known = naive.endpoints[command.endpoint]!;
          known.waiting = command.waiting;
          known.kvUtilization = command.kv;
        } else if (command.kind === "complete") {
          const known = naiveFlights[command.flight];
          if (known !== undefined) naive.complete(known);
        } else if (command.kind === "pick") {
          const { blocks, conversation, subset } = command;
          const names = Array.from({ length: blocks }, (_, i) => `${conversation}:${i}`);
          const isCandidate = ({ id }: { id: string }): boolean =>
            subset?.some((i) => id === `default/p${i}`) ?? true;
          const expected = naive.schedule({ blocks: names }, isCandidate);
          expect(player.outcomes.at(-1)).toBe(expected?.endpoint.hostPort ?? "no-candidates");
          if (expected === null) continue;
          naiveFlights.push(expected);
          scheduler.firstToken(player.flights.at(-1)!); // else the index forgets the prompt at the end
        }
      }
    }),
    { numRuns: 200 },
  );
});
