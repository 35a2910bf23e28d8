/**
 * Each fuzz target for a short while: the corpus, then inputs of a seed that is printed; and what a broken product gets.
 * @module
 */
import { randomInt } from "node:crypto";
import { describe, expect, test } from "vitest";
import { canaries } from "./canaries.ts";
import { corpusOf } from "./corpus.ts";
import { type FuzzReport, fuzz, inputOf } from "./fuzz.ts";
import { targets } from "./targets.ts";

const SMOKE_MS = 3000;
/** What a target does within the time of its smoke run. */
const CANARY_EXECUTIONS = 1000;
const CANARY_SEED = 1;
const CANARY_SHRINK_RUNS = 200;

/** Text to run it again by, or nothing. */
function faultOf({ failure }: FuzzReport): string {
  if (failure === null) return "";
  const { error, input, shrunk } = failure;
  return `${String(error)}\ninput ${input.toString("hex")}\nshrunk ${shrunk.toString("hex")}`;
}

describe.each([...targets.values()])("$name", (target) => {
  const corpus = corpusOf(target.name);

  test("keeps its promises for the corpus", async () => {
    expect(corpus.length).toBeGreaterThan(4);
    const isOver = (executions: number) => executions === corpus.length;
    expect(faultOf(await fuzz(target, { seed: 0, corpus, isOver }))).toBe("");
  });

  test("keeps its promises for inputs of a new seed", async () => {
    const seed = randomInt(2 ** 31);
    const endMs = performance.now() + SMOKE_MS;
    const isOver = () => performance.now() >= endMs;
    const report = await fuzz(target, { seed, corpus, isOver });
    console.log(`${target.name}: seed ${seed}, ${report.executions} executions`);
    expect(faultOf(report), `seed ${seed}`).toBe("");
    expect(report.executions).toBeGreaterThan(corpus.length);
  });

  test("is given the same inputs by the same seed", () => {
    const some = (seed: number) => [0, 1, 2, 3, 4, 5].map((i) => inputOf(target, seed, i, corpus));
    expect(some(5)).toEqual(some(5));
    expect(some(5)).not.toEqual(some(6));
  });
});

describe("a broken product is found out", () => {
  test.each(Object.entries(canaries))("%s", async (_, target) => {
    // Without the corpus: what is made must be enough.
    const isOver = (executions: number) => executions === CANARY_EXECUTIONS;
    const options = { seed: CANARY_SEED, corpus: [], shrinkRuns: CANARY_SHRINK_RUNS, isOver };
    const { failure } = await fuzz(target, options);
    expect(failure).not.toBeNull();
    expect(failure!.shrunk.length).toBeLessThanOrEqual(failure!.input.length);
    // What is left of the input still shows it, and is fine with the product as it is.
    await expect((async () => target.run(failure!.shrunk, null))()).rejects.toThrow();
    await targets.get(target.name)!.run(failure!.shrunk, null);
  });
});
