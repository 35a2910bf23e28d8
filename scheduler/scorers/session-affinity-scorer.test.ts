import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { sessionAffinityScorer } from "./session-affinity-scorer.ts";

function scoresOf(headers: Readonly<Record<string, string>>): number[] {
  const { candidates, handle } = pluginSetup(3);
  const parameters = sessionAffinityScorer.parameters.parse({});
  const { scorer } = sessionAffinityScorer.create(parameters, handle);
  const scores = new Float64Array(3).fill(-1);
  const request = new InferenceRequest({ headers: new Map(Object.entries(headers)) });
  scorer!.score(request, candidates, scores);
  return [...scores];
}

test("the endpoint of the session scores 1, the others 0", () => {
  expect(scoresOf({ "x-session-token": "ZGVmYXVsdC9wMQ==" })).toEqual([0, 1, 0]);
});

test("a request without a session prefers nobody", () => {
  expect(scoresOf({})).toEqual([0, 0, 0]);
  expect(scoresOf({ "x-session-token": "%%%" })).toEqual([0, 0, 0]);
});
