/**
 * Scores, kept lists, picks and hashes as llm-d-router v0.10 gives them, and the runner that says so.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { definitions } from "../../scheduler/index.ts";
import { evaluate } from "../vectors/evaluate.ts";
import { Mismatch, type Vector, vectorsOf } from "../vectors/format.ts";
import { unevenness } from "../vectors/pickers.ts";
import { reportLines, runVectors } from "../vectors/run-vectors.ts";

const file = new URL("../fixtures/scheduling-vectors.json", import.meta.url);
const vectors = vectorsOf(JSON.parse(readFileSync(file, "utf8")));

describe("with compat: upstream", () => {
  test.each(vectors.map((vector) => [vector.id, vector] as const))("%s", (_id, vector) => {
    expect(() => evaluate(vector)).not.toThrow();
  });

  test("every scorer, filter, picker and admitter that upstream has is among them", () => {
    const covered = new Set(vectors.map(({ plugin }) => plugin));
    const withoutVector = definitions
      .filter(({ kinds }) => kinds.some((kind) => kind.match(/^(scorer|filter|picker|admitter)$/)))
      .map(({ type }) => type)
      .filter((type) => !covered.has(type));
    expect(withoutVector).toEqual(["random-picker"]); // nothing about it can be expected
  });
});

describe("by default", () => {
  const fresh = vectors.filter(
    ({ endpoints, kind }) =>
      (kind === "scorer" || kind === "profile") &&
      endpoints!.every(({ metrics }) => metrics !== undefined),
  );

  test("there are vectors about endpoints that were all scraped", () => {
    expect(fresh.length).toBeGreaterThan(8);
  });

  test.each(fresh.map((vector) => [vector.id, vector] as const))(
    "scores are the same where all endpoints were scraped: %s",
    (_id, vector) => {
      expect(() => evaluate(vector, "ours")).not.toThrow();
    },
  );
});

describe("the runner", () => {
  const queue = vectors.find(({ id }) => id === "queue-scorer-scorer-01")!;
  const ties = vectors.find(({ id }) => id === "max-score-picker-picker-02")!;
  const linesOf = (...list: readonly Vector[]): string[] => reportLines(runVectors(list));

  test("tells what passed", () => {
    expect(linesOf(queue, ties)).toEqual(["2 passed, 0 failed, 0 skipped"]);
  });

  test("fails a vector with another result, one line each", () => {
    const wrong = {
      ...queue,
      expected: { scores: { ...(queue.expected["scores"] as object), "default/p1": 0.6 } },
    };
    expect(linesOf(queue, wrong)).toEqual([
      "failed: queue-scorer-scorer-01: scores default/p1: expected 0.6, got 0.5",
      "1 passed, 1 failed, 0 skipped",
    ]);
  });

  test("fails on expectations that it can not check, and when there are none", () => {
    const [unknown] = linesOf({ ...queue, expected: { ...queue.expected, rank: 1 } });
    expect(unknown).toBe('failed: queue-scorer-scorer-01: no check for the expectation "rank"');
    const [inherited] = linesOf({ ...queue, expected: { toString: 1 } });
    expect(inherited).toContain('no check for the expectation "toString"');
    const [empty] = linesOf({ ...queue, expected: {} });
    expect(empty).toBe("failed: queue-scorer-scorer-01: nothing is expected");
  });

  test("fails on facts that it can not give to the plugin, and on parameters that are refused", () => {
    const pod = { id: "default/p0", metrics: { waitingQueueSize: 1, mood: 2 } };
    expect(linesOf({ ...queue, endpoints: [pod] })[0]).toContain('metric "mood"');
    const tagged = { id: "default/p0", attributes: { mood: 2 } };
    expect(linesOf({ ...queue, endpoints: [tagged] })[0]).toContain('attribute "mood"');
    expect(linesOf({ ...ties, parameters: { maxNumOfEndpoints: "three" } })[0]).toContain(
      "parameters refused",
    );
  });

  test("fails on a registered plugin in a kind that it is not", () => {
    expect(linesOf({ ...queue, kind: "filter" })[0]).toContain("the plugin is no filter");
    expect(linesOf({ ...queue, kind: "decider" })[0]).toContain(
      'no check for vectors of kind "decider"',
    );
  });

  test("skips plugins that are not registered, by name", () => {
    const absent = { ...queue, plugin: "latency-scorer" };
    const profile: Vector = {
      id: "profile-of-absent",
      plugin: "profile",
      kind: "profile",
      parameters: { scorers: [{ plugin: "latency-scorer" }, { plugin: "queue-scorer" }] },
      endpoints: queue.endpoints!,
      expected: { totals: {} },
    };
    const other = { ...queue, plugin: "a-filter", kind: "filter" };
    expect(linesOf(absent, other, profile, queue)).toEqual([
      "skipped: a-filter (1)",
      "skipped: latency-scorer (2)",
      "1 passed, 0 failed, 3 skipped",
    ]);
  });

  test("fails a picker that does not draw ties evenly", () => {
    // In turn is not at random, but even; a fixed choice is neither.
    expect(() => evaluate(ties, "ours")).not.toThrow();
    const fixed: Vector = {
      ...ties,
      plugin: "weighted-random-picker",
      scoredEndpoints: { "default/a": 1, "default/c": 0, "default/d": 0, "default/b": 2 },
      parameters: { maxNumOfEndpoints: 3 },
      expected: {
        picked: {
          count: 3,
          always: ["default/a", "default/b"],
          oneOfTies: ["default/c", "default/d"],
          tiesNeeded: 1,
        },
      },
    };
    expect(() => evaluate(fixed)).toThrow(Mismatch);
    expect(() => evaluate(fixed)).toThrow("ties are not drawn evenly");
  });

  test("takes a file for what it is only when it is a list of vectors", () => {
    for (const document of [null, [], {}, { vectors: {} }]) {
      expect(() => vectorsOf(document)).toThrow("no list of vectors");
    }
    expect(() => vectorsOf({ vectors: [queue, null] })).toThrow("vectors[1].id: expected text");
    expect(() => vectorsOf({ vectors: [{ ...queue, kind: 3 }] })).toThrow("vectors[0].kind");
    expect(() => vectorsOf({ vectors: [{ ...queue, expected: null }] })).toThrow(
      "vectors[0].expected",
    );
  });
});

test("evenness is judged with the variance of draws without putting back", () => {
  expect(unevenness([5000, 5000], 1, 10_000)).toBeNull();
  expect(unevenness([4830, 5170], 1, 10_000)).toContain("chi-square 11.6");
  expect(unevenness([4900, 5100], 1, 10_000)).toBeNull();
  // Two of three: each count varies half as much as that of two separate draws.
  expect(unevenness([6667, 6667, 6666], 2, 10_000)).toBeNull();
  expect(unevenness([6480, 6760, 6760], 2, 10_000)).toContain("chi-square");
  expect(unevenness([10_000, 10_000], 2, 10_000)).toBeNull();
});
