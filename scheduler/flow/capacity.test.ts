import { expect, test } from "vitest";
import { bandSettings, FlowSetup, TestSink } from "../../test/support/flow-setup.ts";
import { InferenceRequest } from "../request.ts";
import { Band } from "./band.ts";
import { displacedBy, isBandFull, isQueueFull } from "./capacity.ts";
import { Flow } from "./flow.ts";
import type { BandSettings } from "./settings.ts";
import { Ticket } from "./ticket.ts";

const settingsOf = (maxRequests: number, maxBytes: number) => ({
  ...new FlowSetup().settings,
  maxRequests,
  maxBytes,
});

/** A band with requests of these sizes queued in one flow. */
function bandOf(priority: number, sizes: readonly number[], settings: Partial<BandSettings> = {}) {
  const band = new Band(priority, bandSettings({ maxRequests: 0, maxBytes: 0, ...settings }), true);
  const flow = new Flow("a", band);
  const tickets = sizes.map((bodyBytes, i) => {
    const ticket = new Ticket(new InferenceRequest({ bodyBytes }), null, new TestSink(), 0, i, 0);
    ticket.band = band;
    ticket.flow = flow;
    band.enqueue(ticket);
    return ticket;
  });
  return { band, flow, tickets };
}

test.each([
  [{ maxRequests: 2 }, true],
  [{ maxRequests: 3 }, false],
  [{ maxBytes: 39 }, true],
  [{ maxBytes: 40 }, false],
  [{ maxRequestsPerFlow: 2 }, true],
  [{ maxRequestsPerFlow: 3 }, false],
  [{}, false],
])("a band of two requests and 30 bytes with %j, 10 more: full is %s", (settings, expected) => {
  const { band, flow } = bandOf(0, [10, 20], settings);
  expect(isBandFull(band, flow, 10)).toBe(expected);
});

test("the bounds over all: up to and with, and 0 is none", () => {
  const totals = { requests: 5, bytes: 100 };
  expect(isQueueFull(settingsOf(5, 0), totals, 1)).toBe(true);
  expect(isQueueFull(settingsOf(6, 0), totals, 1)).toBe(false);
  expect(isQueueFull(settingsOf(0, 100), totals, 1)).toBe(true);
  expect(isQueueFull(settingsOf(0, 101), totals, 1)).toBe(false);
  expect(isQueueFull(settingsOf(0, 0), totals, 1e12)).toBe(false);
});

test("displaces the newest of the lowest bands, no more than needed, of lower bands only", () => {
  const high = bandOf(2, [10]);
  const mid = bandOf(1, [10, 10]);
  const low = bandOf(-1, [10, 10]);
  const bands = [high.band, mid.band, low.band];
  const totals = { requests: 5, bytes: 50 };
  const by = (band: Band, size: number, maxRequests: number, maxBytes: number) =>
    displacedBy(band, size, settingsOf(maxRequests, maxBytes), totals, bands);
  const newest = [...low.tickets].reverse().concat([...mid.tickets].reverse());
  expect(by(high.band, 10, 5, 0)).toEqual(newest.slice(0, 1));
  expect(by(high.band, 35, 0, 50)).toEqual(newest.slice(0, 4));
  expect(by(mid.band, 20, 0, 50)).toEqual(newest.slice(0, 2));
  expect(by(mid.band, 21, 0, 50)).toEqual([]);
  expect(by(low.band, 1, 5, 0)).toEqual([]);
  expect(by(high.band, 41, 0, 50)).toEqual([]);
});
