import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { PrefixMatch } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { prefixCacheScorer, prefixScore } from "./prefix-cache-scorer.ts";

type Entry = readonly [matchBlocks: number, totalBlocks: number, blockSizeTokens: number];

function matchOf(entries: readonly Entry[]): PrefixMatch {
  const match = new PrefixMatch();
  match.ensure(entries.length);
  entries.forEach(([matchBlocks, totalBlocks, blockSizeTokens], slot) => {
    match.matchBlocks[slot] = matchBlocks;
    match.totalBlocks[slot] = totalBlocks;
    match.blockSizeTokens[slot] = blockSizeTokens;
  });
  return match;
}

function scoresOf(entries: readonly Entry[], parameters: object = {}, endpoints = entries.length) {
  const { handle, candidates } = pluginSetup(endpoints, { "prefix-match": matchOf(entries) });
  const { scorer } = prefixCacheScorer.create(
    prefixCacheScorer.parameters.parse(parameters),
    handle,
  );
  const scores = new Float64Array(endpoints);
  scorer!.score(new InferenceRequest({}), candidates, scores);
  return [...scores];
}

test("by default the score is the share of the prompt that is held", () => {
  expect(
    scoresOf([
      [0, 4, 64],
      [2, 4, 64],
      [4, 4, 64],
    ]),
  ).toEqual([0, 0.5, 1]);
});

test("no prompt, nothing produced, or no entry at all scores 0", () => {
  expect(
    scoresOf(
      [
        [0, 0, 64],
        [3, -1, 64],
      ],
      { matchLengthWeight: 1 },
      3,
    ),
  ).toEqual([0, 0, 0]);
});

test("with a length weight, the same share of a longer prompt scores higher", () => {
  expect(
    scoresOf(
      [
        [16, 32, 64],
        [32, 32, 64],
        [64, 128, 64],
      ],
      { matchLengthWeight: 0.5 },
    ),
  ).toEqual([0.2578125, 0.53125, 0.375]);
});

test("the length term saturates at 1, and is 0 without a block size", () => {
  expect(prefixScore(200, 200, 64, 1, 8192)).toBe(1);
  expect(prefixScore(3, 8, 0, 0.25, 8192)).toBe(0.28125);
});

test("the score stays in 0..1 and never falls when more is held", () => {
  const blocks = fc.integer({ min: 1, max: 5000 });
  fc.assert(
    fc.property(
      blocks,
      blocks,
      fc.nat(512),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (a, b, size, weight) => {
        const total = Math.max(a, b);
        const held = Math.min(a, b);
        const score = prefixScore(held, total, size, weight, 8192);
        expect(score).toBeGreaterThanOrEqual(prefixScore(held - 1, total, size, weight, 8192));
        expect(score).toBeLessThanOrEqual(1 + 1e-12);
      },
    ),
  );
});

test("reads the match of the producer that is named", () => {
  const parameters = prefixCacheScorer.parameters.parse({ prefixMatchInfoProducerName: "mine" });
  expect(prefixCacheScorer.consumes!(parameters)).toEqual([
    { type: "prefix-match", producer: "mine", required: true },
  ]);
  const { handle, consumed } = pluginSetup(0, { "prefix-match": new PrefixMatch() });
  prefixCacheScorer.create(parameters, handle);
  expect(consumed).toEqual(["prefix-match from mine"]);
});

test("parameters that moved to the producer are accepted with a remark each", () => {
  const { handle, warnings } = pluginSetup(0, { "prefix-match": new PrefixMatch() });
  const parameters = prefixCacheScorer.parameters.parse({ hashBlockSize: 5, autoTune: false });
  prefixCacheScorer.create(parameters, handle);
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toMatch(/^hashBlockSize .*approx-prefix-cache-producer/);
});

test("a scale of 0 is refused where it is used, with its path", () => {
  const bad = { matchLengthWeight: 0.1, matchLengthScaleTokens: 0 };
  const { error } = prefixCacheScorer.parameters.safeParse(bad);
  expect(error!.issues[0]!.path).toEqual(["matchLengthScaleTokens"]);
  expect(prefixCacheScorer.parameters.safeParse({ matchLengthScaleTokens: 0 }).success).toBe(true);
  expect(prefixCacheScorer.parameters.safeParse({ matchLengthWeight: 1.1 }).success).toBe(false);
  expect(prefixCacheScorer.parameters.safeParse({ matchLenghtWeight: 0.1 }).success).toBe(false);
});
