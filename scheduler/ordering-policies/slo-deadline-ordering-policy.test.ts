import { expect, test } from "vitest";
import { flowPlugin } from "../../test/support/flow-setup.ts";
import { InferenceRequest } from "../request.ts";
import { parseTtftMs, sloDeadlineOrderingPolicy } from "./slo-deadline-ordering-policy.ts";

const never = Number.POSITIVE_INFINITY;

test.each([
  ["250", 250],
  [" 250\t", 250],
  ["+250", 250],
  ["0", 0],
  ["007", 7],
  ["9223372036854", 9_223_372_036_854],
  ["9223372036855", never],
  ["9223372036854775807", never],
  ["-1", never],
  ["1.5", never],
  ["1e3", never],
  ["0x10", never],
  ["", never],
  ["   ", never],
  ["soon", never],
  [undefined, never],
])("a wanted time to first token of %j is %d ms", (text, expected) => {
  expect(parseTtftMs(text)).toBe(expected);
});

function keyOf(headers: Record<string, string>): number {
  const { key } = flowPlugin("slo-deadline-ordering-policy").orderingPolicy!;
  const request = new InferenceRequest({
    arrivedAtMs: 1000,
    headers: new Map(Object.entries(headers)),
  });
  return key({ request, enqueuedAtMs: 1010, ttlMs: 0, sequence: 0, uncachedPromptTokens: 0 });
}

test("the key counts from the arrival; the new header goes before the old one", () => {
  expect(keyOf({ "x-llm-d-slo-ttft-ms": "300" })).toBe(1300);
  expect(keyOf({ "x-slo-ttft-ms": "400" })).toBe(1400);
  expect(keyOf({ "x-llm-d-slo-ttft-ms": "300", "x-slo-ttft-ms": "400" })).toBe(1300);
  expect(keyOf({})).toBe(never);
});

test("says which headers it reads", () => {
  expect(sloDeadlineOrderingPolicy.requestHeaders).toEqual([
    "x-llm-d-slo-ttft-ms",
    "x-slo-ttft-ms",
  ]);
});
