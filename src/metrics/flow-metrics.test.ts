/**
 * Gauges of flow control are pictures of the moment; series come and go with what they are about.
 */
import { expect, test } from "vitest";
import {
  type BandStats,
  type FlowControlStats,
  InferenceRequest,
  Ticket,
} from "../../scheduler/index.ts";
import { parseExposition, sumOf } from "../../test/support/exposition.ts";
import { FlowMetrics } from "./flow-metrics.ts";
import { Metrics } from "./metrics.ts";
import { RequestMetrics } from "./request-metrics.ts";

const NAN = Number.NaN;

function setup() {
  const metrics = new Metrics({ collectsProcess: false });
  const requestMetrics = new RequestMetrics(metrics);
  const flow = new FlowMetrics({ metrics, requestMetrics, poolName: "pool", detector: "d" });
  let numbers = 0;
  const ticketOf = (facts: object): Ticket => {
    const request = new InferenceRequest({ model: "m", bodyBytes: 10, ...facts });
    const sink = { onOutcome: () => {}, onEvict: () => {} };
    return new Ticket(request, null, sink, 0, numbers++, 0);
  };
  const sum = async (name: string, labels = {}) =>
    sumOf(parseExposition(await metrics.render()), `llm_d_epp_${name}`, labels);
  return { flow, sum, ticketOf };
}

const BAND: BandStats = {
  priority: 0,
  requests: 0,
  bytes: 0,
  maxRequests: 0,
  maxBytes: 0,
  ceiling: 1,
  flows: [],
  fairness: {},
  fairnessFaults: 0,
};

function statsOf(stats: Partial<FlowControlStats>): FlowControlStats {
  return {
    requests: 0,
    bytes: 0,
    maxRequests: 0,
    maxBytes: 0,
    running: 0,
    dispatchRate: 0,
    saturation: { prefill: NAN, decode: NAN, effective: NAN },
    revocationsOutstanding: 0,
    reclaimTarget: 0,
    pendingReclaim: 0,
    bands: [],
    ...stats,
  };
}

const pictureOf = (
  stats: Partial<FlowControlStats>,
  tickets: readonly Ticket[] = [],
  stale = 0,
) => ({
  stats: () => statsOf(stats),
  tickets: () => tickets,
  staleEndpoints: () => stale,
});

test("queues are summed by client, priority and model, and a series that is empty stays with 0", async () => {
  const { flow, sum, ticketOf } = setup();
  const tickets = [
    ticketOf({ fairnessId: "a" }),
    ticketOf({ fairnessId: "a", bodyBytes: 5 }),
    ticketOf({ fairnessId: "a", priority: -1 }),
    ticketOf({ fairnessId: "b" }),
  ];
  flow.collect(pictureOf({}, tickets));
  const ofA = { fairness_id: "a", priority: "0", inference_pool: "pool", model_name: "m" };
  expect(await sum("flow_control_queue_size", ofA)).toBe(2);
  expect(await sum("flow_control_queue_bytes", ofA)).toBe(15);
  expect(await sum("flow_control_queue_size")).toBe(4);
  flow.collect(pictureOf({}));
  expect(await sum("flow_control_queue_size", ofA)).toBe(0);
  expect(await sum("flow_control_queue_bytes")).toBe(0);
});

test("a stage without endpoints has no series", async () => {
  const { flow, sum } = setup();
  const both = { prefill: 0.25, decode: 0.5, effective: 0.5 };
  flow.collect(pictureOf({ saturation: both }, [], 3));
  expect(await sum("flow_control_pool_saturation", { stage: "prefill" })).toBe(0.25);
  expect(await sum("flow_control_stale_endpoints", { detector: "d" })).toBe(3);
  flow.collect(pictureOf({ saturation: { ...both, prefill: NAN } }));
  expect(await sum("flow_control_pool_saturation", { stage: "prefill" })).toBeNull();
  expect(await sum("flow_control_pool_saturation", { stage: "effective" })).toBe(0.5);
});

test("capacity is a share of the bound; without one over all bands it is absent", async () => {
  const { flow, sum } = setup();
  const band = { ...BAND, priority: 7, requests: 5, maxRequests: 20, bytes: 30, maxBytes: 40 };
  flow.collect(pictureOf({ bands: [band], requests: 5, bytes: 30 }));
  const of7 = { priority: "7", inference_pool: "pool" };
  expect(await sum("flow_control_capacity_utilization_requests", of7)).toBe(0.25);
  expect(await sum("flow_control_capacity_utilization_bytes", of7)).toBe(0.75);
  expect(await sum("flow_control_global_capacity_utilization_requests")).toBeNull();
  expect(await sum("flow_control_global_capacity_utilization_bytes")).toBeNull();
  flow.collect(pictureOf({ requests: 5, maxRequests: 10, bytes: 30, maxBytes: 300 }));
  expect(await sum("flow_control_global_capacity_utilization_requests")).toBe(0.5);
  expect(await sum("flow_control_global_capacity_utilization_bytes")).toBe(0.1);
  // A band that is gone has no series any more.
  expect(await sum("flow_control_capacity_utilization_requests", of7)).toBeNull();
});

test("the index of fairness is there once a policy tells it", async () => {
  const { flow, sum } = setup();
  flow.collect(pictureOf({ bands: [BAND] }));
  expect(await sum("program_aware_jains_fairness_index")).toBeNull();
  flow.collect(pictureOf({ bands: [BAND, { ...BAND, fairness: { fairnessIndex: 0.8 } }] }));
  expect(await sum("program_aware_jains_fairness_index")).toBe(0.8);
});

test("revocations are counted by the priority that needed the room, and by how they ended", async () => {
  const { flow, sum } = setup();
  flow.revoked(10, 2);
  flow.revocationEnded("confirmed", 40);
  flow.revocationEnded("timed_out", 10_000);
  flow.collect(pictureOf({ reclaimTarget: 0.3, pendingReclaim: 0.1 }));
  expect(await sum("flow_control_revocations_issued_total", { priority: "10" })).toBe(2);
  expect(await sum("flow_control_revocations_total", { outcome: "confirmed" })).toBe(1);
  expect(await sum("flow_control_revocations_total", { outcome: "timed_out" })).toBe(1);
  expect(await sum("flow_control_revocation_confirmation_seconds_count")).toBe(1);
  expect(await sum("flow_control_revocation_confirmation_seconds_sum")).toBeCloseTo(0.04, 12);
  expect(await sum("flow_control_reclaim_target")).toBe(0.3);
  expect(await sum("flow_control_pending_reclaim")).toBe(0.1);
});

test("taking in is timed under the outcome of a refusal, or as not finalized", async () => {
  const { flow, sum, ticketOf } = setup();
  const refused = ticketOf({ fairnessId: "a" });
  refused.outcome = { kind: "rejected", reason: "queue-full" };
  flow.finished(refused, "RejectedCapacity", 0);
  flow.submitted(refused, 2);
  flow.submitted(ticketOf({ fairnessId: "a" }), 3);
  const count = "flow_control_request_enqueue_duration_seconds_count";
  expect(await sum(count, { outcome: "RejectedCapacity" })).toBe(1);
  expect(await sum(count, { outcome: "NotYetFinalized", fairness_id: "a" })).toBe(1);
  expect(await sum("flow_control_request_queue_duration_seconds_count")).toBe(1);
});
