/**
 * Schedulers from configuration documents, and requests as ingress would hand them over, for tests and benchmarks.
 * @module
 */
import { z } from "zod";
import {
  buildCore,
  type DecisionRecorder,
  defaultDocument,
  type EndpointMetadata,
  EndpointPool,
  type FlowControlSettings,
  hashName,
  hashTokens,
  InferenceRequest,
  Known,
  limits,
  ManualClock,
  type OuterDefinition,
  type OuterRegistry,
  pluginRegistry,
  type RequestFacts,
  type ResolvedConfig,
  resolveConfig,
  type Scheduler,
  SeededRandom,
} from "../../scheduler/index.ts";

/** The data layer that the resolver asks for; nothing of it is built here. */
const OUTER: readonly OuterDefinition[] = [
  { type: "metrics-data-source", kind: "source", parameters: z.object({}) },
  { type: "core-metrics-extractor", kind: "extractor", parameters: z.object({}) },
];
const outer: OuterRegistry = {
  get: (type) => OUTER.find((definition) => definition.type === type),
  types: () => OUTER.map(({ type }) => type),
  defaultParsers: [],
};

export interface SchedulingDocument {
  readonly plugins: readonly { type: string; name?: string; parameters?: unknown }[];
  readonly schedulingProfiles?: readonly {
    name: string;
    plugins: readonly { pluginRef: string; weight?: number }[];
  }[];
  readonly featureGates?: readonly string[];
  readonly flowControl?: object;
}

/** @throws Error with all problems of the document */
export function resolved(document: SchedulingDocument): ResolvedConfig {
  const { apiVersion, kind } = defaultDocument;
  const result = resolveConfig(
    { apiVersion, kind, ...document },
    { scheduling: pluginRegistry, outer },
    { allowExperimental: true },
  );
  if (!result.ok) {
    throw new Error(result.problems.map(({ path, message }) => `${path}: ${message}`).join("\n"));
  }
  return result.config;
}

export interface SchedulerSetup {
  readonly pool: EndpointPool;
  readonly clock: ManualClock;
  readonly scheduler: Scheduler;
  /** null = the gate is off. */
  readonly flowControl: FlowControlSettings | null;
}

/** Clock at the start: anything above 0, which would mean "never" as the time of a scrape. */
export const START_MS = 1_000_000;

export interface SchedulerOptions {
  readonly seed?: number;
  readonly recorder?: DecisionRecorder;
}

export function schedulerOf(
  document: SchedulingDocument = defaultDocument,
  options: SchedulerOptions = {},
): SchedulerSetup {
  const pool = new EndpointPool();
  const clock = new ManualClock(START_MS);
  const { flowControl, scheduler } = buildCore(resolved(document), {
    pool,
    clock,
    random: new SeededRandom(options.seed ?? 1),
    recorder: options.recorder,
  });
  return { pool, clock, scheduler, flowControl };
}

/** Metadata of endpoint `index`, which listens on 10.0.x.y:8000. */
export function endpointMetadata(
  index: number,
  labels: Readonly<Record<string, string>> = {},
): EndpointMetadata {
  return {
    id: `default/p${index}`,
    name: `p${index}`,
    namespace: "default",
    address: `10.0.${index >> 8}.${index & 255}`,
    port: 8000,
    labels: new Map(Object.entries(labels)),
    rankIndex: 0,
  };
}

/** Facts of one scrape; what is left out is 0 or empty. */
export interface ScrapedFacts {
  readonly waiting?: number;
  readonly running?: number;
  readonly kvUtilization?: number;
  readonly maxAdapters?: number;
  /** Names of adapters in use, and of those with waiting requests. */
  readonly active?: readonly string[];
  readonly queued?: readonly string[];
}

const ALL_KNOWN = Object.values(Known).reduce((bits, bit) => bits | bit, 0);

/** Writes a scrape into the columns, as the reader of the endpoint table does. */
export function scrape(pool: EndpointPool, slot: number, facts: ScrapedFacts, atMs: number): void {
  const { columns } = pool;
  columns.waiting[slot] = facts.waiting ?? 0;
  columns.running[slot] = facts.running ?? 0;
  columns.kvUtilization[slot] = facts.kvUtilization ?? 0;
  columns.maxAdapters[slot] = facts.maxAdapters ?? 0;
  const { active = [], queued = [] } = facts;
  columns.activeAdapterCount[slot] = active.length;
  columns.waitingAdapterCount[slot] = queued.length;
  writeNames(columns.activeAdapters, slot, active);
  writeNames(columns.waitingAdapters, slot, queued);
  columns.known[slot] = ALL_KNOWN;
  columns.scrapedAtMs[slot] = atMs;
  columns.creditSinceScrape[slot] = 0;
}

function writeNames(words: Uint32Array, slot: number, names: readonly string[]): void {
  names.forEach((name, i) => {
    const { hi, lo } = hashName(name);
    const at = (slot * limits.adaptersPerEndpointMax + i) * 2;
    words[at] = lo;
    words[at + 1] = hi;
  });
}

/** A request whose prompt is these token ids, hashed for every plan of the scheduler. */
export function requestOf(
  scheduler: Scheduler,
  promptTokens: readonly number[],
  facts: RequestFacts = {},
): InferenceRequest {
  const { model = "model", targetModel = model } = facts;
  return new InferenceRequest({
    model,
    promptTokens: promptTokens.length,
    blockHashes: scheduler.hashPlans.map(({ blockSizeTokens, blocksMax, upstreamRoot }) =>
      hashTokens([promptTokens], targetModel, "", blockSizeTokens, blocksMax, upstreamRoot),
    ),
    ...facts,
  });
}
