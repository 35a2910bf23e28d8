import { describe, expect, test } from "vitest";
import { addEndpoint, flightOf, noResults, pluginSetup } from "../../test/support/plugin-setup.ts";
import type { Flight } from "../flight.ts";
import { hashTokens } from "../prefix/block-hash.ts";
import { InferenceRequest } from "../request.ts";
import {
  approxPrefixCacheProducer,
  effectiveGeometry,
  matchBlocks,
} from "./approx-prefix-cache-producer.ts";

const BLOCK = 64;

function setup(endpoints: number, raw: object = {}) {
  const base = pluginSetup(endpoints);
  const parameters = approxPrefixCacheProducer.parameters.parse(raw);
  const producer = approxPrefixCacheProducer.create(parameters, base.handle).producer!;
  producer.setPlanIndex!(0);
  const match = producer.data["prefix-match"]!;

  /** A request with these prompts, hashed as the producer wants it now. */
  const request = (...prompts: (readonly number[])[]): InferenceRequest => {
    const { blockSizeTokens, blocksMax, upstreamRoot } = producer.hashPlan!;
    const hashes = hashTokens(prompts, "m", "", blockSizeTokens, blocksMax, upstreamRoot);
    return new InferenceRequest({ blockHashes: [hashes] });
  };
  /** Match of a request as [matched, total] per endpoint. */
  const matched = (of: InferenceRequest): number[][] => {
    base.candidates.reset(0);
    producer.produce!(of, base.candidates);
    return Array.from({ length: endpoints }, (_, slot) => [
      match.matchBlocks[slot]!,
      match.totalBlocks[slot]!,
    ]);
  };
  const send = (
    of: InferenceRequest,
    ...targets: (readonly [slot: number, profile: string])[]
  ): Flight => {
    matched(of);
    const flight = flightOf(of, base.pool, targets);
    producer.account!(flight, noResults);
    return flight;
  };
  return { ...base, producer, match, request, matched, send };
}

/** `count` tokens, different from those of another seed from the first one on. */
function tokens(count: number, seed = 0): number[] {
  return Array.from({ length: count }, (_, i) => seed * 100_000 + i);
}

describe("matching", () => {
  test("an endpoint holds what it was sent, the others do not", () => {
    const { request, matched, send, match } = setup(3);
    send(request(tokens(5 * BLOCK)), [1, "default"]);
    const longer = request([...tokens(4 * BLOCK), ...tokens(4 * BLOCK, 7)]);
    expect(matched(longer)).toEqual([
      [0, 8],
      [4, 8],
      [0, 8],
    ]);
    expect([...match.cachedBlocks.subarray(0, 3)]).toEqual([0, 4, 0]);
    expect([...match.blockSizeTokens.subarray(0, 3)]).toEqual([BLOCK, BLOCK, BLOCK]);
  });

  test("a request without a prompt gives 0 of 0 to every candidate, whatever was there before", () => {
    const { request, matched, send } = setup(2);
    send(request(tokens(3 * BLOCK)), [0, "default"]);
    matched(request(tokens(3 * BLOCK)));
    expect(matched(new InferenceRequest({ blockHashes: [null] }))).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(matched(new InferenceRequest({}))[0]).toEqual([0, 0]);
    expect(matched(request())[0]).toEqual([0, 0]);
  });

  test("several prompts are matched each from its own start and summed", () => {
    const { request, matched, send } = setup(1);
    send(request(tokens(2 * BLOCK, 1), tokens(3 * BLOCK, 2)), [0, "default"]);
    expect(matched(request(tokens(3 * BLOCK, 2), tokens(4 * BLOCK, 3)))).toEqual([[3, 7]]);
  });

  test("a partial last block does not count, unless the prompt has no other", () => {
    const { request, matched, send } = setup(1);
    send(request(tokens(2 * BLOCK + 10)), [0, "default"]);
    expect(matched(request(tokens(2 * BLOCK + 10)))).toEqual([[2, 2]]);
    expect(matched(request(tokens(3 * BLOCK)))).toEqual([[2, 3]]);
    send(request(tokens(10, 4)), [0, "default"]);
    expect(matched(request(tokens(10, 4)))).toEqual([[1, 1]]);
  });

  test("compat upstream counts the partial block and asks for upstream's roots", () => {
    const { request, matched, send, producer } = setup(1, { compat: "upstream" });
    expect(producer.hashPlan!.upstreamRoot).toBe(true);
    send(request(tokens(2 * BLOCK + 10)), [0, "default"]);
    expect(matched(request(tokens(2 * BLOCK + 10)))).toEqual([[3, 3]]);
    expect(matched(request(tokens(3 * BLOCK)))).toEqual([[2, 3]]);
  });

  test("only as much of a prompt is matched as is hashed", () => {
    const { request, matched } = setup(1, { maxPrefixTokensToMatch: 2 * BLOCK });
    expect(matched(request(tokens(5 * BLOCK)))).toEqual([[0, 2]]);
  });
});

describe("which endpoints are recorded", () => {
  test("the primary's and the prefill profile's, no other stage's", () => {
    const { request, matched, send } = setup(4);
    send(request(tokens(2 * BLOCK)), [2, "decode"], [0, "prefill"], [3, "encode"]);
    expect(matched(request(tokens(2 * BLOCK))).map(([held]) => held)).toEqual([2, 0, 2, 0]);
  });

  test("one endpoint in both roles is recorded once, so a failure is still taken back", () => {
    const { request, matched, send, producer } = setup(1);
    const flight = send(request(tokens(2 * BLOCK)), [0, "decode"], [0, "prefill"]);
    producer.complete!(flight, "error", false);
    expect(matched(request(tokens(2 * BLOCK)))).toEqual([[0, 2]]);
  });

  test("a departed endpoint is forgotten, also when its slot is used again", () => {
    const { request, matched, send, producer, pool } = setup(2);
    send(request(tokens(2 * BLOCK)), [0, "default"]);
    pool.remove("default/p0");
    producer.endpointRemoved!(0);
    expect(addEndpoint(pool, 9)).toBe(0);
    expect(matched(request(tokens(2 * BLOCK)))).toEqual([
      [0, 2],
      [0, 2],
    ]);
  });
});

describe("failures before the first byte", () => {
  test("take back what the flight added, and nothing older", () => {
    const { request, matched, send, producer } = setup(2);
    send(request(tokens(2 * BLOCK)), [0, "default"]);
    const next = request(tokens(5 * BLOCK));
    const flight = send(next, [0, "default"], [1, "prefill"]);
    expect(matched(next).map(([held]) => held)).toEqual([5, 5]);
    producer.complete!(flight, "error", false);
    expect(matched(next).map(([held]) => held)).toEqual([2, 0]);
  });

  test("leave what another request was sent with meanwhile", () => {
    const { request, matched, send, producer } = setup(1);
    const failing = send(request(tokens(4 * BLOCK)), [0, "default"]);
    send(request(tokens(4 * BLOCK)), [0, "default"]);
    producer.complete!(failing, "client-disconnect", false);
    expect(matched(request(tokens(4 * BLOCK)))).toEqual([[4, 4]]);
  });

  test("an answered flight keeps its blocks, however it ends", () => {
    const { request, matched, send, producer } = setup(1);
    const flight = send(request(tokens(4 * BLOCK)), [0, "default"]);
    producer.complete!(flight, "error", true);
    expect(matched(request(tokens(4 * BLOCK)))).toEqual([[4, 4]]);
  });

  test("do not touch the next owner of the slot", () => {
    const { request, matched, send, producer, pool } = setup(1);
    const prompt = request(tokens(4 * BLOCK));
    const flight = send(prompt, [0, "default"]);
    pool.remove("default/p0");
    producer.endpointRemoved!(0);
    addEndpoint(pool, 5);
    send(prompt, [0, "default"]);
    producer.complete!(flight, "error", false);
    expect(matched(prompt)).toEqual([[4, 4]]);
  });
});

describe("cache geometry", () => {
  test("capacity follows the engine's cache in tokens, and its changes", () => {
    const { request, matched, send, pool } = setup(1);
    pool.columns.cacheBlockSize[0] = 16;
    pool.columns.cacheBlocks[0] = 12; // 192 tokens: 3 blocks of 64
    send(request(tokens(5 * BLOCK)), [0, "default"]);
    expect(matched(request(tokens(5 * BLOCK)))).toEqual([[3, 5]]);
    pool.columns.cacheBlocks[0] = 16;
    send(request(tokens(5 * BLOCK)), [0, "default"]);
    expect(matched(request(tokens(5 * BLOCK)))).toEqual([[4, 5]]);
    pool.columns.cacheBlocks[0] = 8;
    send(request(tokens(1 * BLOCK)), [0, "default"]);
    expect(matched(request(tokens(5 * BLOCK)))).toEqual([[2, 5]]);
  });

  test("compat upstream takes the number of engine blocks as it is", () => {
    const { request, matched, send, pool } = setup(1, { compat: "upstream" });
    pool.columns.cacheBlockSize[0] = 16;
    pool.columns.cacheBlocks[0] = 4;
    send(request(tokens(5 * BLOCK)), [0, "default"]);
    expect(matched(request(tokens(5 * BLOCK)))).toEqual([[4, 5]]);
  });

  test("capacityTokens stands above the metrics", () => {
    const { request, matched, send, pool } = setup(1, { capacityTokens: 2 * BLOCK });
    pool.columns.cacheBlockSize[0] = 16;
    pool.columns.cacheBlocks[0] = 1000;
    send(request(tokens(5 * BLOCK)), [0, "default"]);
    expect(matched(request(tokens(5 * BLOCK)))).toEqual([[2, 5]]);
  });

  test("the block size is the largest that any engine reported, and stays when it leaves", () => {
    const { request, matched, send, pool, producer } = setup(3);
    const old = request(tokens(4 * BLOCK));
    send(old, [0, "default"]);
    pool.columns.cacheBlockSize.set([16, 256, 128]);
    expect(matched(old)[0]).toEqual([0, 0]); // hashed with the size before
    expect(producer.hashPlan).toMatchObject({ blockSizeTokens: 256, blocksMax: 512 });
    expect(producer.stats!()["size"]).toBe(0);
    const now = request(tokens(1024));
    send(now, [0, "default"]);
    pool.remove("default/p1");
    producer.endpointRemoved!(1);
    expect(matched(now)[0]).toEqual([4, 4]);
    expect(producer.hashPlan!.blockSizeTokens).toBe(256);
  });

  test("a reported size replaces a larger configured one", () => {
    const { request, matched, pool, producer } = setup(1, { blockSizeTokens: 512 });
    expect(producer.hashPlan!.blockSizeTokens).toBe(512);
    pool.columns.cacheBlockSize[0] = 16;
    matched(request());
    expect(producer.hashPlan!.blockSizeTokens).toBe(BLOCK);
  });

  test("compat upstream follows the first endpoint up and down", () => {
    const { request, matched, pool, producer } = setup(2, { compat: "upstream" });
    pool.columns.cacheBlockSize.set([16, 256]);
    matched(request());
    expect(producer.hashPlan!.blockSizeTokens).toBe(BLOCK);
    pool.remove("default/p0");
    matched(request());
    expect(producer.hashPlan!.blockSizeTokens).toBe(256);
    pool.columns.cacheBlockSize[1] = 128;
    matched(request());
    expect(producer.hashPlan!.blockSizeTokens).toBe(128);
  });

  test("without autoTune the metrics are not read", () => {
    const raw = { autoTune: false, blockSizeTokens: 128, lruCapacityPerServer: 2 };
    const { request, matched, send, pool } = setup(1, raw);
    pool.columns.cacheBlockSize[0] = 256;
    pool.columns.cacheBlocks[0] = 1000;
    send(request(tokens(5 * 128)), [0, "default"]);
    expect(matched(request(tokens(5 * 128)))).toEqual([[2, 5]]);
  });

  test("hashes of another block size are taken for none", () => {
    const { matched, send, producer } = setup(1);
    const foreign = hashTokens([tokens(640)], "m", "", 128, 100, false);
    const request = new InferenceRequest({ blockHashes: [foreign] });
    producer.complete!(send(request, [0, "default"]), "error", false);
    expect(matched(request)).toEqual([[0, 0]]);
    expect(producer.stats!()).toMatchObject({ size: 0, picks: 0 });
  });
});

test("counts picks, hits and blocks of the primary endpoint", () => {
  const { request, send, producer } = setup(2);
  send(request(tokens(4 * BLOCK)), [0, "default"]);
  send(request(tokens(5 * BLOCK)), [0, "default"]);
  send(request(tokens(5 * BLOCK)), [1, "default"]);
  expect(producer.stats!()).toMatchObject({
    size: 10,
    blocks: 5,
    picks: 3,
    hits: 1,
    matchedBlocks: 4,
    totalBlocks: 14,
  });
});

test("a growing pool is followed", () => {
  const { pool, producer, candidates, request, match } = setup(1);
  for (let i = 1; i < 40; i++) addEndpoint(pool, i);
  candidates.reset(0);
  const prompt = request(tokens(2 * BLOCK));
  producer.account!(flightOf(prompt, pool, [[39, "default"]]), noResults);
  producer.produce!(prompt, candidates);
  expect([match.matchBlocks[39], match.matchBlocks[0]]).toEqual([2, 0]);
});

describe("configuration", () => {
  const { parameters } = approxPrefixCacheProducer;

  test("the defaults are upstream's", () => {
    expect(parameters.parse({})).toEqual({
      autoTune: true,
      blockSizeTokens: 16,
      maxPrefixTokensToMatch: 131_072,
      maxPrefixBlocksToMatch: 2048,
      lruCapacityPerServer: 31_250,
      indexBytesMax: 1 << 27,
    });
  });

  test.each([
    [{ autoTune: false, blockSizeTokens: 0 }, "blockSizeTokens"],
    [{ blockSizeTokens: 1 << 20 }, "blockSizeTokens"],
    [{ maxPrefixTokensToMatch: -1 }, "maxPrefixTokensToMatch"],
    [{ maxPrefixBlocksToMatch: -1 }, "maxPrefixBlocksToMatch"],
    [{ capacityTokens: 0 }, "capacityTokens"],
    [{ indexBytesMax: 1000 }, "indexBytesMax"],
    [{ compat: "v1" }, "compat"],
  ])("%o is refused at %s", (raw, path) => {
    const { error } = parameters.safeParse(raw);
    expect(error!.issues.map((issue) => issue.path.join("."))).toEqual([path]);
  });

  test("doubtful values are accepted with a remark", () => {
    expect(setup(0).warnings).toEqual([]);
    expect(setup(0, { blockSize: 128 }).warnings[0]).toMatch(/blockSizeTokens/);
    expect(setup(0, { autoTune: false }).warnings[0]).toMatch(/16 .*64/);
    expect(setup(0, { maxPrefixTokensToMatch: 10 }).warnings[0]).toMatch(/nothing will match/);
    expect(setup(0, { autoTune: false, blockSize: 128 }).producer.hashPlan!.blockSizeTokens).toBe(
      128,
    );
  });

  test("the pure parts are at hand for vectors", () => {
    const geometry = effectiveGeometry(parameters.parse({}), [], true);
    expect(geometry).toEqual({ blockSizeTokens: 64, maxBlocks: 2048, lruCapacity: [] });
    expect(matchBlocks([], new Map(), ["p0"], "upstream")).toEqual({
      matchBlocks: { p0: 0 },
      totalBlocks: 0,
    });
  });
});
