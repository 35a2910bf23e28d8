/**
 * Prefix hits from our own picks: assumes that an endpoint keeps the prompt blocks it was sent, and forgets them as its
 * cache would. Publishes `prefix-match`.
 *
 * Pure parts, for tests and vectors (prefix/cache-geometry.ts):
 *   effectiveGeometry(parameters, endpoints, compat) → { blockSizeTokens, maxBlocks, lruCapacity }
 *     parameters: as parsed by this plugin; endpoints: { cacheBlockSize, cacheBlocks }[], 0 = unknown; compat: boolean
 *     lruCapacity: blocks, one entry per endpoint
 *   matchBlocks(promptHashes, holders, endpoints, rule) → { matchBlocks, totalBlocks }
 *     promptHashes: block names, one list per prompt; holders: name → endpoint ids; endpoints: ids; rule: "contiguous" |
 *     "upstream"; matchBlocks: id → blocks
 *
 * `compat: upstream` hashes with upstream's roots, counts capacities in engine blocks, takes the block size of the first
 * endpoint and counts a partial last block. Upstream's gap-blind match needs no mode here: the index never has gaps (it
 * evicts from the tail of prompts), and without gaps both rules give the same number.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import { PrefixMatch } from "../data.ts";
import type { EndpointColumns, EndpointPool } from "../endpoints.ts";
import type { EndCause, Flight } from "../flight.ts";
import { defineProducer, type HashPlan, type PluginHandle, type Producer } from "../plugin.ts";
import {
  BLOCK_SIZE_DEFAULT,
  BLOCK_SIZE_MAX,
  BLOCK_SIZE_MIN,
  blocksMax,
  CAPACITY_DEFAULT,
  capacityBlocks,
  configuredBlockSize,
  effectiveBlockSize,
  usableBlockSize,
} from "../prefix/cache-geometry.ts";
import { PrefixIndex } from "../prefix/prefix-index.ts";
import type { BlockHashes, InferenceRequest } from "../request.ts";

export { effectiveGeometry, matchBlocks } from "../prefix/cache-geometry.ts";

/** The profile whose target computes the prompt besides the primary one, unless the profile handler names another. */
const PREFILL_PROFILE = "prefill";

const Parameters = z
  .strictObject({
    autoTune: z.boolean().default(true).meta({
      description: "Take block size and cache capacity from the engines' metrics where known.",
    }),
    blockSizeTokens: z
      .number()
      .int()
      .max(BLOCK_SIZE_MAX)
      .default(BLOCK_SIZE_DEFAULT)
      .meta({
        description: `Block size while no engine reports one, or without autoTune; at least ${BLOCK_SIZE_MIN} takes effect.`,
        unit: "tokens",
      }),
    blockSize: z.number().int().max(BLOCK_SIZE_MAX).optional().meta({
      description: "Deprecated spelling of blockSizeTokens.",
      unit: "tokens",
    }),
    maxPrefixTokensToMatch: z.number().int().min(0).default(131_072).meta({
      description:
        "Leading tokens of a prompt that are indexed; 0 = maxPrefixBlocksToMatch decides.",
      unit: "tokens",
    }),
    maxPrefixBlocksToMatch: z.number().int().min(0).default(2048).meta({
      description:
        "Deprecated: the same in blocks, read when maxPrefixTokensToMatch is 0; 0 = no limit.",
      unit: "blocks",
    }),
    lruCapacityPerServer: z
      .number()
      .int()
      .default(CAPACITY_DEFAULT)
      .meta({
        description: `Blocks remembered per endpoint while its capacity is unknown; <= 0 means ${CAPACITY_DEFAULT}.`,
        unit: "blocks",
      }),
    capacityTokens: z.number().int().min(1).optional().meta({
      description:
        "Cache of one endpoint including offloaded tiers; overrides what its metrics say.",
      unit: "tokens",
    }),
    indexBytesMax: z
      .number()
      .int()
      .min(1 << 20)
      .max(2 ** 31)
      .default(1 << 27)
      .meta({
        description:
          "Ceiling of the index over all endpoints, 32 bytes per block and endpoint; reserved at once, committed as used.",
        unit: "bytes",
      }),
    compat: z.literal("upstream").optional().meta({
      description:
        "upstream: its hash roots, capacities in engine blocks, partial last block counted.",
    }),
  })
  .superRefine((parameters, context) => {
    const blockSize = configuredBlockSize(parameters);
    if (parameters.autoTune || blockSize > 0) return;
    context.addIssue({
      code: "custom",
      path: ["blockSizeTokens"],
      message: `must be > 0 when autoTune is false, got ${blockSize}`,
    });
  });

type ApproxPrefixCacheParameters = z.output<typeof Parameters>;

class ApproxPrefixCacheProducer implements Producer {
  readonly data: { readonly "prefix-match": PrefixMatch };
  readonly hashPlan: HashPlan;
  readonly #parameters: ApproxPrefixCacheParameters;
  readonly #compat: boolean;
  readonly #pool: EndpointPool;
  readonly #prefillProfile: string;
  readonly #index: PrefixIndex;
  #planIndex = -1;
  #engineBlockSize = 0;
  /** The request whose match is in the data, until it is accounted. */
  #produced: InferenceRequest | null = null;

  #picks = 0;
  #hits = 0;
  #matchedBlocks = 0;
  #totalBlocks = 0;

  constructor(parameters: ApproxPrefixCacheParameters, handle: PluginHandle) {
    this.#parameters = parameters;
    this.#compat = parameters.compat === "upstream";
    this.#pool = handle.pool;
    this.#prefillProfile = handle.prefillProfile ?? PREFILL_PROFILE;
    this.#index = new PrefixIndex({
      bytesMax: parameters.indexBytesMax,
      capacityDefault: CAPACITY_DEFAULT, // each insertion sets the endpoint's own
    });
    const blockSizeTokens = effectiveBlockSize(parameters, 0);
    this.data = { "prefix-match": new PrefixMatch() };
    this.hashPlan = {
      blockSizeTokens,
      blocksMax: blocksMax(parameters, blockSizeTokens),
      upstreamRoot: this.#compat,
    };
  }

  setPlanIndex(index: number): void {
    this.#planIndex = index;
  }

  produce(request: InferenceRequest, candidates: Candidates): void {
    const { columns, slots, count } = candidates;
    this.#tune(columns);
    const match = this.data["prefix-match"];
    match.ensure(columns.capacity);
    const { matchBlocks, cachedBlocks, totalBlocks, blockSizeTokens } = match;
    matchBlocks.fill(0);
    const hashes = this.#hashesOf(request);
    let total = 0;
    if (hashes !== null) {
      const { words, promptStarts } = hashes;
      for (let prompt = 0; prompt + 1 < promptStarts.length; prompt++) {
        const from = promptStarts[prompt]!;
        const to = this.#endOf(hashes, prompt);
        this.#index.match(words, from, to, matchBlocks);
        total += to - from;
      }
    }
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      cachedBlocks[slot] = matchBlocks[slot]!;
      totalBlocks[slot] = total;
      blockSizeTokens[slot] = this.hashPlan.blockSizeTokens;
    }
    this.#produced = request;
  }

  account(flight: Flight): void {
    const hashes = this.#hashesOf(flight.request);
    const primary = flight.charges[0];
    if (hashes === null || primary === undefined) return;
    if (this.#produced === flight.request) this.#count(primary.slot);
    this.#produced = null;
    for (const charge of flight.charges) {
      if (!this.#computesPrompt(flight, charge)) continue;
      this.#setCapacity(charge.slot);
      const { words, promptStarts } = hashes;
      for (let prompt = 0; prompt + 1 < promptStarts.length; prompt++) {
        this.#index.insert(charge.slot, words, promptStarts[prompt]!, this.#endOf(hashes, prompt));
      }
    }
  }

  /**
   * Without a byte of response it is not known that the prompt was computed, so what this flight added is taken back.
   * Blocks that were there before, or that another request has been sent with since, stay: the other one's end decides.
   */
  complete(flight: Flight, _cause: EndCause, answered: boolean): void {
    const hashes = answered ? null : this.#hashesOf(flight.request);
    if (hashes === null) return;
    const { words, promptStarts } = hashes;
    const { generation } = this.#pool.columns;
    for (const charge of flight.charges) {
      if (!this.#computesPrompt(flight, charge) || generation[charge.slot] !== charge.generation)
        continue;
      for (let prompt = promptStarts.length - 2; prompt >= 0; prompt--) {
        const from = promptStarts[prompt]!;
        this.#index.truncate(charge.slot, words, from, this.#endOf(hashes, prompt));
      }
    }
  }

  /** The prompt was computed at another endpoint; the one picked first most likely never saw it. */
  served(flight: Flight, from: { readonly slot: number; readonly generation: number }): void {
    const hashes = this.#hashesOf(flight.request);
    if (hashes === null) return;
    const { words, promptStarts } = hashes;
    const { slot } = flight.charges[0]!;
    const isThere = this.#pool.columns.generation[from.slot] === from.generation;
    this.#setCapacity(slot);
    for (let prompt = promptStarts.length - 2; prompt >= 0; prompt--) {
      const start = promptStarts[prompt]!;
      const end = this.#endOf(hashes, prompt);
      if (isThere) this.#index.truncate(from.slot, words, start, end);
      this.#index.insert(slot, words, start, end);
    }
  }

  endpointRemoved(slot: number): void {
    this.#index.remove(slot);
  }

  stats(): Readonly<Record<string, number>> {
    const index = this.#index;
    return {
      size: index.size, // (block, endpoint) pairs
      sizeMax: index.sizeMax,
      blocks: index.blocks, // distinct
      bytesReserved: index.bytes,
      blockSizeTokens: this.hashPlan.blockSizeTokens,
      picks: this.#picks, // of requests with a prompt; hits: their endpoint held something of it

      hits: this.#hits,
      matchedBlocks: this.#matchedBlocks,
      totalBlocks: this.#totalBlocks,
    };
  }

  /**
   * One block size for the whole index: the largest that any engine has reported. It only rises, because a change voids
   * the index, and an engine that restarts would otherwise change it twice.
   */
  #tune(columns: EndpointColumns): void {
    if (!this.#parameters.autoTune) return;
    const { live, liveCount } = this.#pool;
    const { cacheBlockSize } = columns;
    let engineBlockSize = this.#compat ? 0 : this.#engineBlockSize;
    for (let i = 0; i < (this.#compat ? Math.min(1, liveCount) : liveCount); i++) {
      const size = usableBlockSize(cacheBlockSize[live[i]!]!);
      if (size > engineBlockSize) engineBlockSize = size;
    }
    if (engineBlockSize === this.#engineBlockSize) return;
    this.#engineBlockSize = engineBlockSize;
    const plan = this.hashPlan;
    const blockSizeTokens = effectiveBlockSize(this.#parameters, engineBlockSize);
    if (blockSizeTokens === plan.blockSizeTokens) return;
    plan.blockSizeTokens = blockSizeTokens;
    plan.blocksMax = blocksMax(this.#parameters, blockSizeTokens);
    this.#index.clear();
  }

  /** The request's hashes, null when it has none of the present block size. */
  #hashesOf(request: InferenceRequest): BlockHashes | null {
    const hashes = request.blockHashes[this.#planIndex] ?? null;
    return hashes?.blockSizeTokens === this.hashPlan.blockSizeTokens ? hashes : null;
  }

  /**
   * End of a prompt's blocks. A partial last block can only match an identical prompt, never a continued one, so it is
   * left out unless there is nothing else.
   */
  #endOf(hashes: BlockHashes, prompt: number): number {
    const end = hashes.promptStarts[prompt + 1]!;
    if (this.#compat || hashes.partialTail[prompt] !== 1) return end;
    return Math.max(end - 1, Math.min(hashes.promptStarts[prompt]! + 1, end));
  }

  #setCapacity(slot: number): void {
    const { cacheBlockSize, cacheBlocks } = this.#pool.columns;
    const { blockSizeTokens } = this.hashPlan;
    const blocks = capacityBlocks(
      this.#parameters,
      blockSizeTokens,
      cacheBlockSize[slot]!,
      cacheBlocks[slot]!,
      this.#compat,
    );
    this.#index.setCapacity(slot, blocks);
  }

  /** The primary target computes the prompt, and so does the target of the prefill profile when it is another endpoint. */
  #computesPrompt(flight: Flight, charge: Flight["charges"][number]): boolean {
    const primary = flight.charges[0]!;
    if (charge === primary) return true;
    return charge.profile === this.#prefillProfile && charge.slot !== primary.slot;
  }

  #count(slot: number): void {
    const { matchBlocks, totalBlocks } = this.data["prefix-match"];
    this.#picks++;
    if (matchBlocks[slot]! > 0) this.#hits++;
    this.#matchedBlocks += matchBlocks[slot]!;
    this.#totalBlocks += totalBlocks[slot]!;
  }
}

export const approxPrefixCacheProducer = defineProducer({
  type: "approx-prefix-cache-producer",
  stability: "beta",
  summary: "Prefix hits per endpoint, estimated from the prompts that were sent to it.",
  source:
    "llm-d-router: pkg/epp/framework/plugins/requestcontrol/dataproducer/approximateprefix/plugin.go",
  parameters: Parameters,
  produces: ["prefix-match"],
  create(parameters, handle) {
    const { blockSize, blockSizeTokens, maxPrefixTokensToMatch } = parameters;
    if (blockSize !== undefined) handle.warn("blockSize is deprecated: use blockSizeTokens");
    if (!parameters.autoTune && configuredBlockSize(parameters) < BLOCK_SIZE_MIN) {
      handle.warn(
        `blockSizeTokens ${blockSize ?? blockSizeTokens} is below the smallest indexed block: ${BLOCK_SIZE_MIN} is used`,
      );
    }
    if (maxPrefixTokensToMatch > 0 && maxPrefixTokensToMatch < BLOCK_SIZE_MIN) {
      handle.warn(
        `maxPrefixTokensToMatch ${maxPrefixTokensToMatch} is less than one block: nothing will match`,
      );
    }
    return new ApproxPrefixCacheProducer(parameters, handle);
  },
});
