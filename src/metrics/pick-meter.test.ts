import { expect, test } from "vitest";
import { type Outcome, REJECTIONS } from "../../scheduler/index.ts";
import { histogramOf, parseExposition, sumOf } from "../../test/support/exposition.ts";
import { endpointMetadata, requestOf, schedulerOf } from "../../test/support/scheduler-setup.ts";
import { InProcessSchedulerPort } from "../ingress/scheduler-port.ts";
import { Metrics } from "./metrics.ts";
import { PickMeter } from "./pick-meter.ts";
import { RequestMetrics } from "./request-metrics.ts";

function setup(waitsForRoom = false) {
  const { pool, scheduler } = schedulerOf();
  const metrics = new Metrics();
  let nowMs = 0;
  const picks = new PickMeter({
    pool,
    metrics,
    requestMetrics: new RequestMetrics(metrics),
    now: () => nowMs,
    waitsForRoom,
  });
  const port = new InProcessSchedulerPort({
    scheduler,
    pool,
    // A pick that takes 3 us, of which nothing is spent before or after.
    refresh: () => {
      nowMs += 0.003;
    },
    onFault: (error) => {
      throw error;
    },
    picks,
  });
  const submit = (model: string): Outcome => {
    let outcome: Outcome | undefined;
    const request = requestOf(scheduler, [1, 2, 3], { model });
    port.submit(request, null, {
      onOutcome: (told) => {
        nowMs += 1000; // what becomes of the outcome is not part of the pick
        outcome = told;
      },
      onEvict: () => {},
    });
    return outcome!;
  };
  const samples = async () => parseExposition(await metrics.render());
  return { picks, pool, samples, scheduler, submit };
}

test("a pick is counted with its endpoint, and timed up to its outcome", async () => {
  const { pool, samples, submit } = setup();
  pool.upsert(endpointMetadata(7));
  expect(submit("m").kind).toBe("picked");
  const page = await samples();
  expect(
    sumOf(page, "llm_d_epp_scheduler_attempts_total", {
      status: "success",
      target_model_name: "m",
      endpoint_name: "p7",
      namespace: "default",
      port: "8000",
    }),
  ).toBe(1);
  expect(sumOf(page, "inference_extension_scheduler_attempts_total", { pod_name: "p7" })).toBe(1);
  for (const family of [
    "endpoint_picker_pick_duration_seconds",
    "llm_d_epp_scheduler_e2e_duration_seconds",
    "inference_extension_scheduler_e2e_duration_seconds",
  ]) {
    const histogram = histogramOf(page, family)!;
    expect(histogram.count).toBe(1);
    expect(histogram.sum).toBeCloseTo(3e-6, 12);
  }
});

test("a pick that fails is counted without an endpoint", async () => {
  const { samples, submit } = setup();
  expect(submit("m")).toEqual({ kind: "rejected", reason: "no-candidates" });
  expect(
    sumOf(await samples(), "llm_d_epp_scheduler_attempts_total", {
      status: "failure",
      target_model_name: "m",
      endpoint_name: "",
      namespace: "",
      port: "",
    }),
  ).toBe(1);
});

test("where requests wait for room, a try without room is timed and is no failure", async () => {
  for (const [waitsForRoom, failures] of [
    [false, 1],
    [true, 0],
  ] as const) {
    const { picks, samples, scheduler } = setup(waitsForRoom);
    const request = requestOf(scheduler, [1], { model: "m" });
    picks.begin();
    picks.end(request, REJECTIONS["filtered-by-load"]);
    const page = await samples();
    expect(sumOf(page, "llm_d_epp_scheduler_attempts_total", {}) ?? 0).toBe(failures);
    expect(histogramOf(page, "endpoint_picker_pick_duration_seconds")!.count).toBe(1);
  }
});
