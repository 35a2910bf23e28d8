import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { scoresOf } from "../../test/support/scores.ts";
import { queueScorer } from "./queue-scorer.ts";

const ofQueues = (waiting: readonly number[], parameters: object = {}): number[] =>
  scoresOf(
    queueScorer,
    waiting.map((depth) => ({ waiting: depth })),
    { parameters },
  );

test("the shortest queue scores 1, the longest 0, the middle in proportion", () => {
  expect(ofQueues([0, 5, 10])).toEqual([1, 0.5, 0]);
  expect(ofQueues([3, 1, 4, 1, 5, 9, 2, 6])).toEqual([0.75, 1, 0.625, 1, 0.5, 0, 0.875, 0.375]);
});

test("equal queues all score 1, and so does a single candidate", () => {
  expect(ofQueues([7, 7, 7])).toEqual([1, 1, 1]);
  expect(ofQueues([42])).toEqual([1]);
});

test("a longer queue never scores higher", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(10_000), { minLength: 1, maxLength: 64 }), (waiting) => {
      const scores = ofQueues(waiting);
      for (let i = 0; i < waiting.length; i++) {
        for (let j = 0; j < waiting.length; j++) {
          if (waiting[i]! < waiting[j]!) expect(scores[i]).toBeGreaterThan(scores[j]!);
          if (waiting[i] === waiting[j]) expect(scores[i]).toBe(scores[j]);
        }
      }
    }),
  );
});

describe("an endpoint that was never scraped", () => {
  test("scores the mean of the others and leaves their scores alone", () => {
    const scores = scoresOf(queueScorer, [{ waiting: 0 }, { waiting: 2 }, { ageMs: null }]);
    expect(scores).toEqual([1, 0, 0.5]);
  });

  test("counts as idle with compat: upstream", () => {
    const endpoints = [{ waiting: 4 }, { ageMs: null }];
    expect(scoresOf(queueScorer, endpoints, { parameters: { compat: "upstream" } })).toEqual([
      0, 1,
    ]);
  });

  test("and nobody was: all score 1", () => {
    expect(scoresOf(queueScorer, [{ ageMs: null }, { ageMs: null }])).toEqual([1, 1]);
  });
});

describe("own requests since the last scrape", () => {
  const endpoints = [
    { waiting: 4, credit: 6 },
    { waiting: 5, credit: 0 },
    { waiting: 0, credit: -3 },
  ];

  test("play no part by default", () => {
    expect(scoresOf(queueScorer, endpoints)).toEqual([0.2, 0, 1]);
  });

  test("count on top with mode: add, down to an empty queue", () => {
    const scores = scoresOf(queueScorer, endpoints, { parameters: { mode: "add" } });
    expect(scores).toEqual([0, 0.5, 1]);
  });
});

test("minRange keeps a small difference from spanning all scores, and a large one as it is", () => {
  expect(ofQueues([0, 1], { minRange: 4 })).toEqual([1, 0.75]);
  expect(ofQueues([10, 11, 12], { minRange: 4 })).toEqual([1, 0.75, 0.5]);
  expect(ofQueues([0, 1000], { minRange: 4 })).toEqual([1, 0]);
  expect(ofQueues([3, 3], { minRange: 4 })).toEqual([1, 1]);
});

test("what upstream would ignore among the parameters is ignored", () => {
  expect(queueScorer.ignoresParameters).toBe(true);
  expect(queueScorer.parameters.parse({ anything: [1] })).toEqual({ mode: "raw", minRange: 0 });
});
