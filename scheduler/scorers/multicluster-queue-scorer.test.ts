import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { limits } from "../limits.ts";
import { PluginConfigError } from "../plugin.ts";
import { InferenceRequest } from "../request.ts";
import { multiclusterQueueScorer } from "./multicluster-queue-scorer.ts";

/** @param values of one attribute, NaN = not supplied */
function setupOf(values: readonly number[]) {
  const setup = pluginSetup(values.length);
  values.forEach((value, slot) => {
    setup.pool.columns.scalars[slot * limits.scalarsPerEndpointMax] = value;
  });
  return { ...setup, handle: { ...setup.handle, scalar: () => 0 } };
}

test("the shortest queue scores 1, the longest 0, and a pool that does not tell adds nothing", () => {
  const { candidates, handle } = setupOf([10, 30, Number.NaN, 20]);
  const { scorer } = multiclusterQueueScorer.create({}, handle);
  const scores = new Float64Array(4).fill(-1);
  scorer!.score(new InferenceRequest({}), candidates, scores);
  expect([...scores]).toEqual([1, 0, 0, 0.5]);
});

test("without an extractor for it it is refused", () => {
  expect(() => multiclusterQueueScorer.create({}, pluginSetup(0).handle)).toThrow(
    PluginConfigError,
  );
});
