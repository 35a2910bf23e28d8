import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InflightLoad } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { activeRequestScorer, scoreActiveRequests } from "./active-request-scorer.ts";

function scoresOf(
  requests: readonly number[],
  parameters: object = {},
  endpoints = requests.length,
) {
  const load = new InflightLoad();
  load.ensure(requests.length);
  load.requests.set(requests);
  const { handle, candidates } = pluginSetup(endpoints, { "inflight-load": load });
  const { scorer } = activeRequestScorer.create(
    activeRequestScorer.parameters.parse(parameters),
    handle,
  );
  const scores = new Float64Array(endpoints);
  scorer!.score(new InferenceRequest({}), candidates, scores);
  return [...scores];
}

test("idle scores 1, the busiest 0, the middle in proportion", () => {
  expect(scoresOf([0, 2, 4])).toEqual([1, 0.5, 0]);
});

test("equally busy endpoints all score 0", () => {
  expect(scoresOf([3, 3])).toEqual([0, 0]);
});

test("up to idleThreshold an endpoint is idle, and maxBusyScore bounds the busy ones", () => {
  expect(scoresOf([1, 2, 4], { idleThreshold: 1, maxBusyScore: 0.5 }, 4)).toEqual([1, 0.25, 0, 1]);
  expect(scoresOf([0, 1, 8], { maxBusyScore: 0 })).toEqual([1, 0, 0]);
});

test("values out of range fall back to the defaults", () => {
  expect(scoresOf([1, 4], { maxBusyScore: 1.5 })).toEqual([0.75, 0]);
  expect(scoresOf([1, 4], { maxBusyScore: -1 })).toEqual([0.75, 0]);
  expect(scoresOf([0, 1], { idleThreshold: -5 })).toEqual([1, 0]);
});

test("nobody busy: all score 1", () => {
  expect(scoresOf([0, 0])).toEqual([1, 1]);
  expect(scoresOf([], {}, 2)).toEqual([1, 1]);
});

test("the formula writes no more than the candidates' scores", () => {
  const { candidates } = pluginSetup(2);
  const scores = new Float64Array(3).fill(-1);
  scoreActiveRequests(candidates, new InflightLoad(), 0, 1, scores);
  expect([...scores]).toEqual([1, 1, -1]);
});

test("scores stay in 0..1 and never rise with the requests in flight", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1000), { minLength: 1, maxLength: 40 }),
      fc.nat(5),
      (requests, idleThreshold) => {
        const scores = scoresOf(requests, { idleThreshold, maxBusyScore: 0.9 });
        for (const [i, a] of requests.entries()) {
          expect(scores[i]).toBeGreaterThanOrEqual(0);
          expect(scores[i]).toBeLessThanOrEqual(1);
          for (const [k, b] of requests.entries()) {
            if (a <= b) expect(scores[i]).toBeGreaterThanOrEqual(scores[k]!);
          }
        }
      },
    ),
  );
});

test("what has no effect is accepted with a remark", () => {
  const { handle, warnings } = pluginSetup(0, { "inflight-load": new InflightLoad() });
  const raw = { requestTimeout: "5m", maxBusyScore: 3 };
  activeRequestScorer.create(activeRequestScorer.parameters.parse(raw), handle);
  expect(warnings).toEqual([
    "requestTimeout is deprecated and has no effect",
    "maxBusyScore 3 is outside 0..1: 1 is used",
  ]);
});

test("the load comes from the producer that is named", () => {
  const parameters = activeRequestScorer.parameters.parse({ inFlightLoadProducerName: "mine" });
  expect(activeRequestScorer.consumes!(parameters)).toEqual([
    { type: "inflight-load", producer: "mine", required: true },
  ]);
});
