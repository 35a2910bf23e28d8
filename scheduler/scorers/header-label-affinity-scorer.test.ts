import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { endpointMetadata } from "../../test/support/scheduler-setup.ts";
import { InferenceRequest } from "../request.ts";
import { headerLabelAffinityScorer } from "./header-label-affinity-scorer.ts";

const parameters = headerLabelAffinityScorer.parameters.parse({
  headerName: "X-Tier",
  labelKey: "tier",
});

function scoresOf(headers: Readonly<Record<string, string>>): number[] {
  const { candidates, handle, pool } = pluginSetup(0);
  [{ tier: "gold" }, { tier: "silver" }, {}, { tier: "" }].forEach((labels, i) => {
    pool.upsert(endpointMetadata(i, labels as Record<string, string>));
  });
  candidates.reset(0);
  const scores = new Float64Array(4).fill(-1);
  const request = new InferenceRequest({ headers: new Map(Object.entries(headers)) });
  headerLabelAffinityScorer.create(parameters, handle).scorer!.score(request, candidates, scores);
  return [...scores];
}

test("1 where the label says what the header says", () => {
  expect(scoresOf({ "x-tier": "gold" })).toEqual([1, 0, 0, 0]);
  expect(scoresOf({ "x-tier": "bronze" })).toEqual([0, 0, 0, 0]);
});

test("a header that is not there, or empty, prefers nobody", () => {
  expect(scoresOf({})).toEqual([0, 0, 0, 0]);
  expect(scoresOf({ "x-tier": "" })).toEqual([0, 0, 0, 0]);
});

test("asks for its header, and needs both names", () => {
  expect(headerLabelAffinityScorer.headersRead!(parameters)).toEqual(["x-tier"]);
  const { error } = headerLabelAffinityScorer.parameters.safeParse({});
  expect(error!.issues.map(({ path }) => path.join("."))).toEqual(["headerName", "labelKey"]);
});
