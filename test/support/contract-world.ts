/**
 * Pools, requests and produced data of any kind for the contract suites, and instances of registered plugins over them.
 * @module
 */
import fc from "fast-check";
import {
  Candidates,
  type DataType,
  type DataTypes,
  definitions,
  EndpointPool,
  InferenceRequest,
  InflightLoad,
  LatencyPrediction,
  limits,
  ManualClock,
  type PluginDefinition,
  type PluginHandle,
  type PluginInstance,
  type PluginKind,
  PrefixMatch,
  SeededRandom,
  SessionId,
  Topology,
  UncachedRequestTokens,
} from "../../scheduler/index.ts";
import { endpointMetadata, START_MS, scrape } from "./scheduler-setup.ts";

/** Parameters of types that have no defaults for all. */
const NEEDED_PARAMETERS: Readonly<Record<string, object>> = {
  "by-label": { label: "hw", validValues: ["h100"] },
  "endpoint-attribute-filter": {
    attribute: "load",
    algorithm: { type: "threshold", threshold: { operator: "LessThan", value: 0.5 } },
  },
  "endpoint-attribute-scorer": {
    attributeKey: "load",
    algorithm: { type: "linear_lower_is_better" },
  },
  "header-label-affinity-scorer": { headerName: "x-hardware", labelKey: "hw" },
  "session-id-producer": { headerName: "x-session-id" },
  "utilization-filter": {
    conditions: [
      { metric: "waiting-queue", maxValue: 50 },
      { metric: "active-requests", maxValue: 20 },
    ],
  },
  "priority-holdback-policy": { minCeiling: 0.5 },
};

/** Ways to configure a plugin, each once: its defaults, and upstream's behavior where there is a choice. */
export function variantsOf(definition: PluginDefinition): { name: string; parameters: unknown }[] {
  const needed = NEEDED_PARAMETERS[definition.type] ?? {};
  const defaults = definition.parameters.parse(needed);
  const variants = [{ name: definition.type, parameters: defaults }];
  const upstream = definition.parameters.safeParse({ ...needed, compat: "upstream" });
  // A schema that drops what it does not know has no such choice.
  if (upstream.success && (upstream.data as { compat?: string }).compat === "upstream") {
    variants.push({ name: `${definition.type} (compat: upstream)`, parameters: upstream.data });
  }
  return variants;
}

/** Registered plugins of a kind. */
export function definitionsOf(kind: PluginKind): readonly PluginDefinition[] {
  return definitions.filter(({ kinds }) => kinds.includes(kind));
}

const adapters = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { maxLength: 4 });
const ratio = fc.double({ min: 0, max: 1, noNaN: true });

/** One endpoint with everything that is known of it and produced for it. */
export const anyEndpoint = fc.record({
  /** null = never scraped. */
  ageMs: fc.option(fc.nat(20_000), { freq: 5 }),
  waiting: fc.nat(200),
  running: fc.nat(200),
  kvUtilization: ratio,
  maxAdapters: fc.nat(5),
  active: adapters,
  queued: adapters,
  /** `Known` bits. */
  known: fc.oneof({ weight: 3, arbitrary: fc.constant(0xff) }, fc.nat(0xff)),
  inflight: fc.nat(50),
  inflightTokens: fc.nat(100_000),
  credit: fc.integer({ min: -10, max: 10 }),
  labels: fc.constantFrom<Readonly<Record<string, string>>[]>(
    {},
    { hw: "h100" },
    { hw: "l4", "llm-d.ai/role": "decode" },
    { "llm-d.ai/role": "prefill" },
    { "llm-d.ai/role": "encode-prefill-decode" },
  ),
  /** -1 = no match was produced. */
  totalBlocks: fc.integer({ min: -1, max: 40 }),
  heldShare: ratio,
  uncachedTokens: fc.nat(100_000),
  /** NaN = the page does not supply it. */
  scalar: fc.oneof(ratio, fc.constant(Number.NaN)),
  /** NaN = no prediction. */
  ttftMs: fc.oneof(fc.nat(60_000), fc.constant(Number.NaN)),
});

export type AnyEndpoint = typeof anyEndpoint extends fc.Arbitrary<infer T> ? T : never;

export const anyRequest = fc.record({
  targetModel: fc.constantFrom("", "a", "b", "base"),
  promptTokens: fc.nat(100_000),
  maxOutputTokens: fc.integer({ min: -1, max: 5000 }),
  headers: fc.constantFrom<ReadonlyMap<string, string>[]>(
    new Map(),
    new Map([["x-hardware", "l4"]]),
    new Map([["x-session-token", "ZGVmYXVsdC9wMQ=="]]),
  ),
});

export class ContractWorld {
  readonly pool = new EndpointPool();
  readonly candidates: Candidates;
  readonly request: InferenceRequest;
  readonly data: DataTypes = {
    "prefix-match": new PrefixMatch(),
    "inflight-load": new InflightLoad(),
    "uncached-request-tokens": new UncachedRequestTokens(),
    "latency-prediction": new LatencyPrediction(),
    "session-id": new SessionId(),
    topology: new Topology(),
  };

  /** @param endpoints get slots 0 … n − 1, and all are candidates in this order */
  constructor(endpoints: readonly AnyEndpoint[], request: object = {}) {
    endpoints.forEach((endpoint, i) => {
      this.#add(endpoint, i);
    });
    this.candidates = new Candidates(this.pool);
    this.candidates.reset(START_MS);
    this.request = new InferenceRequest(request);
  }

  /** A fresh instance; equal seeds draw the same. */
  create(definition: PluginDefinition, parameters: unknown, seed = 1): PluginInstance {
    const handle: PluginHandle = {
      name: definition.type,
      pool: this.pool,
      clock: new ManualClock(START_MS),
      random: new SeededRandom(seed),
      profiles: ["default"],
      consume: <K extends DataType>(type: K): DataTypes[K] => this.data[type],
      scalar: () => 0,
      warn: () => {},
    };
    return definition.create(parameters, handle);
  }

  /** Lets these slots be the candidates, in this order. */
  setCandidates(slots: readonly number[]): void {
    this.candidates.slots.set(slots);
    this.candidates.count = slots.length;
  }

  /** Everything that a plugin could write to and must not, as text. */
  snapshot(): string {
    const { columns, live, liveCount, version } = this.pool;
    const { count, nowMs } = this.candidates;
    return JSON.stringify([columns, live, liveCount, version, this.data, count, nowMs]);
  }

  #add(endpoint: AnyEndpoint, index: number): void {
    const { columns } = this.pool;
    const slot = this.pool.upsert(endpointMetadata(index, endpoint.labels));
    if (endpoint.ageMs !== null) {
      scrape(this.pool, slot, endpoint, START_MS - endpoint.ageMs);
      columns.known[slot] = endpoint.known;
    }
    columns.inflight[slot] = endpoint.inflight;
    columns.inflightTokens[slot] = endpoint.inflightTokens;
    columns.creditSinceScrape[slot] = endpoint.credit;
    columns.scalars[slot * limits.scalarsPerEndpointMax] = endpoint.scalar;
    for (const datum of Object.values(this.data)) {
      if ("ensure" in datum) datum.ensure(this.pool.columns.capacity);
    }
    const match = this.data["prefix-match"];
    const held = Math.floor(Math.max(0, endpoint.totalBlocks) * endpoint.heldShare);
    match.matchBlocks[slot] = held;
    match.cachedBlocks[slot] = held;
    match.totalBlocks[slot] = endpoint.totalBlocks;
    match.blockSizeTokens[slot] = 64;
    this.data["inflight-load"].requests[slot] = endpoint.inflight;
    this.data["inflight-load"].tokens[slot] = endpoint.inflightTokens;
    this.data["uncached-request-tokens"].tokens[slot] = endpoint.uncachedTokens;
    this.data["latency-prediction"].ttftMs[slot] = endpoint.ttftMs;
    this.data["latency-prediction"].tpotMs[slot] = endpoint.ttftMs;
  }
}

/** A pool of different endpoints that is always the same, for what is measured instead of proved. */
export function sampleWorld(count: number): ContractWorld {
  const endpoints = fc.sample(anyEndpoint, { numRuns: count, seed: 1 });
  return new ContractWorld(endpoints, { targetModel: "a", promptTokens: 1000 });
}
