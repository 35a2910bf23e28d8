/**
 * Vectors of functions that plugins are made of, by the name they have in the files.
 * @module
 */

import { stageHeaderParameters, stageHeadersHook } from "../../scheduler/hooks/stage-headers.ts";
import {
  type BlockHasher,
  blockHashesHex,
  Flight,
  hashTokens,
  InferenceRequest,
} from "../../scheduler/index.ts";
import { effectiveGeometry, matchBlocks } from "../../scheduler/prefix/cache-geometry.ts";
import { approxPrefixCacheProducer } from "../../scheduler/producers/approx-prefix-cache-producer.ts";
import { defaultMediaEstimate } from "../../src/request/media-tokens.ts";
import { PromptReader } from "../../src/request/prompt-format.ts";
import { type MediaKind, PromptStream } from "../../src/request/prompt-stream.ts";
import { BodyScan } from "../../src/request/scan-json.ts";
import {
  checkAll,
  expectEqual,
  expectNumber,
  expectNumbers,
  Mismatch,
  type Vector,
} from "./format.ts";

export const functionVectors: ReadonlyMap<string, (vector: Vector) => void> = new Map([
  ["approx-prefix-hash", evaluatePrefixHash],
  ["approx-match", evaluateMatch],
  ["approx-block-size", evaluateGeometry],
  ["estimate-tokenizer", evaluateEstimate],
  ["disagg-headers", evaluateStageHeaders],
]);

function evaluatePrefixHash({ expected, parameters, request }: Vector): void {
  const { blockSizeTokens, maxBlocks = Number.MAX_SAFE_INTEGER } = parameters as {
    blockSizeTokens: number;
    maxBlocks?: number;
  };
  const {
    cacheSalt = "",
    prompts,
    targetModel = "",
  } = request as { prompts: number[][]; targetModel?: string; cacheSalt?: string };
  const hashes = blockHashesHex(
    hashTokens(prompts, targetModel, cacheSalt, blockSizeTokens, maxBlocks, true),
  );
  // A prompt without tokens has an empty list, or none.
  const withoutEmpty = (lists: readonly string[][]): string[][] =>
    lists.filter((list) => list.length > 0);
  checkAll(expected, {
    hashes: (wanted) =>
      expectEqual(withoutEmpty(hashes), withoutEmpty(wanted as string[][]), "hashes"),
  });
}

function evaluateMatch({ endpoints = [], expected, state }: Vector): void {
  const { index, promptHashes } = state as {
    promptHashes: string[][];
    index: Record<string, string[]>;
  };
  const ids = endpoints.map(({ id }) => id);
  const holders = new Map(Object.entries(index));
  const match = (rule: "contiguous" | "upstream") => matchBlocks(promptHashes, holders, ids, rule);
  checkAll(expected, {
    upstreamMatchBlocks: (wanted) =>
      expectNumbers(match("upstream").matchBlocks, wanted, "upstreamMatchBlocks"),
    contiguousMatchBlocks: (wanted) =>
      expectNumbers(match("contiguous").matchBlocks, wanted, "contiguousMatchBlocks"),
    totalBlocks: (wanted) => expectNumber(match("upstream").totalBlocks, wanted, "totalBlocks"),
  });
}

function evaluateGeometry({ endpoints = [], expected, parameters }: Vector): void {
  const parsed = approxPrefixCacheProducer.parameters.safeParse({ ...parameters });
  if (!parsed.success) throw new Mismatch(`parameters refused: ${parsed.error.message}`);
  const facts = endpoints.map(({ metrics }) => ({
    cacheBlockSize: (metrics?.["cacheBlockSize"] as number | undefined) ?? 0,
    cacheBlocks: (metrics?.["cacheNumBlocks"] as number | undefined) ?? 0,
  }));
  const geometry = effectiveGeometry(parsed.data, facts, true);
  const capacities = endpoints.map(({ id }, i) => [id, geometry.lruCapacity[i]!]);
  checkAll(expected, {
    blockSizeTokens: (wanted) => expectNumber(geometry.blockSizeTokens, wanted, "blockSizeTokens"),
    maxBlocks: (wanted) => expectNumber(geometry.maxBlocks, wanted, "maxBlocks"),
    lruCapacity: (wanted) => expectNumbers(Object.fromEntries(capacities), wanted, "lruCapacity"),
  });
}

interface Feature {
  readonly offset: number;
  readonly length: number;
  readonly hash: string;
}

/** A prompt's stream that takes down where assets were put. */
class FeatureStream extends PromptStream {
  readonly features: Feature[] = [];
  readonly #hasher: BlockHasher;

  constructor(scan: BodyScan) {
    super(scan.area);
    this.#hasher = scan.area.hasher;
  }

  override media(kind: MediaKind, start: number, end: number, extra: number, both: boolean): void {
    const offset = this.tokens; // an asset begins on the next token border
    super.media(kind, start, end, extra, both);
    const { hi, lo } = this.#hasher; // the asset's hash was the last one made
    const hash = ((BigInt(hi) << 32n) | BigInt(lo)).toString(16);
    this.features.push({ offset, length: this.tokens - offset, hash });
  }
}

const STREAM_BYTES = 1 << 20;

function evaluateEstimate({ expected, request }: Vector): void {
  const { messages, toolsJson } = request as { messages: unknown; toolsJson?: string };
  const tools = toolsJson === undefined ? "" : `"tools":${toolsJson},`;
  const scan = new BodyScan();
  if (scan.scan(Buffer.from(`{${tools}"messages":${JSON.stringify(messages)}}`)) !== null) {
    throw new Mismatch("the request can not be scanned");
  }
  const reader = new PromptReader(scan);
  const stream = new FeatureStream(scan);
  reader.begin("chat", true);
  stream.begin(STREAM_BYTES, defaultMediaEstimate);
  if (!reader.next(stream)) throw new Mismatch("the request has no prompt");
  const { features, tokens } = stream;
  const bytes = Buffer.from(scan.area.bytes.subarray(scan.area.stream, stream.finish()));
  checkAll(expected, {
    tokenCount: (wanted) => expectNumber(tokens, wanted, "tokenCount"),
    firstTokens: (wanted) => {
      const count = (wanted as readonly number[]).length;
      const ids = Array.from({ length: Math.min(count, tokens) }, (_, i) =>
        bytes.readUInt32LE(i * 4),
      );
      expectEqual(ids, wanted, "firstTokens");
    },
    features: (wanted) => {
      const fields = ({ hash, length, offset }: Feature) => ({ offset, length, hash });
      expectEqual(features.map(fields), (wanted as Feature[]).map(fields), "features");
    },
  });
}

function evaluateStageHeaders({ expected, parameters, state }: Vector): void {
  const targets = new Map(
    Object.entries((state?.["profileResults"] ?? {}) as Readonly<Record<string, string[]>>),
  );
  const { account } = stageHeadersHook(stageHeaderParameters.parse({ ...parameters }));
  const flight = new Flight(new InferenceRequest({}), "", [], [], 0);
  account!(flight, {
    slotOf: (profile) => (targets.has(profile) ? 0 : -1),
    hostPorts: (profile) => (targets.get(profile) ?? []).join(","),
  });
  const { headers } = flight;
  const set = Object.fromEntries(
    headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]!]] : [])),
  );
  checkAll(expected, {
    headers: (wanted) => {
      const sorted = (from: object) => Object.entries(from).sort(([a], [b]) => (a < b ? -1 : 1));
      expectEqual(sorted(set), sorted(wanted as object), "headers");
    },
  });
}
