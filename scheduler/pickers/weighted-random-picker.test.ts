import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { Pick } from "../plugin.ts";
import { type Random, SeededRandom } from "../random.ts";
import { InferenceRequest } from "../request.ts";
import { samplingKey, weightedRandomPicker } from "./weighted-random-picker.ts";

function pickerOf(scores: readonly number[], parameters: object = {}, random?: Random) {
  const { candidates, handle } = pluginSetup(scores.length);
  const { picker } = weightedRandomPicker.create(
    weightedRandomPicker.parameters.parse(parameters),
    {
      ...handle,
      random: random ?? new SeededRandom(5),
    },
  );
  const totals = Float64Array.from(scores);
  const out = new Pick(16);
  return (): number[] => {
    picker!.pick(new InferenceRequest({}), candidates, totals, out);
    return [...out.indexes.subarray(0, out.count)];
  };
}

function drawing(...draws: number[]): Random {
  return { next: () => draws.shift()! };
}

test("the key is the draw to the power of 1 / score, 0 without a score", () => {
  expect(samplingKey(0.6, 1)).toBe(0.6);
  expect(samplingKey(0.25, 3)).toBeCloseTo(0.6299605249474366, 12);
  expect(samplingKey(0.99, 0)).toBe(0);
  expect(samplingKey(0.99, -1)).toBe(0);
  expect(samplingKey(0, 1)).toBe(1e-10);
});

test("the largest keys are picked, largest first; who has no score is not drawn for", () => {
  const pick = pickerOf([1, 3, 0], { maxNumOfEndpoints: 2 }, drawing(0.6, 0.25));
  expect(pick()).toEqual([1, 0]);
});

test("endpoints are picked in the share of their scores", () => {
  const pick = pickerOf([1, 3, 0, 4]);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 8000; i++) counts[pick()[0]!]!++;
  expect(counts[2]).toBe(0);
  expect(Math.abs(counts[0]! - 1000)).toBeLessThan(130);
  expect(Math.abs(counts[1]! - 3000)).toBeLessThan(190);
  expect(Math.abs(counts[3]! - 4000)).toBeLessThan(190);
});

test("without any score the choice is uniform", () => {
  const pick = pickerOf([0, 0, 0]);
  const counts = [0, 0, 0];
  for (let i = 0; i < 6000; i++) counts[pick()[0]!]!++;
  for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(160);
});

test("who has no score stands behind those who have one", () => {
  const pick = pickerOf([0, 1, 0, 1], { maxNumOfEndpoints: 4 });
  for (let i = 0; i < 100; i++) expect(pick().slice(2)).toEqual([0, 2]);
});
