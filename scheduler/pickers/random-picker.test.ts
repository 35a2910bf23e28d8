import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { Pick } from "../plugin.ts";
import { SeededRandom } from "../random.ts";
import { InferenceRequest } from "../request.ts";
import { randomPicker } from "./random-picker.ts";

function picksOf(endpoints: number, parameters: object, times: number): number[][] {
  const { candidates, handle } = pluginSetup(endpoints);
  const { picker } = randomPicker.create(randomPicker.parameters.parse(parameters), {
    ...handle,
    random: new SeededRandom(11),
  });
  const out = new Pick(16);
  const totals = Float64Array.from({ length: endpoints }, (_, i) => i); // scores play no part
  return Array.from({ length: times }, () => {
    picker!.pick(new InferenceRequest({}), candidates, totals, out);
    return [...out.indexes.subarray(0, out.count)];
  });
}

test("every endpoint is picked equally often, whatever its score", () => {
  const counts = [0, 0, 0, 0];
  for (const [index] of picksOf(4, {}, 8000)) counts[index!]!++;
  for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(170);
});

test("several endpoints are different ones, in every order equally often", () => {
  const counts = new Map<string, number>();
  for (const picked of picksOf(3, { maxNumOfEndpoints: 2 }, 6000)) {
    counts.set(picked.join(), (counts.get(picked.join()) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual(["0,1", "0,2", "1,0", "1,2", "2,0", "2,1"]);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120);
});

test("a single candidate is picked without a draw", () => {
  const { candidates, handle } = pluginSetup(1); // its random source refuses any draw
  const { picker } = randomPicker.create(randomPicker.parameters.parse({}), handle);
  const out = new Pick(1);
  picker!.pick(new InferenceRequest({}), candidates, new Float64Array(1), out);
  expect([out.count, out.indexes[0]]).toEqual([1, 0]);
});
