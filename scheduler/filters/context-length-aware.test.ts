import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { endpointMetadata } from "../../test/support/scheduler-setup.ts";
import { InferenceRequest } from "../request.ts";
import { contextLengthAware, parseRange, rangeScore } from "./context-length-aware.ts";

const LABEL = "llm-d.ai/context-length-range";

function instanceOver(ranges: readonly (string | null)[], parameters: object = {}) {
  const { candidates, handle, pool } = pluginSetup(0);
  ranges.forEach((range, i) => {
    pool.upsert(endpointMetadata(i, range === null ? {} : { [LABEL]: range }));
  });
  candidates.reset(0);
  const parsed = contextLengthAware.parameters.parse(parameters);
  return { ...contextLengthAware.create(parsed, handle), candidates, pool };
}

function scoresOf(ranges: readonly (string | null)[], promptTokens: number): number[] {
  const { candidates, scorer } = instanceOver(ranges);
  const scores = new Float64Array(ranges.length);
  scorer!.score(new InferenceRequest({ promptTokens }), candidates, scores);
  return [...scores];
}

function keptOf(ranges: readonly (string | null)[], promptTokens: number, parameters: object) {
  const { candidates, filter } = instanceOver(ranges, parameters);
  filter!.filter(new InferenceRequest({ promptTokens }), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}

describe("a range", () => {
  test("is two integers with a hyphen between them, blanks around them allowed", () => {
    expect(parseRange("0-2048")).toEqual({ min: 0, max: 2048 });
    expect(parseRange(" 90 - 400 ")).toEqual({ min: 90, max: 400 });
    expect(parseRange("100-100")).toEqual({ min: 100, max: 100 });
  });

  test("is nothing else", () => {
    for (const text of [
      "",
      "oops",
      "9-1",
      "1",
      "1-2-3",
      "-5-10",
      "1.5-2",
      "1e3-2e3",
      "1- ",
      "0x1-9",
    ]) {
      expect(parseRange(text), text).toBeNull();
    }
  });

  test("any text is read or refused", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (a, b) => {
        const range = parseRange(`${a}-${b}`);
        expect(range).toEqual(a <= b ? { min: a, max: b } : null);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => void parseRange(text)));
  });
});

describe("as a scorer", () => {
  test("prefers ranges that hold the prompt, then narrow ones with room; no label is in between", () => {
    const [fits, tooLong, unlabeled, unreadable] = scoresOf(
      ["0-2048", "2048-8192", null, "oops"],
      1024,
    );
    expect(fits).toBeCloseTo(0.8117065073, 9);
    expect(tooLong).toBeCloseTo(0.1482213439, 9);
    expect(unlabeled).toBe(0.5);
    expect(unreadable).toBe(0);
  });

  test("a range of one length is exact", () => {
    expect(scoresOf(["100-100", "0-50"], 100)).toEqual([1, 0.3 / 1.05]);
  });

  test("stays in 0..1; inside always above outside", () => {
    const range = fc
      .tuple(fc.nat(200_000), fc.nat(200_000))
      .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));
    fc.assert(
      fc.property(range, fc.nat(400_000), (lengths, tokens) => {
        const score = rangeScore(lengths, tokens);
        const isInside = tokens >= lengths.min && tokens <= lengths.max;
        expect(score).toBeGreaterThan(0);
        expect(score).toBeLessThanOrEqual(1);
        expect(score >= 0.3).toBe(isInside);
      }),
    );
  });
});

describe("as a filter", () => {
  test("keeps all unless it is switched on", () => {
    expect(keptOf(["0-10", "oops"], 100, {})).toEqual([0, 1]);
  });

  test("keeps unlabeled ones and ranges that hold the prompt, ends included", () => {
    const ranges = ["0-2048", "2048-8192", null, "9-1", "4000-8000"];
    expect(keptOf(ranges, 2048, { enableFiltering: true })).toEqual([0, 1, 2]);
  });
});

test("labels that change are read anew", () => {
  const { candidates, pool, scorer } = instanceOver(["0-10"]);
  const scores = new Float64Array(1);
  const request = new InferenceRequest({ promptTokens: 100 });
  scorer!.score(request, candidates, scores);
  expect(scores[0]).toBeLessThan(0.3);
  pool.upsert(endpointMetadata(0, { [LABEL]: "100-100" }));
  scorer!.score(request, candidates, scores);
  expect(scores[0]).toBe(1);
});

test("needs a label", () => {
  expect(contextLengthAware.parameters.safeParse({ label: "" }).success).toBe(false);
});
