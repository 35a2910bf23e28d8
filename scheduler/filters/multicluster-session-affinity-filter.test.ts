import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { multiclusterSessionAffinityFilter } from "./multicluster-session-affinity-filter.ts";

function keptFor(headers: Readonly<Record<string, string>>): number[] {
  const { candidates, handle } = pluginSetup(3);
  const parameters = multiclusterSessionAffinityFilter.parameters.parse({});
  const { filter } = multiclusterSessionAffinityFilter.create(parameters, handle);
  filter!.filter(new InferenceRequest({ headers: new Map(Object.entries(headers)) }), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}

test("keeps the endpoint of the session alone", () => {
  expect(keptFor({ "x-session-token": "ZGVmYXVsdC9wMQ==" })).toEqual([1]);
});

test("keeps all when there is no session, or its endpoint is gone", () => {
  expect(keptFor({})).toEqual([0, 1, 2]);
  expect(keptFor({ "x-session-token": "ZGVmYXVsdC9nb25l" })).toEqual([0, 1, 2]);
});
