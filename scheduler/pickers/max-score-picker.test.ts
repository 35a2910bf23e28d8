import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { Pick } from "../plugin.ts";
import { SeededRandom } from "../random.ts";
import { InferenceRequest } from "../request.ts";
import { maxScorePicker } from "./max-score-picker.ts";

const request = new InferenceRequest({});

interface Load {
  readonly inflight?: number;
  readonly tokens?: number;
}

/** A picker over endpoints with these loads; each call of the result picks once. */
function pickerOf(loads: readonly Load[], parameters: object = {}, seed = 1) {
  const { candidates, handle, pool } = pluginSetup(loads.length);
  loads.forEach(({ inflight = 0, tokens = 0 }, slot) => {
    pool.columns.inflight[slot] = inflight;
    pool.columns.inflightTokens[slot] = tokens;
  });
  const { picker } = maxScorePicker.create(maxScorePicker.parameters.parse(parameters), {
    ...handle,
    random: new SeededRandom(seed),
  });
  const out = new Pick(16);
  return (totals: readonly number[], alive = loads.map((_, i) => i)): number[] => {
    alive.forEach((slot, i) => {
      candidates.slots[i] = slot;
    });
    candidates.count = alive.length;
    picker!.pick(request, candidates, Float64Array.from(totals), out);
    return [...out.indexes.subarray(0, out.count)];
  };
}

const idle = (count: number): Load[] => Array.from({ length: count }, () => ({}));

test("the highest total wins", () => {
  expect(pickerOf(idle(3))([3.5, 4.25, 1])).toEqual([1]);
});

test("totals that differ by rounding only are equal", () => {
  const pick = pickerOf([{ inflight: 1 }, {}]);
  expect(pick([0.1 + 0.2, 0.3])).toEqual([1]);
  expect(pick([0.3 + 1e-8, 0.3])).toEqual([0]);
  expect(pick([0, 0])).toEqual([1]);
});

describe("equal totals", () => {
  test("go to the fewest own requests, then to the fewest own tokens", () => {
    const pick = pickerOf([
      { inflight: 2, tokens: 0 },
      { inflight: 1, tokens: 900 },
      { inflight: 1, tokens: 300 },
      { inflight: 0, tokens: 0 },
    ]);
    expect(pick([1, 1, 1, 0.5])).toEqual([2]);
  });

  test("and equal load go in turn", () => {
    const pick = pickerOf(idle(3));
    expect([1, 2, 3, 4, 5, 6].map(() => pick([1, 1, 1])[0])).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test("take turns of their own for each number of equals, so none of them starves", () => {
    const pick = pickerOf(idle(3));
    const pairs: number[] = [];
    const triples: number[] = [];
    for (let i = 0; i < 6; i++) {
      pairs.push(pick([1, 1, 0])[0]!);
      triples.push(pick([1, 1, 1])[0]!);
    }
    expect(pairs).toEqual([0, 1, 0, 1, 0, 1]);
    expect(triples).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test("are not disturbed by lower totals between them", () => {
    const pick = pickerOf(idle(5));
    expect([1, 2, 3, 4].map(() => pick([1, 0, 1, 0, 0.5])[0])).toEqual([0, 2, 0, 2]);
  });
});

describe("several endpoints", () => {
  test("come best first: the other equals in turn, then the next totals", () => {
    const pick = pickerOf(idle(5), { maxNumOfEndpoints: 4 });
    expect(pick([2, 5, 5, 5, 1])).toEqual([1, 2, 3, 0]);
    expect(pick([2, 5, 5, 5, 1])).toEqual([2, 3, 1, 0]);
    expect(pick([2, 5, 5, 5, 1])).toEqual([3, 1, 2, 0]);
  });

  test("of one total come by load", () => {
    const pick = pickerOf([{ inflight: 3 }, { inflight: 1 }, { inflight: 2 }], {
      maxNumOfEndpoints: 3,
    });
    expect(pick([1, 1, 1])).toEqual([1, 2, 0]);
  });

  test("are no more than there are candidates, and at least one is asked for", () => {
    expect(pickerOf(idle(2), { maxNumOfEndpoints: 9 })([1, 2])).toEqual([1, 0]);
    expect(pickerOf(idle(2), { maxNumOfEndpoints: -4 })([1, 2])).toEqual([1]);
    expect(maxScorePicker.parameters.safeParse({ maxNumOfEndpoints: 17 }).success).toBe(false);
  });
});

test("a pool that grows from pick to pick is no problem", () => {
  const pick = pickerOf(idle(300));
  for (const count of [1, 3, 64, 65, 300, 2]) {
    const alive = Array.from({ length: count }, (_, i) => i);
    const totals = alive.map((i) => (i === count - 1 ? 2 : 1));
    expect(pick(totals, alive)).toEqual([count - 1]);
  }
});

test("with compat: upstream equal totals are equally likely, in every place", () => {
  const pick = pickerOf(idle(4), { compat: "upstream", maxNumOfEndpoints: 2 }, 7);
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const order = pick([1, 1, 0.5, 1]).join();
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual(["0,1", "0,3", "1,0", "1,3", "3,0", "3,1"]);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120);
});

test("totals that are no numbers still lead to a pick", () => {
  for (const parameters of [{}, { compat: "upstream" }]) {
    expect(pickerOf(idle(2), parameters)([Number.NaN, Number.NaN])).toHaveLength(1);
    expect(pickerOf([{ tokens: Number.NaN }], parameters)([1])).toEqual([0]);
  }
});

test("the order is that of a stable sort by total and load, whatever the totals", () => {
  const candidate = fc.record({
    total: fc.constantFrom(0, 1, 2, 2 + 1e-12, 3),
    inflight: fc.nat(2),
    tokens: fc.constantFrom(0, 10, 20),
  });
  fc.assert(
    fc.property(
      fc.array(candidate, { minLength: 1, maxLength: 24 }),
      fc.integer({ min: 1, max: 16 }),
      (endpoints, maxNumOfEndpoints) => {
        const pick = pickerOf(endpoints, { maxNumOfEndpoints });
        const picked = pick(endpoints.map(({ total }) => total));
        const rank = (i: number): string => {
          const { inflight, tokens, total } = endpoints[i]!;
          return `${9 - Math.round(total)}/${inflight}/${tokens}`;
        };
        const all = endpoints.map((_, i) => rank(i)).sort();
        expect(picked.map(rank)).toEqual(all.slice(0, Math.min(maxNumOfEndpoints, all.length)));
        expect(new Set(picked).size).toBe(picked.length);
      },
    ),
  );
});
