import { expect, test } from "vitest";
import { FlowSetup } from "../../test/support/flow-setup.ts";

test("a band tells what is queued and running in it, and in each of its flows", () => {
  const flow = new FlowSetup({ band: { maxRequests: 7, maxBytes: 900 }, ceiling: 0.9 });
  flow.submit("running", { fairnessId: "a", bodyBytes: 10 });
  flow.submit("1", { fairnessId: "a", bodyBytes: 20 });
  flow.submit("2", { fairnessId: "b", bodyBytes: 30 });
  flow.submit("3", { fairnessId: "b", bodyBytes: 40 });
  const stats = flow.controller.stats();
  expect(stats).toMatchObject({
    requests: 3,
    bytes: 90,
    running: 1,
    dispatchRate: 0.1,
    saturation: { prefill: Number.NaN, decode: 1, effective: 1 },
  });
  expect(stats.bands).toEqual([
    {
      priority: 0,
      requests: 3,
      bytes: 90,
      maxRequests: 7,
      maxBytes: 900,
      ceiling: 0.9,
      flows: [
        { fairnessId: "a", requests: 1, bytes: 20, running: 1 },
        { fairnessId: "b", requests: 2, bytes: 70, running: 0 },
      ],
      fairness: {},
      fairnessFaults: 0,
    },
  ]);
});

test("nothing measured yet is no number", () => {
  expect(new FlowSetup().controller.stats().saturation.effective).toBeNaN();
});

test("the position counts those of the flow that go before, first those that found no room", () => {
  const flow = new FlowSetup({ endpoints: [1, 10], ceiling: 100, settings: { maxBypass: 0 } });
  flow.submit("first", {}, ["0"]);
  const tickets = ["blocked", "a", "b"].map((id) => flow.submit(id, {}, ["0"]));
  const other = flow.submit("other", { fairnessId: "other" });
  const position = (ticket: (typeof tickets)[number]) => flow.controller.explain(ticket)?.position;
  expect(tickets.map(position)).toEqual([0, 1, 2]);
  expect(position(other)).toBe(0);
  expect(flow.controller.explain(tickets[0]!)).toMatchObject({ noRoom: true });
  expect(flow.controller.explain(tickets[1]!)).toMatchObject({ noRoom: false });
  flow.controller.cancel(tickets[0]!);
  expect(tickets.map(position)).toEqual([-1, 0, 1]);
});
