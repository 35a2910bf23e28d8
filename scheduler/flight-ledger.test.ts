import { describe, expect, test } from "vitest";
import { addEndpoint, flightOf, pluginSetup } from "../test/support/plugin-setup.ts";
import type { Flight } from "./flight.ts";
import { FlightLedger } from "./flight-ledger.ts";
import { InferenceRequest } from "./request.ts";

const request = new InferenceRequest({});

function setup(endpoints: number) {
  const { pool } = pluginSetup(endpoints);
  const ledger = new FlightLedger(pool);
  const book = (slots: readonly number[], tokens = 0): Flight => {
    const flight = flightOf(
      request,
      pool,
      slots.map((slot, i) => [slot, `profile-${i}`] as const),
    );
    for (const charge of flight.charges) charge.tokens = tokens;
    ledger.book(flight);
    return flight;
  };
  const column = (slot: number): number[] => [
    pool.columns.inflight[slot]!,
    pool.columns.inflightTokens[slot]!,
    pool.columns.creditSinceScrape[slot]!,
  ];
  return { pool, ledger, book, column };
}

test("a flight counts on each endpoint it is charged to, until it is closed", () => {
  const { ledger, book, column } = setup(2);
  const both = book([0, 1], 100);
  const one = book([1], 50);
  expect([column(0), column(1)]).toEqual([
    [1, 100, 1],
    [2, 150, 2],
  ]);
  expect(ledger.openFlights).toBe(2);
  ledger.close(both);
  expect([column(0), column(1)]).toEqual([
    [0, 0, 0],
    [1, 50, 1],
  ]);
  ledger.close(one);
  expect(column(1)).toEqual([0, 0, 0]);
  expect([ledger.openFlights, ledger.booked, ledger.repairs]).toEqual([0, 2, 0]);
});

test("closing twice gives back once", () => {
  const { ledger, book, column } = setup(1);
  const flight = book([0], 10);
  book([0], 10);
  ledger.close(flight);
  ledger.close(flight);
  expect(column(0)).toEqual([1, 10, 1]);
});

test("a request that ends after a scrape leaves a negative credit: the scrape still counted it", () => {
  const { pool, ledger, book, column } = setup(1);
  const flight = book([0]);
  pool.columns.creditSinceScrape[0] = 0;
  ledger.close(flight);
  expect(column(0)).toEqual([0, 0, -1]);
});

describe("an endpoint that is gone", () => {
  test("gets nothing back, and neither does the one that has its slot now", () => {
    const { pool, ledger, book, column } = setup(1);
    const flight = book([0], 10);
    pool.remove("default/p0");
    expect(addEndpoint(pool, 7)).toBe(0);
    const other = book([0], 5);
    ledger.close(flight);
    expect(column(0)).toEqual([1, 5, 1]);
    ledger.close(other);
    expect(column(0)).toEqual([0, 0, 0]);
  });
});

describe("the audit", () => {
  test("finds nothing to do where the columns are right", () => {
    const { ledger, book, column } = setup(3);
    book([0, 2], 7);
    ledger.audit();
    expect(ledger.repairs).toBe(0);
    expect(column(2)).toEqual([1, 7, 1]);
  });

  test("sets wrong columns right, and counts each", () => {
    const { pool, ledger, book, column } = setup(3);
    book([0], 7);
    pool.columns.inflight[0] = 4;
    pool.columns.inflightTokens[1] = 300;
    ledger.audit();
    expect(ledger.repairs).toBe(2);
    expect(column(0).slice(0, 2)).toEqual([1, 7]);
    expect(column(1).slice(0, 2)).toEqual([0, 0]);
    ledger.audit();
    expect(ledger.repairs).toBe(2);
  });

  test("does not count flights of endpoints that are gone", () => {
    const { pool, ledger, book } = setup(2);
    book([0], 7);
    pool.remove("default/p0");
    addEndpoint(pool, 9);
    ledger.audit();
    expect(ledger.repairs).toBe(0);
  });

  test("works on a pool that has grown", () => {
    const { pool, ledger, book } = setup(1);
    ledger.audit();
    for (let i = 1; i < 40; i++) addEndpoint(pool, i);
    book([39], 3);
    ledger.audit();
    expect(ledger.repairs).toBe(0);
  });
});

test("columns never go below zero: what is missing is counted as a repair", () => {
  const { pool, ledger, book, column } = setup(1);
  const flight = book([0], 10);
  pool.columns.inflight[0] = 0;
  pool.columns.inflightTokens[0] = 3;
  ledger.close(flight);
  expect(column(0).slice(0, 2)).toEqual([0, 0]);
  expect(ledger.repairs).toBe(1);
});

test("a charge that is no number of tokens is taken as none, and counted", () => {
  const { ledger, book, column } = setup(1);
  for (const tokens of [Number.NaN, -5, Number.POSITIVE_INFINITY]) ledger.close(book([0], tokens));
  expect(column(0)).toEqual([0, 0, 0]);
  expect(ledger.repairs).toBe(3);
});
