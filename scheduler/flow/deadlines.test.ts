import { expect, test } from "vitest";
import { TestSink } from "../../test/support/flow-setup.ts";
import { InferenceRequest } from "../request.ts";
import { Deadlines } from "./deadlines.ts";
import { Ticket } from "./ticket.ts";

let sequence = 0;

function ticketOf(enqueuedAtMs: number, ttlMs: number, noEndpointTtlMs: number): Ticket {
  const request = new InferenceRequest({});
  const ticket = new Ticket(request, null, new TestSink(), enqueuedAtMs, sequence++, 0);
  ticket.ttlMs = ttlMs;
  ticket.noEndpointTtlMs = noEndpointTtlMs;
  return ticket;
}

test("nothing waits: nothing expires", () => {
  const deadlines = new Deadlines(false);
  expect(deadlines.nextAtMs).toBe(Number.POSITIVE_INFINITY);
  expect(deadlines.expired(1e12)).toBeNull();
});

test("the first to expire comes first, of equals the first to come", () => {
  const deadlines = new Deadlines(false);
  const late = ticketOf(0, 500, 0);
  const a = ticketOf(100, 200, 0);
  const b = ticketOf(0, 300, 0);
  const never = ticketOf(0, 0, 10);
  for (const ticket of [late, a, b, never]) deadlines.add(ticket);
  expect(deadlines.nextAtMs).toBe(300);
  expect(deadlines.expired(299.9)).toBeNull();
  expect(deadlines.expired(300)).toBe(a);
  deadlines.remove(a);
  expect(deadlines.expired(300)).toBe(b);
  deadlines.remove(b);
  deadlines.remove(never);
  expect(deadlines.nextAtMs).toBe(500);
});

test("a change of regime gives everybody who waits a fresh budget of the other kind", () => {
  const deadlines = new Deadlines(true);
  const before = ticketOf(0, 100, 1000);
  const never = ticketOf(0, 0, 1000);
  deadlines.add(before);
  deadlines.add(never);
  expect(deadlines.nextAtMs).toBe(1000);
  deadlines.changeRegime(false, 900, [before, never]);
  expect(deadlines.nextAtMs).toBe(1000);
  expect(before.deadlineMs).toBe(1000);
  expect(never.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  const after = ticketOf(950, 100, 1000);
  deadlines.add(after);
  expect(after.deadlineMs).toBe(1050);
  deadlines.changeRegime(true, 990, [before, never, after]);
  expect([before, never, after].map(({ deadlineMs }) => deadlineMs)).toEqual([1990, 1990, 1990]);
});
