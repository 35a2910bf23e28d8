import { expect, test } from "vitest";
import { scoresOf } from "../../test/support/scores.ts";
import { Known } from "../endpoints.ts";
import { runningRequestsSizeScorer } from "./running-requests-size-scorer.ts";

test("the smallest batch scores 1, the largest 0, the middle in proportion", () => {
  const scores = scoresOf(runningRequestsSizeScorer, [
    { running: 12 },
    { running: 3 },
    { running: 30 },
  ]);
  expect(scores[0]).toBeCloseTo(2 / 3, 12);
  expect(scores.slice(1)).toEqual([1, 0]);
});

test("it looks at running requests only", () => {
  expect(scoresOf(runningRequestsSizeScorer, [{ waiting: 9 }, { running: 1 }])).toEqual([1, 0]);
});

test("an engine that does not report running requests scores the mean of those that do", () => {
  const scores = scoresOf(runningRequestsSizeScorer, [
    { running: 0 },
    { running: 4 },
    { running: 3 },
    { known: Known.waiting },
  ]);
  expect(scores.slice(0, 3)).toEqual([1, 0, 0.25]);
  expect(scores[3]).toBeCloseTo(1.25 / 3, 12);
});
