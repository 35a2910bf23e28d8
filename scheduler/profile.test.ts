import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../test/support/plugin-setup.ts";
import type { Filter, Picker, Scorer } from "./plugin.ts";
import { addWeighted, Profile, type ProfileScorer } from "./profile.ts";
import { InferenceRequest } from "./request.ts";

const request = new InferenceRequest({});

function totalsOf(
  scores: readonly number[],
  weight: number,
): { totals: number[]; refused: number } {
  const totals = new Float64Array(scores.length);
  const refused = addWeighted(totals, Float64Array.from(scores), weight, scores.length);
  return { totals: [...totals], refused };
}

/** Scores slot i with `scores[i]`. */
const fixed = (...scores: number[]): Scorer => ({
  score(_request, candidates, out) {
    for (let i = 0; i < candidates.count; i++) out[i] = scores[candidates.slots[i]!]!;
  },
});

const first: Picker = {
  pick(_request, _candidates, _totals, out) {
    out.count = 1;
    out.indexes[0] = 0;
  },
};

const dropSlot = (dropped: number, rejects: Filter["rejects"] = "filtered-by-load"): Filter => ({
  rejects,
  filter(_request, candidates) {
    const left = [...candidates.slots.subarray(0, candidates.count)].filter((s) => s !== dropped);
    candidates.slots.set(left);
    candidates.count = left.length;
  },
});

function profileOf(
  endpoints: number,
  parts: { filters?: readonly Filter[]; scorers?: readonly ProfileScorer[] },
) {
  const { candidates, pool } = pluginSetup(endpoints);
  const counters = { nanScores: 0 };
  const profile = new Profile({
    name: "default",
    pool,
    filters: (parts.filters ?? []).map((filter, i) => ({ name: `filter-${i}`, filter })),
    scorers: parts.scorers ?? [],
    picker: first,
    counters,
  });
  return { candidates, pool, profile, counters };
}

const use = (scorer: Scorer, weight: number): ProfileScorer => ({ name: "scorer", scorer, weight });

describe("adding weighted scores", () => {
  test("clamps to 0..1 before weighting", () => {
    expect(totalsOf([-0.5, 0, 0.5, 1, 1.5], 4)).toEqual({ totals: [0, 0, 2, 4, 4], refused: 0 });
  });

  test("takes what is no finite number as 0, and counts it", () => {
    const scores = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1];
    expect(totalsOf(scores, 2)).toEqual({ totals: [0, 0, 0, 2], refused: 3 });
  });

  test("is linear in the weight", () => {
    const score = fc.double({ min: -2, max: 2, noNaN: true });
    const weight = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(fc.array(score, { maxLength: 8 }), weight, (scores, w) => {
        const { totals } = totalsOf(scores, w);
        totalsOf(scores, 1).totals.forEach((total, i) => {
          expect(totals[i]).toBeCloseTo(total * w, 9);
        });
      }),
    );
  });
});

describe("a run", () => {
  test("passes candidates through the filters in order, then adds up the scorers", () => {
    const { candidates, profile } = profileOf(4, {
      filters: [dropSlot(0), dropSlot(2)],
      scorers: [use(fixed(9, 0.5, 9, 1), 2), use(fixed(0, 1, 0, 0.25), 1)],
    });
    expect(profile.run(request, candidates, null)).toBeNull();
    expect([...profile.candidates.slots.subarray(0, profile.candidates.count)]).toEqual([1, 3]);
    expect([...profile.totals.subarray(0, 2)]).toEqual([2, 2.25]);
    expect(profile.slot(0)).toBe(1);
  });

  test("leaves the candidates it was given as they are", () => {
    const { candidates, profile } = profileOf(3, { filters: [dropSlot(1)] });
    profile.run(request, candidates, null);
    expect(candidates.count).toBe(3);
    expect([...candidates.slots.subarray(0, 3)]).toEqual([0, 1, 2]);
  });

  test("stops at the filter that leaves nobody, with its reason", () => {
    let asked = 0;
    const counting: Scorer = { score: () => asked++ };
    const { candidates, profile } = profileOf(1, {
      filters: [dropSlot(0, "filtered-by-labels"), dropSlot(0, "filtered-by-load")],
      scorers: [use(counting, 1)],
    });
    expect(profile.run(request, candidates, null)).toBe("filtered-by-labels");
    expect(asked).toBe(0);
  });

  test("does not ask a scorer of weight 0", () => {
    const { candidates, profile } = profileOf(1, {
      scorers: [
        use(
          {
            score: () => {
              throw new Error("asked");
            },
          },
          0,
        ),
      ],
    });
    expect(profile.run(request, candidates, null)).toBeNull();
    expect(profile.totals[0]).toBe(0);
  });

  test("starts with totals of 0, whatever the run before left", () => {
    const { candidates, profile } = profileOf(2, { scorers: [use(fixed(1, 0), 3)] });
    profile.run(request, candidates, null);
    profile.run(request, candidates, null);
    expect([...profile.totals.subarray(0, 2)]).toEqual([3, 0]);
  });

  test("counts scores that are no numbers", () => {
    const { candidates, counters, profile } = profileOf(2, {
      scorers: [use(fixed(Number.NaN, 0.5), 1)],
    });
    profile.run(request, candidates, null);
    expect([...profile.totals.subarray(0, 2)]).toEqual([0, 0.5]);
    expect(counters.nanScores).toBe(1);
  });
});
