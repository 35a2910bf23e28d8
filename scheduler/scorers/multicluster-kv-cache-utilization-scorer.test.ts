import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { limits } from "../limits.ts";
import { PluginConfigError } from "../plugin.ts";
import { InferenceRequest } from "../request.ts";
import { multiclusterKvCacheUtilizationScorer } from "./multicluster-kv-cache-utilization-scorer.ts";

/** @param values of one attribute, NaN = not supplied */
function setupOf(values: readonly number[]) {
  const setup = pluginSetup(values.length);
  values.forEach((value, slot) => {
    setup.pool.columns.scalars[slot * limits.scalarsPerEndpointMax] = value;
  });
  return { ...setup, handle: { ...setup.handle, scalar: () => 0 } };
}

test("what is free of the cache is the score, and a pool that does not tell adds nothing", () => {
  const { candidates, handle } = setupOf([0.75, 0, 1, Number.NaN]);
  const { scorer } = multiclusterKvCacheUtilizationScorer.create({}, handle);
  const scores = new Float64Array(4).fill(-1);
  scorer!.score(new InferenceRequest({}), candidates, scores);
  expect([...scores]).toEqual([0.25, 1, 0, 0]);
});

test("without an extractor for it it is refused", () => {
  expect(() => multiclusterKvCacheUtilizationScorer.create({}, pluginSetup(0).handle)).toThrow(
    PluginConfigError,
  );
});
