import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addEndpoint, flightOf, noResults, pluginSetup } from "../../test/support/plugin-setup.ts";
import { PrefixMatch } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import {
  inflightLoadProducer,
  outputTokens,
  projectTokens,
  uncachedTokens,
} from "./inflight-load-producer.ts";

const { parameters: schema } = inflightLoadProducer;

function setup(endpoints: number, raw: object = {}, match?: PrefixMatch) {
  const base = pluginSetup(endpoints, match === undefined ? {} : { "prefix-match": match });
  const producer = inflightLoadProducer.create(schema.parse(raw), base.handle).producer!;
  const load = producer.data["inflight-load"]!;
  const uncached = producer.data["uncached-request-tokens"]!;
  return { ...base, producer, load, uncached };
}

function matchOf(entries: readonly (readonly [matched: number, total: number])[]): PrefixMatch {
  const match = new PrefixMatch();
  match.ensure(entries.length);
  entries.forEach(([matched, total], slot) => {
    match.matchBlocks[slot] = matched;
    match.totalBlocks[slot] = total;
    match.blockSizeTokens[slot] = 64;
  });
  return match;
}

describe("projection", () => {
  test("missing blocks and the prompt behind them count, all of it where nothing is known", () => {
    expect(uncachedTokens(640, 4, 10, 64)).toBe(384);
    expect(uncachedTokens(640, 10, 10, 64)).toBe(0);
    expect(uncachedTokens(640, 0, 4, 64)).toBe(640);
    expect(uncachedTokens(640, 0, -1, 64)).toBe(640);
    expect(uncachedTokens(640, 3, 4, 0)).toBe(640);
    expect(uncachedTokens(640, 0, 0, 64)).toBe(640);
    expect(uncachedTokens(0, 0, 0, 64)).toBe(0);
  });

  test("output is the prompt times the ratio, within the caps of client and operator", () => {
    const parameters = schema.parse({ addEstimatedOutputTokens: true });
    expect(projectTokens(parameters, 630, 100, 4, 10, 64)).toBe(484);
    expect(outputTokens(parameters, 101, -1)).toBe(152);
    expect(outputTokens(parameters, 101, 0)).toBe(0);
    expect(outputTokens(parameters, 0, 50)).toBe(0);
    const capped = schema.parse({ outputRatio: 0.5, maxEstimatedOutputTokens: 40 });
    expect(outputTokens(capped, 101, -1)).toBe(40);
    expect(outputTokens(capped, 60, 1000)).toBe(30);
  });

  test("is a whole number, never negative, and at most prompt, one block and output", () => {
    const count = fc.nat(200_000);
    fc.assert(
      fc.property(
        count,
        fc.integer({ min: -1, max: 9999 }),
        count,
        fc.integer({ min: -1, max: 4000 }),
        fc.nat(512),
        fc.boolean(),
        (prompt, maxOutput, matched, total, blockSize, output) => {
          const parameters = schema.parse({ addEstimatedOutputTokens: output });
          const tokens = projectTokens(
            parameters,
            prompt,
            maxOutput,
            matched / 2,
            total,
            blockSize,
          );
          expect(Number.isInteger(tokens)).toBe(true);
          expect(tokens).toBeGreaterThanOrEqual(0);
          const indexed = Math.max(0, total) * blockSize;
          expect(tokens).toBeLessThanOrEqual(Math.max(prompt, indexed) + Math.ceil(prompt * 1.5));
        },
      ),
    );
  });
});

describe("producing", () => {
  test("writes what the request would add to each candidate", () => {
    const match = matchOf([
      [4, 10],
      [10, 10],
      [0, -1],
    ]);
    const { producer, candidates, uncached } = setup(4, {}, match);
    producer.produce!(new InferenceRequest({ promptTokens: 640 }), candidates);
    expect([...uncached.tokens.subarray(0, 4)]).toEqual([384, 0, 640, 640]);
  });

  test("without a prefix producer the whole prompt counts everywhere", () => {
    const { producer, candidates, uncached } = setup(2, { addEstimatedOutputTokens: true });
    producer.produce!(new InferenceRequest({ promptTokens: 100, maxOutputTokens: 7 }), candidates);
    expect([...uncached.tokens.subarray(0, 2)]).toEqual([107, 107]);
  });
});

describe("charging", () => {
  test("adds each endpoint's projection to its charge", () => {
    const { producer, candidates, pool } = setup(
      2,
      {},
      matchOf([
        [4, 10],
        [0, 10],
      ]),
    );
    const request = new InferenceRequest({ promptTokens: 640 });
    producer.produce!(request, candidates);
    const flight = flightOf(request, pool, [
      [0, "decode"],
      [1, "prefill"],
    ]);
    producer.account!(flight, noResults);
    expect(flight.charges.map(({ tokens }) => tokens)).toEqual([384, 640]);
  });

  test("a flight whose projections are not at hand is charged its whole prompt", () => {
    const { producer, candidates, pool } = setup(1, {}, matchOf([[10, 10]]));
    producer.produce!(new InferenceRequest({ promptTokens: 640 }), candidates);
    const flight = flightOf(new InferenceRequest({ promptTokens: 99 }), pool, [[0, "default"]]);
    producer.account!(flight, noResults);
    expect(flight.charges[0]!.tokens).toBe(99);
  });

  test("at the first token prompts are given back, and stages before the primary whole", () => {
    const { producer, candidates, pool } = setup(3);
    const request = new InferenceRequest({ promptTokens: 50 });
    producer.produce!(request, candidates);
    const flight = flightOf(request, pool, [
      [0, "any-name"],
      [1, "another"],
      [2, "third"],
    ]);
    producer.account!(flight, noResults);
    producer.firstToken!(flight);
    expect(flight.charges.map(({ requests, tokens }) => [requests, tokens])).toEqual([
      [1, 0],
      [0, 0],
      [0, 0],
    ]);
  });

  test("with output counted, the primary keeps its tokens to the end", () => {
    const { producer, candidates, pool } = setup(2, { addEstimatedOutputTokens: true });
    const request = new InferenceRequest({ promptTokens: 50, maxOutputTokens: 10 });
    producer.produce!(request, candidates);
    const flight = flightOf(request, pool, [
      [0, "decode"],
      [1, "prefill"],
    ]);
    producer.account!(flight, noResults);
    producer.firstToken!(flight);
    expect(flight.charges.map(({ requests, tokens }) => [requests, tokens])).toEqual([
      [1, 60],
      [0, 0],
    ]);
  });
});

describe("the published load", () => {
  test("is the pool's own count, live, also after the pool has grown", () => {
    const { producer, load, pool } = setup(1);
    pool.columns.inflight[0] = 3;
    pool.columns.inflightTokens[0] = 500;
    expect([load.requests[0], load.tokens[0]]).toEqual([3, 500]);
    for (let i = 1; i < 40; i++) producer.endpointAdded!(addEndpoint(pool, i));
    pool.columns.inflight[39] = 7;
    pool.columns.inflightTokens[0] = 20;
    expect([load.requests[39], load.tokens[0]]).toEqual([7, 20]);
  });

  test("is summed for operators", () => {
    const { producer, pool } = setup(2);
    pool.columns.inflight.set([2, 3]);
    pool.columns.inflightTokens.set([100, 11]);
    expect(producer.stats!()).toEqual({ requests: 5, tokens: 111 });
  });
});

test("the prefix match is optional, from the producer that is named", () => {
  expect(
    inflightLoadProducer.consumes!(schema.parse({ prefixMatchInfoProducerName: "mine" })),
  ).toEqual([{ type: "prefix-match", producer: "mine", required: false }]);
  expect(setup(0).consumed).toEqual(["prefix-match from approx-prefix-cache-producer"]);
});

test.each([
  [{ outputRatio: -0.1 }, "outputRatio"],
  [{ maxEstimatedOutputTokens: -1 }, "maxEstimatedOutputTokens"],
  [{ outputRation: 1 }, ""],
])("%o is refused at '%s'", (raw, path) => {
  const { error } = schema.safeParse(raw);
  expect(error!.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});
