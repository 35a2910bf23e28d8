/**
 * Geometry of the approximate prefix cache: how large a block is, how many of a prompt count, how many an endpoint keeps;
 * and the two ways to count a match. Pure functions of parameters and engine metrics.
 * @module
 */

/** Smallest block that is indexed, tokens: finer ones multiply memory and hashing without a better choice. */
export const BLOCK_SIZE_MIN = 64;
/** vLLM's default; stands for an engine block size that is not known. */
export const BLOCK_SIZE_DEFAULT = 16;
/** Blocks kept per endpoint where nothing is known: 500,000 tokens in blocks of 16 (8B model on an H100). */
export const CAPACITY_DEFAULT = 31_250;
/** Larger block sizes are refused in parameters and ignored in metrics (hybrid models reach some thousands). */
export const BLOCK_SIZE_MAX = 1 << 16;
/** Stands for "the whole prompt": 67 million tokens in the smallest blocks, beyond any context window. */
const BLOCKS_UNLIMITED = 1 << 20;

/** Parameters of approx-prefix-cache-producer that matter here, as its schema parses them. */
export interface GeometryParameters {
  readonly autoTune: boolean;
  readonly blockSizeTokens: number;
  readonly blockSize?: number | undefined;
  readonly maxPrefixTokensToMatch: number;
  readonly maxPrefixBlocksToMatch: number;
  readonly lruCapacityPerServer: number;
  readonly capacityTokens?: number | undefined;
}

/** What the geometry is derived from: the engine's metrics, 0 = unknown. */
export interface CacheFacts {
  /** Tokens per engine block. */
  readonly cacheBlockSize: number;
  /** Engine blocks. */
  readonly cacheBlocks: number;
}

/** Block size, per-request cap and per-endpoint capacity that these parameters and engines lead to. */
export function effectiveGeometry(
  parameters: GeometryParameters,
  endpoints: readonly CacheFacts[],
  compat: boolean,
): { blockSizeTokens: number; maxBlocks: number; lruCapacity: number[] } {
  const known = endpoints.map((endpoint) => usableBlockSize(endpoint.cacheBlockSize));
  const engineBlockSize = compat ? (known[0] ?? 0) : Math.max(0, ...known);
  const blockSizeTokens = effectiveBlockSize(parameters, engineBlockSize);
  return {
    blockSizeTokens,
    maxBlocks: blocksMax(parameters, blockSizeTokens),
    lruCapacity: endpoints.map((endpoint) =>
      capacityBlocks(
        parameters,
        blockSizeTokens,
        endpoint.cacheBlockSize,
        endpoint.cacheBlocks,
        compat,
      ),
    ),
  };
}

/**
 * Blocks of the prompts that each endpoint holds, summed over prompts.
 *
 * contiguous: leading blocks up to the first that the endpoint lacks. upstream: all blocks that it holds up to the first
 * that nobody holds, so a gap goes unnoticed while another endpoint fills it.
 */
export function matchBlocks(
  promptHashes: readonly (readonly string[])[],
  holders: ReadonlyMap<string, readonly string[]>,
  endpoints: readonly string[],
  rule: "contiguous" | "upstream",
): { matchBlocks: Record<string, number>; totalBlocks: number } {
  const matched = new Map(endpoints.map((id) => [id, 0]));
  let totalBlocks = 0;
  for (const hashes of promptHashes) {
    totalBlocks += hashes.length;
    let live: ReadonlySet<string> = new Set(endpoints);
    for (const hash of hashes) {
      const holding = holders.get(hash) ?? [];
      const counted = holding.filter((id) => rule === "upstream" || live.has(id));
      for (const id of counted) if (matched.has(id)) matched.set(id, matched.get(id)! + 1);
      if ((rule === "upstream" ? holding : counted).length === 0) break;
      live = new Set(counted);
    }
  }
  return { matchBlocks: Object.fromEntries(matched), totalBlocks };
}

/** Block size without the engines' help; the deprecated spelling counts while the proper one is at its default. */
export function configuredBlockSize(
  parameters: Pick<GeometryParameters, "blockSizeTokens" | "blockSize">,
): number {
  const { blockSizeTokens, blockSize = 0 } = parameters;
  return blockSize > 0 && blockSizeTokens === BLOCK_SIZE_DEFAULT ? blockSize : blockSizeTokens;
}

/** An engine's block size, 0 when it is unknown or nonsense. */
export function usableBlockSize(tokens: number): number {
  return tokens > 0 && tokens <= BLOCK_SIZE_MAX ? tokens : 0;
}

/** Tokens per indexed block. @param engineBlockSize as the engines report it, 0 = unknown */
export function effectiveBlockSize(
  parameters: GeometryParameters,
  engineBlockSize: number,
): number {
  const tuned = parameters.autoTune && engineBlockSize > 0;
  return Math.max(BLOCK_SIZE_MIN, tuned ? engineBlockSize : configuredBlockSize(parameters));
}

/** Blocks of a prompt that are hashed at most; 0 when the cap in tokens is less than one block. */
export function blocksMax(parameters: GeometryParameters, blockSizeTokens: number): number {
  const { maxPrefixTokensToMatch: tokens, maxPrefixBlocksToMatch: blocks } = parameters;
  const wanted = tokens > 0 ? Math.floor(tokens / blockSizeTokens) : blocks || BLOCKS_UNLIMITED;
  return Math.min(wanted, BLOCKS_UNLIMITED);
}

/**
 * Blocks that an endpoint keeps: its cache in tokens over the size of our blocks. Upstream takes the engine's number of
 * blocks as it is, four times too many when the engine's blocks are 16 tokens and ours 64.
 */
export function capacityBlocks(
  parameters: GeometryParameters,
  blockSizeTokens: number,
  cacheBlockSize: number,
  cacheBlocks: number,
  compat: boolean,
): number {
  const { autoTune, capacityTokens, lruCapacityPerServer } = parameters;
  if (capacityTokens !== undefined) {
    return Math.max(1, Math.floor(capacityTokens / blockSizeTokens));
  }
  if (!autoTune || cacheBlocks <= 0) {
    return lruCapacityPerServer > 0 ? lruCapacityPerServer : CAPACITY_DEFAULT;
  }
  if (compat) return cacheBlocks;
  const engineBlockSize = usableBlockSize(cacheBlockSize) || BLOCK_SIZE_DEFAULT;
  return Math.max(1, Math.floor((cacheBlocks * engineBlockSize) / blockSizeTokens));
}
