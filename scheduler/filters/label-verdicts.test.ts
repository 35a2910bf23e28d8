import { expect, test } from "vitest";
import { endpointMetadata } from "../../test/support/scheduler-setup.ts";
import { Candidates } from "../candidates.ts";
import { EndpointPool } from "../endpoints.ts";
import { InferenceRequest } from "../request.ts";
import { createLabelFilter } from "./label-verdicts.ts";

const request = new InferenceRequest({});

function setup() {
  const pool = new EndpointPool();
  let looks = 0;
  const filter = createLabelFilter(pool, (labels) => {
    looks++;
    return labels.get("hw") === "h100";
  });
  const kept = (): string[] => {
    const candidates = new Candidates(pool);
    candidates.reset(0);
    filter.filter(request, candidates);
    return [...candidates.slots.subarray(0, candidates.count)].map((s) => pool.metadata(s).name);
  };
  return { pool, kept, looksSoFar: () => looks };
}

test("labels are looked at once per endpoint and change of the pool, not per request", () => {
  const { pool, kept, looksSoFar } = setup();
  for (let i = 0; i < 3; i++) pool.upsert(endpointMetadata(i, { hw: i === 1 ? "h100" : "l4" }));
  for (let i = 0; i < 10; i++) expect(kept()).toEqual(["p1"]);
  expect(looksSoFar()).toBe(3);
});

test("new labels of an endpoint count at the next request", () => {
  const { pool, kept } = setup();
  pool.upsert(endpointMetadata(0, { hw: "l4" }));
  expect(kept()).toEqual([]);
  pool.upsert(endpointMetadata(0, { hw: "h100" }));
  expect(kept()).toEqual(["p0"]);
});

test("a slot that changes hands does not inherit the verdict", () => {
  const { pool, kept } = setup();
  pool.upsert(endpointMetadata(0, { hw: "h100" }));
  expect(kept()).toEqual(["p0"]);
  pool.remove("default/p0");
  pool.upsert(endpointMetadata(1, { hw: "l4" }));
  expect(kept()).toEqual([]);
});

test("the pool may grow", () => {
  const { pool, kept } = setup();
  expect(kept()).toEqual([]);
  for (let i = 0; i < 100; i++)
    pool.upsert(endpointMetadata(i, { hw: i % 50 === 9 ? "h100" : "l4" }));
  expect(kept()).toEqual(["p9", "p59"]);
});
