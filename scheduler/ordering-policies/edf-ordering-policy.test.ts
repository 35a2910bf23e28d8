import { expect, test } from "vitest";
import { FlowSetup, flowPlugin } from "../../test/support/flow-setup.ts";
import { QUEUE_TTL_HEADER } from "../flow/queue-ttl.ts";
import { queueDeadline } from "./edf-ordering-policy.ts";

test("the key is the deadline; without one a request goes after all others", () => {
  expect(queueDeadline(1000, 500)).toBe(1500);
  expect(queueDeadline(1000, 0)).toBe(Number.POSITIVE_INFINITY);
  expect(queueDeadline(1000, -1)).toBe(Number.POSITIVE_INFINITY);
});

test("whoever would expire first goes first, equal ones as they came", () => {
  const ordering = flowPlugin("edf-ordering-policy").orderingPolicy!;
  const flow = new FlowSetup({ endpoints: [0.5], band: { ordering } });
  const within = (ms: number) => ({ headers: new Map([[QUEUE_TTL_HEADER, `${ms}`]]) });
  flow.pool.columns.inflight[0] = 1;
  flow.submit("patient");
  flow.submit("a", within(500));
  flow.submit("b", within(200));
  flow.submit("c", within(200));
  flow.addEndpoint(10);
  flow.controller.wake();
  expect(flow.takeLog()).toEqual(["b", "c", "a", "patient"].map((id) => `Dispatched ${id}`));
});
