import { expect, test } from "vitest";
import { TestSink } from "../../test/support/flow-setup.ts";
import { flightOf, pluginSetup } from "../../test/support/plugin-setup.ts";
import { limits } from "../limits.ts";
import { InferenceRequest } from "../request.ts";
import { Eviction, victimsWanted } from "./eviction.ts";
import { Ticket } from "./ticket.ts";

function setup() {
  const { pool } = pluginSetup(2);
  const told: string[] = [];
  const eviction = new Eviction(pool, {
    finished() {},
    revoked: (priority, count) => told.push(`${count} for ${priority}`),
    revocationEnded: (outcome, afterMs) => told.push(`${outcome} after ${afterMs}`),
  });
  let number = 0;
  const run = (priority: number): Ticket => {
    const request = new InferenceRequest({ priority });
    const ticket = new Ticket(request, null, new TestSink(), 0, number, 0);
    ticket.dispatchNumber = number++;
    ticket.flight = flightOf(request, pool, [[number % 2, "default"]]);
    eviction.track(ticket);
    return ticket;
  };
  return { eviction, pool, run, told };
}

test.each([
  [1, 1, 10, 1],
  [1.1, 1, 11, 1],
  [1.2, 1, 12, 2],
  [2, 1, 100, 2],
  [1, 0.5, 1, 1],
  [Number.POSITIVE_INFINITY, 1, 5, 1],
])(
  "saturation %d at a ceiling of %d with %d running: %d victims",
  (saturation, ceiling, running, n) => {
    expect(victimsWanted(saturation, ceiling, running)).toBe(n);
  },
);

test("lowest priority first, of equals the last dispatched; 0 and above are never victims", () => {
  const { eviction, run } = setup();
  run(0);
  run(5);
  expect(eviction.victim).toBeNull();
  const b1 = run(-1);
  const c1 = run(-2);
  const c2 = run(-2);
  const order: Ticket[] = [];
  while (eviction.victim !== null) {
    order.push(eviction.victim);
    eviction.ended(eviction.victim, 0, false);
  }
  expect(order).toEqual([c2, c1, b1]);
});

test("a decision takes victims below the demand only, and is the only one until they have ended", () => {
  const { eviction, run, told } = setup();
  const low = run(-2);
  const mid = run(-1);
  expect(eviction.revoke(-2, 2, 1, 2, 0)).toEqual([]);
  expect(eviction.revoke(-1, 2, 1, 2, 0)).toEqual([low]);
  expect(eviction.revoke(0, 2, 1, 2, 0)).toEqual([]);
  expect(eviction).toMatchObject({ outstanding: 1, reclaimTarget: 1, pendingReclaim: 1 });
  eviction.ended(low, 30, false);
  expect(eviction).toMatchObject({ outstanding: 0, pendingReclaim: 0 });
  expect(eviction.revoke(0, 2, 1, 2, 40)).toEqual([mid]);
  expect(told).toEqual(["1 for -1", "confirmed after 30", "1 for 0"]);
});

test("a detector that reads scrapes: cool by a scrape that began later, a new endpoint, or time", () => {
  const cooling = () => {
    const { eviction, pool, run } = setup();
    const victim = run(-1);
    eviction.revoke(0, 1, 1, 1, 0);
    eviction.ended(victim, 100, true);
    run(-1);
    const { slot } = victim.flight!.charges[0]!;
    const isCool = (nowMs: number) => {
      eviction.tick(nowMs);
      return eviction.revoke(0, 1, 1, 1, nowMs).length > 0;
    };
    return { eviction, isCool, pool, slot };
  };
  const scraped = cooling();
  scraped.pool.columns.scrapedAtMs[scraped.slot] = 100; // began no later than the end
  expect(scraped.isCool(150)).toBe(false);
  expect(scraped.eviction.nextAtMs).toBe(100 + limits.revocationCoolingMaxMs);
  scraped.pool.columns.scrapedAtMs[scraped.slot] = 101;
  expect(scraped.isCool(150)).toBe(true);
  const replaced = cooling();
  replaced.pool.remove(`default/p${replaced.slot}`);
  expect(replaced.isCool(150)).toBe(true);
  const waited = cooling();
  expect(waited.isCool(99 + limits.revocationCoolingMaxMs)).toBe(false);
  expect(waited.isCool(100 + limits.revocationCoolingMaxMs)).toBe(true);
});

test("one that does not end in its time is given up", () => {
  const { eviction, run, told } = setup();
  const victim = run(-1);
  eviction.revoke(0, 1, 1, 1, 100);
  expect(eviction.nextAtMs).toBe(100 + limits.revocationTimeoutMs);
  eviction.tick(99 + limits.revocationTimeoutMs);
  expect(eviction.outstanding).toBe(1);
  eviction.tick(100 + limits.revocationTimeoutMs);
  expect(eviction.outstanding).toBe(0);
  expect(eviction.nextAtMs).toBe(Number.POSITIVE_INFINITY);
  eviction.ended(victim, 50_000, true);
  expect(eviction.pendingReclaim).toBe(0);
  expect(told).toEqual(["1 for 0", `timed_out after ${limits.revocationTimeoutMs}`]);
});
