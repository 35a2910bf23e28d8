/**
 * Conditional decode: a request that wants an endpoint which holds some of its prompt, or none.
 */
import { expect, test } from "vitest";
import {
  endpointMetadata,
  requestOf,
  type SchedulingDocument,
  schedulerOf,
} from "../test/support/scheduler-setup.ts";
import type { Flight } from "./flight.ts";

const PROMPT = Array.from({ length: 256 }, (_, i) => i);
const REFUSED = { kind: "rejected", reason: "not-cached" };

function setupOf(document?: SchedulingDocument) {
  const setup = schedulerOf(document);
  setup.pool.upsert(endpointMetadata(0));
  return setup;
}

test("is refused as long as nobody holds the prompt, and charges nothing", () => {
  const { pool, scheduler } = setupOf();
  const conditional = requestOf(scheduler, PROMPT, { ifAvailable: true });
  expect(scheduler.schedule(conditional, null)).toEqual(REFUSED);
  expect(pool.columns.inflight[0]).toBe(0);
  expect(scheduler.openFlights).toBe(0);
  const flight = scheduler.schedule(requestOf(scheduler, PROMPT), null) as Flight;
  scheduler.firstToken(flight);
  expect(scheduler.schedule(conditional, null).kind).toBe("picked");
});

test("a request without a prompt is refused too: nothing of it can be held", () => {
  const { scheduler } = setupOf();
  expect(scheduler.schedule(requestOf(scheduler, [], { ifAvailable: true }), null)).toEqual(
    REFUSED,
  );
});

test("where nobody knows what is held, nothing is", () => {
  const { scheduler } = setupOf({
    plugins: [{ type: "queue-scorer" }],
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "queue-scorer" }] }],
  });
  expect(scheduler.schedule(requestOf(scheduler, PROMPT, { ifAvailable: true }), null)).toEqual(
    REFUSED,
  );
});

test("the match that decides is the one that the profile scores with", () => {
  const named = { prefixMatchInfoProducerName: "mine" };
  const { scheduler } = setupOf({
    plugins: [
      { type: "approx-prefix-cache-producer", parameters: { maxPrefixTokensToMatch: 1 } },
      { type: "approx-prefix-cache-producer", name: "mine" },
      { type: "prefix-cache-scorer", parameters: named },
    ],
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "prefix-cache-scorer" }] }],
  });
  scheduler.firstToken(scheduler.schedule(requestOf(scheduler, PROMPT), null) as Flight);
  const again = requestOf(scheduler, PROMPT, { ifAvailable: true });
  expect(scheduler.schedule(again, null).kind).toBe("picked");
});
