import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { START_MS, scrape } from "../../test/support/scheduler-setup.ts";
import { type ScoredEndpoint, scoresOf } from "../../test/support/scores.ts";
import { Known } from "../endpoints.ts";
import { hashName, type NameHash } from "../name-hash.ts";
import { loraAffinityScorer, scoreLoraAffinity } from "./lora-affinity-scorer.ts";

const forModel = (
  targetModel: string,
  endpoints: readonly ScoredEndpoint[],
  parameters: object = {},
): number[] => scoresOf(loraAffinityScorer, endpoints, { parameters, request: { targetModel } });

test("in use beats room, room beats waiting, waiting beats full", () => {
  const scores = forModel("a", [
    { active: ["a", "b"], maxAdapters: 4 },
    { active: ["b"], maxAdapters: 4 },
    { active: ["b", "c"], queued: ["a", "d"], maxAdapters: 4 },
    { active: ["b", "c", "d", "e"], maxAdapters: 4 },
  ]);
  expect(scores).toEqual([1, 0.8, 0.6, 0]);
});

test("the formula compares both halves of a name's hash", () => {
  const { candidates, pool } = pluginSetup(1);
  scrape(pool, 0, { active: ["a"], maxAdapters: 1 }, START_MS);
  const scores = new Float64Array(1);
  const { hi, lo } = hashName("a");
  const scoreOf = (name: NameHash): number => {
    scoreLoraAffinity(candidates, name, false, scores);
    return scores[0]!;
  };
  expect([
    scoreOf({ lo, hi }),
    scoreOf({ lo, hi: (hi ^ 1) >>> 0 }),
    scoreOf({ lo: (lo ^ 1) >>> 0, hi }),
  ]).toEqual([1, 0, 0]);
});

test("an adapter that runs and waits takes one place; with compat: upstream two", () => {
  const endpoints = [{ active: ["b", "c"], queued: ["b", "c"], maxAdapters: 3 }];
  expect(forModel("a", endpoints)).toEqual([0.8]);
  expect(forModel("a", endpoints, { compat: "upstream" })).toEqual([0]);
});

test("an adapter that waits where there is room scores as room", () => {
  const endpoints = [{ active: ["b"], queued: ["a"], maxAdapters: 3 }];
  expect(forModel("a", endpoints)).toEqual([0.8]);
});

describe("neutral", () => {
  const withLora = [
    { active: ["a"], maxAdapters: 2 },
    { active: ["b", "c"], maxAdapters: 2 },
  ];

  test("all score 1 for base models, and for a request without a model", () => {
    expect(forModel("llama", withLora, { baseModels: ["qwen", "llama"] })).toEqual([1, 1]);
    expect(forModel("", withLora)).toEqual([1, 1]);
    expect(forModel("a", withLora, { baseModels: ["llama"] })).toEqual([1, 0]);
  });

  test("all score 1 in a pool without LoRA facts; with compat: upstream 0", () => {
    const pool = [{ known: Known.waiting }, { known: Known.waiting }];
    expect(forModel("a", pool)).toEqual([1, 1]);
    expect(forModel("a", pool, { compat: "upstream" })).toEqual([0, 0]);
  });

  test("an endpoint without LoRA facts scores the mean of those that have them", () => {
    expect(forModel("a", [...withLora, { known: Known.waiting }, { ageMs: null }])).toEqual([
      1, 0, 0.5, 0.5,
    ]);
  });
});

test("one more adapter in use elsewhere never raises the score of an endpoint without the adapter", () => {
  const names = fc.uniqueArray(fc.constantFrom("b", "c", "d", "e", "f"), { maxLength: 5 });
  fc.assert(
    fc.property(names, names, fc.integer({ min: 0, max: 6 }), (active, queued, maxAdapters) => {
      const [before] = forModel("a", [{ active, queued, maxAdapters }]);
      const [after] = forModel("a", [{ active: [...active, "g"], queued, maxAdapters }]);
      expect(after).toBeLessThanOrEqual(before!);
    }),
  );
});
