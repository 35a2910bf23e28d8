import { describe, expect, test } from "vitest";
import { Flight, InferenceRequest, type RequestFacts } from "../../scheduler/index.ts";
import { histogramOf, type Labels, parseExposition, sumOf } from "../../test/support/exposition.ts";
import { LABEL_VALUES_MAX } from "./label-guard.ts";
import { Metrics } from "./metrics.ts";
import { SERIES_PER_FAMILY_MAX } from "./registry.ts";
import { RequestMetrics } from "./request-metrics.ts";

function setup() {
  const metrics = new Metrics();
  const requests = new RequestMetrics(metrics);
  const samples = async () => parseExposition(await metrics.render());
  return {
    metrics,
    requests,
    samples,
    value: async (name: string, labels: Labels = {}) => sumOf(await samples(), name, labels),
    histogram: async (name: string, labels: Labels = {}) =>
      histogramOf(await samples(), name, labels),
  };
}

const requestOf = (facts: RequestFacts = {}) =>
  new InferenceRequest({ model: "m", fairnessId: "f", arrivedAtMs: 1000, ...facts });
const flightOf = (request: InferenceRequest) => new Flight(request, "10.0.0.1:8000", [], [], 1000);

const MFP = { model_name: "m", target_model_name: "t", fairness_id: "f", priority: "3" };
const FACTS: RequestFacts = { targetModel: "t", priority: 3, bodyBytes: 500 };

describe("one request from pick to end", () => {
  test("is counted under its labels, and under those of the deprecated twins", async () => {
    const { histogram, requests, value } = setup();
    const request = requestOf(FACTS);
    const labels = requests.labels(request);
    requests.picked(labels, flightOf(request), 1004);
    expect(await value("llm_d_epp_request_total", MFP)).toBe(1);
    expect(await value("inference_objective_request_total", { priority: "3" })).toBe(1);
    expect(await value("llm_d_epp_request_running", MFP)).toBe(1);
    expect(await value("inference_objective_running_requests", { model_name: "m" })).toBe(1);
    expect(await histogram("llm_d_epp_request_size_bytes", MFP)).toMatchObject({ sum: 500 });
    expect(await histogram("llm_d_epp_request_processing_duration_seconds")).toMatchObject({
      sum: 0.004,
      count: 1,
    });
    requests.firstByte(labels, request, 1250);
    expect(
      await histogram("llm_d_epp_request_ttft_seconds", { ...MFP, streaming: "false" }),
    ).toMatchObject({ sum: 0.25, count: 1 });
    requests.completed(labels, request, 3000, 70, 200);
    expect(await value("llm_d_epp_request_running", MFP)).toBe(0);
    expect(await histogram("llm_d_epp_request_duration_seconds", MFP)).toMatchObject({ sum: 2 });
    expect(await histogram("llm_d_epp_response_size_bytes", MFP)).toMatchObject({ sum: 70 });
    expect(await histogram("inference_objective_response_sizes")).toMatchObject({ sum: 70 });
    expect(await value("llm_d_epp_request_error_total")).toBeNull();
  });

  test("that streams has its first byte under streaming", async () => {
    const { histogram, requests } = setup();
    const request = requestOf({ streaming: true });
    requests.firstByte(requests.labels(request), request, 1100);
    expect((await histogram("llm_d_epp_request_ttft_seconds", { streaming: "true" }))?.count).toBe(
      1,
    );
  });

  test("without a model is counted, but not as running", async () => {
    const { requests, value } = setup();
    const request = requestOf({ model: "" });
    const labels = requests.labels(request);
    requests.picked(labels, flightOf(request), 1000);
    expect(await value("llm_d_epp_request_total", { model_name: "" })).toBe(1);
    expect(await value("llm_d_epp_request_running")).toBe(0);
    requests.completed(labels, request, 1000, 0, 200);
    expect(await value("llm_d_epp_request_running")).toBe(0);
  });
});

describe("the status of the model server", () => {
  test.each([
    [200, "2xx", 0],
    [302, "3xx", 0],
    [404, "4xx", 1],
    [503, "5xx", 1],
    [99_999, "other", 1],
    [42, "other", 0],
  ])("%i is %s", async (status, name, errors) => {
    const { requests, value } = setup();
    const request = requestOf();
    requests.completed(requests.labels(request), request, 1000, 0, status);
    expect(await value("endpoint_picker_upstream_responses_total", { status: name })).toBe(1);
    const errorCode = { error_code: "ModelServerError" };
    expect((await value("llm_d_epp_request_error_total", errorCode)) ?? 0).toBe(errors);
    expect((await value("inference_objective_request_error_total", errorCode)) ?? 0).toBe(errors);
  });

  test("of a request that ended before there was one is not counted", async () => {
    const { histogram, requests, value } = setup();
    const request = requestOf();
    requests.completed(requests.labels(request), request, 1500, 0, 0);
    expect(await value("endpoint_picker_upstream_responses_total")).toBe(0);
    expect((await histogram("llm_d_epp_request_duration_seconds"))?.sum).toBe(0.5);
  });
});

test("a rejection is counted by class, with empty labels when nothing is known yet", async () => {
  const { requests, value } = setup();
  requests.rejected(null, "BadRequest");
  requests.rejected(requests.labels(requestOf()), "ServiceUnavailable");
  const name = "llm_d_epp_request_error_total";
  expect(await value(name, { error_code: "BadRequest", model_name: "", priority: "0" })).toBe(1);
  expect(await value(name, { error_code: "ServiceUnavailable", model_name: "m" })).toBe(1);
});

test("failed streams are counted at exposition", async () => {
  const { requests, value } = setup();
  requests.failedStreams = 3;
  expect(await value("endpoint_picker_failed_streams_total")).toBe(3);
});

describe("labels that clients choose", () => {
  test("model and target model share a thousand names, fairness ids have a thousand", async () => {
    const { requests } = setup();
    for (let i = 0; i < LABEL_VALUES_MAX / 2; i++) {
      requests.labels(requestOf({ model: `m${i}`, targetModel: `t${i}`, fairnessId: `f${i}` }));
    }
    const { values } = requests.labels(
      requestOf({ model: "late", targetModel: "t0", fairnessId: "late" }),
    );
    expect(values).toEqual(["other", "t0", "late", "0"]);
  });

  test("are the same object for the same combination", () => {
    const { requests } = setup();
    expect(requests.labels(requestOf())).toBe(requests.labels(requestOf()));
    expect(requests.labels(requestOf({ priority: 1 }))).not.toBe(requests.labels(requestOf()));
  });

  test("are not mixed up when names hold line breaks or digits", () => {
    const { requests } = setup();
    const values = ["a\nb", "a", "b", "1:a", "a1:b", "", "\n"];
    for (const model of values) {
      for (const targetModel of values) {
        const labels = requests.labels(requestOf({ model, targetModel }));
        expect(labels.values.slice(0, 2)).toEqual([model, targetModel]);
      }
    }
  });

  test("can not break the counting, however many combinations there are", () => {
    const { metrics, requests } = setup();
    const combinations = SERIES_PER_FAMILY_MAX + 500;
    for (let i = 0; i < combinations; i++) {
      const request = requestOf({ model: `m${i % 900}`, fairnessId: `f${i % 997}` });
      requests.picked(requests.labels(request), flightOf(request), 1000);
    }
    const [block] = metrics.families.requestTotal.blocks();
    const samples = parseExposition(block!.text);
    expect(samples).toHaveLength(SERIES_PER_FAMILY_MAX + 1);
    expect(sumOf(samples, "llm_d_epp_request_total")).toBe(combinations);
  });

  test("do not keep what a client makes up in memory", () => {
    const { requests } = setup();
    const long = requests.labels(requestOf({ model: "x".repeat(100_000) }));
    expect(long).toBe(requests.labels(requestOf({ model: "y".repeat(100_000) })));
  });
});

describe("rewrite rules", () => {
  const LABELS = { model_rewrite_name: "rw", model_name: "m", target_model: "t" };

  test("are counted by name and models, under both names of the family", async () => {
    const { requests, value } = setup();
    requests.rewritten("rw", "m", "t");
    requests.rewritten("rw", "m", "t");
    expect(await value("llm_d_epp_model_rewrite_decisions_total", LABELS)).toBe(2);
    expect(await value("inference_extension_model_rewrite_decisions_total", LABELS)).toBe(2);
  });

  test("have models that are labels whatever room there is, those of requests seen before too", () => {
    const { requests } = setup();
    for (let i = 0; i < LABEL_VALUES_MAX; i++) requests.labels(requestOf({ model: `m${i}` }));
    const request = requestOf({ model: "ours" });
    expect(requests.labels(request).values[0]).toBe("other");
    requests.exempt(new Set(["ours"]));
    expect(requests.labels(request).values[0]).toBe("ours");
  });
});

test("the stages of disaggregated serving are counted under the handler that decided", async () => {
  const { requests, value } = setup();
  const request = requestOf(FACTS);
  const labels = requests.labels(request);
  const count = (pluginType: string) => {
    const flight = flightOf(request);
    flight.stages = { pluginName: "mine", pluginType, decision: "prefill-decode" };
    requests.picked(labels, flight, 1004);
  };
  count("disagg-profile-handler");
  count("disagg-profile-handler");
  count("pd-profile-handler");
  requests.picked(labels, flightOf(request), 1004);
  const series = {
    plugin_name: "mine",
    plugin_type: "disagg-profile-handler",
    model_name: "m",
    decision_type: "prefill-decode",
  };
  expect(await value("llm_d_epp_disagg_decision_total", series)).toBe(2);
  const old = { model_name: "m", decision_type: "prefill-decode" };
  expect(await value("llm_d_inference_scheduler_disagg_decision_total", old)).toBe(2);
  expect(await value("llm_d_epp_pd_decision_total")).toBe(1);
});
