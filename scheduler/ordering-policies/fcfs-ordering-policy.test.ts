import { expect, test } from "vitest";
import { FlowSetup, flowPlugin } from "../../test/support/flow-setup.ts";

test("the key is the time of arrival", () => {
  const { key } = flowPlugin("fcfs-ordering-policy").orderingPolicy!;
  const { request } = new FlowSetup().submit("a");
  const item = { request, enqueuedAtMs: 1234.5, ttlMs: 10, sequence: 3, uncachedPromptTokens: 0 };
  expect(key(item)).toBe(1234.5);
});

test("requests of one flow go as they came, those of the same moment too", () => {
  const flow = new FlowSetup();
  const running = flow.submit("running");
  for (const id of ["a", "b", "c"]) flow.submit(id);
  flow.clock.advance(5);
  flow.submit("d");
  flow.complete(running);
  flow.addEndpoint(10);
  flow.controller.wake();
  expect(flow.takeLog()).toEqual(["running", "a", "b", "c", "d"].map((id) => `Dispatched ${id}`));
});
