/**
 * A pool, a request and produced data as a vector describes them, and instances of plugins over them.
 * @module
 */
import {
  Candidates,
  type DataType,
  type DataTypes,
  EndpointPool,
  hashName,
  InferenceRequest,
  InflightLoad,
  Known,
  LatencyPrediction,
  limits,
  ManualClock,
  type PluginInstance,
  PrefixMatch,
  pluginRegistry,
  type Random,
  SeededRandom,
  SessionId,
  Topology,
  UncachedRequestTokens,
} from "../../scheduler/index.ts";
import { flightOf, noResults } from "../support/plugin-setup.ts";
import { Mismatch, NotHere, type Vector, type VectorEndpoint } from "./format.ts";

/** Clock of all vectors: above 0, which as the time of a scrape would mean "never". */
const NOW_MS = 1_000_000;
const SEED = 1;
const ALL_KNOWN = Object.values(Known).reduce((bits, bit) => bits | bit, 0);

/** Metrics as vectors spell them → column. */
const COLUMNS = {
  waitingQueueSize: "waiting",
  runningRequestsSize: "running",
  kvCacheUsagePercent: "kvUtilization",
  maxActiveModels: "maxAdapters",
  cacheBlockSize: "cacheBlockSize",
  cacheNumBlocks: "cacheBlocks",
} as const;

/** What an instance does where ours and upstream's behavior differ. */
export type Behavior = "upstream" | "ours";

type Parameters = Readonly<Record<string, unknown>>;

export class VectorWorld {
  readonly pool = new EndpointPool();
  /** All endpoints, in the vector's order. */
  readonly candidates: Candidates;
  readonly request: InferenceRequest;
  readonly #vector: Vector;
  readonly #behavior: Behavior;
  /** Keys of scalar attributes, by index. */
  readonly #scalars: string[] = [];
  readonly #data: DataTypes = {
    "prefix-match": new PrefixMatch(),
    "inflight-load": new InflightLoad(),
    "uncached-request-tokens": new UncachedRequestTokens(),
    "latency-prediction": new LatencyPrediction(),
    "session-id": new SessionId(),
    topology: new Topology(),
  };

  constructor(vector: Vector, behavior: Behavior = "upstream") {
    this.#vector = vector;
    this.#behavior = behavior;
    const endpoints: readonly VectorEndpoint[] =
      vector.endpoints ?? Object.keys(vector.scoredEndpoints ?? {}).map((id) => ({ id }));
    for (const [index, endpoint] of endpoints.entries()) this.#add(endpoint, index);
    this.candidates = new Candidates(this.pool);
    this.candidates.reset(NOW_MS);
    const request = vector.request ?? {};
    const peerTopology = request["peerTopology"];
    if (peerTopology !== undefined) {
      const peer = { id: "peer/peer", attributes: { topology: peerTopology } };
      this.candidates.peerSlot = this.#add(peer, endpoints.length);
    }
    this.request = new InferenceRequest({
      targetModel: (request["targetModel"] as string | undefined) ?? "",
      promptTokens: (request["tokenCount"] as number | undefined) ?? 0,
      mediaItems: (request["multiModalFeatures"] as readonly unknown[] | undefined)?.length ?? 0,
      priority: (request["priority"] as number | undefined) ?? 0,
      maxOutputTokens: (request["maxOutputTokens"] as number | undefined) ?? -1,
      headers: new Map(Object.entries((request["headers"] as Record<string, string>) ?? {})),
    });
  }

  idOf(slot: number): string {
    return this.pool.metadata(slot).id;
  }

  /** Values by endpoint id. @param values one a candidate, in order */
  byId(values: Float64Array): Record<string, number> {
    const { count, slots } = this.candidates;
    return Object.fromEntries(
      Array.from(slots.subarray(0, count), (slot, i) => [this.idOf(slot), values[i]!]),
    );
  }

  /**
   * A fresh instance; where there is a choice, in the behavior that this world is made for.
   *
   * @throws NotHere when the type is not registered, Mismatch when it refuses the parameters
   */
  instance(type: string, parameters: Parameters | undefined): PluginInstance {
    const definition = pluginRegistry.get(type);
    if (definition === undefined) throw new NotHere(type);
    const { parameters: schema } = definition;
    const asUpstream = schema.safeParse({ ...parameters, compat: "upstream" });
    const isUpstream = this.#behavior === "upstream" && asUpstream.success;
    const parsed = isUpstream ? asUpstream : schema.safeParse({ ...parameters });
    if (!parsed.success) throw new Mismatch(`parameters refused: ${parsed.error.message}`);
    const instance = definition.create(parsed.data, {
      name: definition.type,
      pool: this.pool,
      clock: new ManualClock(NOW_MS),
      random: this.#random(),
      profiles: ["default"],
      consume: <K extends DataType>(key: K) => this.#data[key],
      scalar: (attribute, producer) => this.#scalars.indexOf(`${attribute}/${producer}`),
      warn: () => {},
    });
    this.#replay(instance);
    return instance;
  }

  /** Brings an instance into the vector's state through the requests that lead to it. */
  #replay(instance: PluginInstance): void {
    const { bindings, lruOldestFirst } = (this.#vector.state ?? {}) as {
      bindings?: Readonly<Record<string, string>>;
      lruOldestFirst?: readonly string[];
    };
    for (const [session, id] of Object.entries(bindings ?? {})) {
      this.#send(instance, new Map([["x-session-id", session]]), id);
    }
    for (const id of lruOldestFirst ?? []) this.#send(instance, new Map(), id);
  }

  /** A request with these headers is scored, and goes to this endpoint. */
  #send(instance: PluginInstance, headers: ReadonlyMap<string, string>, id: string): void {
    const request = new InferenceRequest({ headers });
    // An endpoint that is in no vector but in the state is no candidate.
    const known = this.pool.slotOf(id);
    const slot = known < 0 ? this.#add({ id }, this.pool.liveCount) : known;
    const { capacity } = this.pool.columns;
    instance.scorer?.score(request, this.candidates, new Float64Array(capacity));
    instance.hooks?.account?.(flightOf(request, this.pool, [[slot, "default"]], NOW_MS), noResults);
  }

  /** Draws as far as the vector gives them, else seeded ones. */
  #random(): Random {
    const { scoredEndpoints, state } = this.#vector;
    const rand = state?.["rand"];
    if (typeof rand === "number") return { next: () => rand };
    const further = new SeededRandom(SEED);
    const uniform = state?.["uniform"] as Readonly<Record<string, number>> | undefined;
    if (uniform === undefined) return further;
    // For the first pick one draw for each endpoint with a score, in their order.
    const scored = Object.entries(scoredEndpoints ?? {}).filter(([, score]) => score > 0);
    const draws = scored.map(([id]) => uniform[id]!);
    return { next: () => draws.shift() ?? further.next() };
  }

  #add(endpoint: VectorEndpoint, index: number): number {
    const [namespace = "", name = ""] = endpoint.id.split("/");
    const slot = this.pool.upsert({
      id: endpoint.id,
      namespace,
      name,
      address: endpoint.address ?? `10.0.${index >> 8}.${index & 255}`,
      port: endpoint.port ?? 8000,
      labels: new Map(Object.entries(endpoint.labels ?? {})),
      rankIndex: 0,
    });
    for (const datum of Object.values(this.#data)) {
      if ("ensure" in datum) datum.ensure(this.pool.columns.capacity);
    }
    this.#data["prefix-match"].totalBlocks[slot] = -1;
    this.#data["latency-prediction"].ttftMs[slot] = Number.NaN;
    this.#data["latency-prediction"].tpotMs[slot] = Number.NaN;
    if (endpoint.metrics) this.#setMetrics(slot, endpoint.metrics);
    for (const [key, value] of Object.entries(endpoint.attributes ?? {})) {
      this.#setAttribute(slot, key, value);
    }
    return slot;
  }

  #setMetrics(slot: number, metrics: Parameters): void {
    const { columns } = this.pool;
    const { ageMs = 0, ...facts } = metrics as { ageMs?: number };
    columns.scrapedAtMs[slot] = NOW_MS - ageMs;
    columns.known[slot] = ALL_KNOWN;
    for (const [key, value] of Object.entries(facts)) {
      if (key === "activeModels") this.#setAdapters(slot, "active", value as string[]);
      else if (key === "waitingModels") this.#setAdapters(slot, "waiting", value as string[]);
      else if (Object.hasOwn(COLUMNS, key)) {
        columns[COLUMNS[key as keyof typeof COLUMNS]][slot] = value as number;
      } else throw new Mismatch(`metric "${key}" can not be given to a plugin`);
    }
  }

  #setAdapters(slot: number, which: "active" | "waiting", names: readonly string[]): void {
    const { columns } = this.pool;
    columns[`${which}AdapterCount`][slot] = names.length;
    for (const [i, name] of names.entries()) {
      const { hi, lo } = hashName(name);
      const at = (slot * limits.adaptersPerEndpointMax + i) * 2;
      columns[`${which}Adapters`][at] = lo;
      columns[`${which}Adapters`][at + 1] = hi;
    }
  }

  #setAttribute(slot: number, key: string, value: unknown): void {
    const fields = value as Readonly<Record<string, number>>;
    switch (key) {
      case "prefixMatch": {
        const match = this.#data["prefix-match"];
        match.matchBlocks[slot] = fields["matchBlocks"]!;
        match.cachedBlocks[slot] = fields["cachedBlockCount"] ?? fields["matchBlocks"]!;
        match.totalBlocks[slot] = fields["totalBlocks"]!;
        match.blockSizeTokens[slot] = fields["blockSizeTokens"]!;
        return;
      }
      case "inFlightLoad": {
        const load = this.#data["inflight-load"];
        load.requests[slot] = fields["requests"] ?? 0;
        load.tokens[slot] = fields["tokens"] ?? 0;
        return;
      }
      case "uncachedRequestTokens":
        this.#data["uncached-request-tokens"].tokens[slot] = value as number;
        return;
      case "latency": {
        const latency = this.#data["latency-prediction"];
        latency.ttftMs[slot] = fields["ttft"] ?? Number.NaN;
        latency.tpotMs[slot] = fields["tpot"] ?? Number.NaN;
        return;
      }
      case "topology": {
        const { hostname, rack, region, zone } = this.#data.topology;
        const place = value as Readonly<Record<string, string>>;
        hostname[slot] = place["hostname"] ?? "";
        rack[slot] = place["rack"] ?? "";
        zone[slot] = place["zone"] ?? "";
        region[slot] = place["region"] ?? "";
        return;
      }
      case "scalars":
        for (const [name, scalar] of Object.entries(fields)) {
          if (!this.#scalars.includes(name)) this.#scalars.push(name);
          const at = slot * limits.scalarsPerEndpointMax + this.#scalars.indexOf(name);
          this.pool.columns.scalars[at] = scalar;
        }
        return;
      default:
        throw new Mismatch(`attribute "${key}" can not be given to a plugin`);
    }
  }
}
