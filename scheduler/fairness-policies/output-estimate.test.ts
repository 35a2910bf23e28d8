import { expect, test } from "vitest";
import { InferenceRequest } from "../request.ts";
import { OutputEstimate } from "./output-estimate.ts";

const capped = (maxOutputTokens: number) => new InferenceRequest({ maxOutputTokens });

test("is what it was given until something has ended, and no more than the client allows", () => {
  const estimate = new OutputEstimate(256);
  expect(estimate.of(capped(-1))).toBe(256);
  expect(estimate.of(capped(100))).toBe(100);
  expect(estimate.of(capped(1000))).toBe(256);
  expect(estimate.of(capped(0))).toBe(0);
});

test("follows what requests produce, in whole tokens", () => {
  const estimate = new OutputEstimate(256);
  estimate.observe(257);
  expect(estimate.of(capped(-1))).toBe(256);
  for (let i = 0; i < 1000; i++) estimate.observe(40);
  expect(estimate.of(capped(-1))).toBe(40);
});
