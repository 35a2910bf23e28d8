/**
 * What the scanner has to know of an engine: which family holds which fact. Data only, so that a thread boundary can
 * be crossed.
 * @module
 */

/** An instant-vector selector with equality only: `name{label="value"}`. */
export interface MetricSpec {
  readonly name: string;
  /** Label name and value that a series must have; empty = any series of the family. */
  readonly labels: readonly (readonly [name: string, value: string])[];
}

/** A number that becomes an attribute of the endpoint. */
export interface ScalarSpec {
  /** Index of the attribute, 0 .. limits.scalarsPerEndpointMax - 1. */
  readonly index: number;
  readonly metric: MetricSpec;
}

/** A family whose facts are integers in labels. */
export interface CacheInfoSpec {
  readonly metric: MetricSpec;
  /** Label with the tokens per block. */
  readonly blockSizeLabel: string;
  /** Label with the number of blocks. */
  readonly blocksLabel: string;
}

/**
 * Mapping of one engine. Each list is tried in order and the first entry that the page can answer counts; an empty
 * list is a fact that the engine does not report.
 */
export interface EngineDefinition {
  /** Value of the engine label. */
  readonly name: string;
  /** A page with a family of this prefix is of this engine; absent = never detected. */
  readonly familyPrefix?: string;
  readonly waiting: readonly MetricSpec[];
  readonly running: readonly MetricSpec[];
  /** Ratio 0..1; percent is recognized by its size. */
  readonly kvUtilization: readonly MetricSpec[];
  /** Families with the labels of `vllm:lora_requests_info`. */
  readonly adapters: readonly MetricSpec[];
  readonly cacheInfo: readonly CacheInfoSpec[];
  readonly cacheBlockSize: readonly MetricSpec[];
  readonly cacheBlocks: readonly MetricSpec[];
  /** Attributes besides. */
  readonly scalars?: readonly ScalarSpec[];
}

/**
 * An engine as a user describes it (`engineConfigs[]` of `core-metrics-extractor`), selectors already parsed; what is
 * absent is not read.
 */
export interface EngineConfig {
  readonly name: string;
  readonly queuedRequests?: MetricSpec;
  readonly runningRequests?: MetricSpec;
  readonly kvUsage?: MetricSpec;
  readonly lora?: MetricSpec;
  readonly cacheInfo?: MetricSpec;
  /** Default `block_size`. */
  readonly cacheBlockSizeLabelName?: string;
  /** Default `num_gpu_blocks`. */
  readonly cacheNumBlocksLabelName?: string;
  readonly cacheBlockSize?: MetricSpec;
  readonly cacheNumBlocks?: MetricSpec;
  readonly scalars?: readonly ScalarSpec[];
}

/** Facts that an engine does not report; a definition names those it does. */
export const NOTHING_REPORTED = {
  waiting: [],
  running: [],
  kvUtilization: [],
  adapters: [],
  cacheInfo: [],
  cacheBlockSize: [],
  cacheBlocks: [],
} as const satisfies Omit<EngineDefinition, "name">;

/** A selector in short: `metric("nv_x", ["kind", "max"])`. */
export function metric(
  name: string,
  ...labels: readonly (readonly [string, string])[]
): MetricSpec {
  return { name, labels };
}

/** Brings a user's engine into the form of the built-in ones. */
export function engineFromConfig(config: EngineConfig): EngineDefinition {
  const list = (spec: MetricSpec | undefined): MetricSpec[] => (spec === undefined ? [] : [spec]);
  return {
    name: config.name,
    waiting: list(config.queuedRequests),
    running: list(config.runningRequests),
    kvUtilization: list(config.kvUsage),
    adapters: list(config.lora),
    cacheInfo: list(config.cacheInfo).map((spec) => ({
      metric: spec,
      blockSizeLabel: config.cacheBlockSizeLabelName ?? "block_size",
      blocksLabel: config.cacheNumBlocksLabelName ?? "num_gpu_blocks",
    })),
    cacheBlockSize: list(config.cacheBlockSize),
    cacheBlocks: list(config.cacheNumBlocks),
    scalars: config.scalars ?? [],
  };
}
