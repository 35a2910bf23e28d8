/**
 * The contracts that plugins implement and the helpers that define them. A plugin is one file: an exported pure formula,
 * and a definition that names its type, its parameters and how an instance is made.
 *
 * Plugins are synchronous, never log, never read the clock other than `candidates.nowMs` or their handle's, and keep no
 * state in maps keyed by objects. `create` may throw `PluginConfigError`; nothing else may throw.
 * @module
 */
import type { z } from "zod";
import type { Candidates } from "./candidates.ts";
import type { Clock } from "./clock.ts";
import type { DataType, DataTypes } from "./data.ts";
import type { EndpointPool } from "./endpoints.ts";
import type { EndCause, Flight } from "./flight.ts";
import type {
  Admitter,
  FairnessPolicy,
  OrderingPolicy,
  SaturationDetector,
  UsageLimitPolicy,
} from "./flow/contracts.ts";
import type { RejectReason } from "./outcome.ts";
import type { Random } from "./random.ts";
import type { InferenceRequest } from "./request.ts";

export type { Candidates } from "./candidates.ts";

/** Removes candidates. */
export interface Filter {
  /** Why nobody is left when this filter empties the list: a load filter may pass later, a label filter will not. */
  readonly rejects: RejectReason;
  /** Keeps candidates in place, order unchanged, and sets `candidates.count`. */
  filter(request: InferenceRequest, candidates: Candidates): void;
}

/** Rates candidates. */
export interface Scorer {
  /**
   * Writes scores[i], nominally in [0, 1], for candidate i.
   *
   * @param scores length >= candidates.count; [0, count) is overwritten. The profile clamps to [0, 1] and counts NaN as
   *   0. Must not keep a reference to any argument.
   */
  score(request: InferenceRequest, candidates: Candidates, scores: Float64Array): void;
}

/** Result of a pick: indexes into the candidates (not slots), best first. */
export class Pick {
  readonly indexes: Int32Array;
  count = 0;
  constructor(capacity: number) {
    this.indexes = new Int32Array(capacity);
  }
}

/** Chooses among scored candidates. */
export interface Picker {
  /** @param totals length >= candidates.count >= 1. Fills `out` with 1 … maxNumOfEndpoints indexes. */
  pick(request: InferenceRequest, candidates: Candidates, totals: Float64Array, out: Pick): void;
}

/** A block size that requests must be hashed with; the producer may change it between requests. */
export interface HashPlan {
  /** Tokens per block. */
  blockSizeTokens: number;
  /** Blocks hashed per request at most. */
  blocksMax: number;
  /** Roots as upstream makes them (no separator between model and salt). */
  readonly upstreamRoot: boolean;
}

/** What the profiles of the present request have picked. */
export interface ProfileResults {
  /** Slot of the first target of a profile; -1 = it has not run, or has no result. */
  slotOf(profile: string): number;
  /** All targets of a profile as `ip:port[,ip:port…]`; "" = it has not run, or has no result. */
  hostPorts(profile: string): string;
}

/** What a plugin does with flights from their pick to their end, whatever else it is. */
export interface FlightHooks {
  /** Within the pick, once the targets are known: reserves. May raise `charge.tokens`, and set headers. */
  account?(flight: Flight, results: ProfileResults): void;
  /** First byte of the response. */
  firstToken?(flight: Flight): void;
  /** Another endpoint than the one picked first serves the flight: its primary charge stands there already. */
  served?(flight: Flight, from: { readonly slot: number; readonly generation: number }): void;
  /** End of the exchange, once. `answered` is false when no response byte was seen. */
  complete?(flight: Flight, cause: EndCause, answered: boolean): void;
  endpointAdded?(slot: number): void;
  endpointRemoved?(slot: number): void;
  /** Bounded, for /debug and metrics: numbers by name. */
  stats?(): Readonly<Record<string, number>>;
}

/** Computes per-request facts for other plugins, and learns from picks and ends. */
export interface Producer extends FlightHooks {
  /** What it publishes, by data type; the objects live as long as the producer. */
  readonly data: Partial<DataTypes>;
  /** Present when the producer needs block hashes in `request.blockHashes[planIndex]`. */
  readonly hashPlan?: HashPlan;
  /** Called once, with the position of its plan. */
  setPlanIndex?(index: number): void;
  /** Before the profiles run: writes its data for every candidate. */
  produce?(request: InferenceRequest, candidates: Candidates): void;
}

/** Says whether a stage of disaggregated serving is worth its way. */
export interface Decider {
  /** @param slot the endpoint that will decode; -1 = none is picked yet */
  disaggregate(request: InferenceRequest, slot: number): boolean;
}

/** Decides which profiles run and which result is primary. */
export interface ProfileHandler {
  /** Name of the next profile to run, or null when done. `done` lists the profiles that have run, in order. */
  next(request: InferenceRequest, done: readonly string[], results: ProfileResults): string | null;
  /** Name of the primary profile among those that produced a result, or null. */
  primary(succeeded: readonly string[]): string | null;
  /** Endpoint that the next target of a profile is to be near (`candidates.peerSlot`); -1 = none. */
  peerOf?(profile: string, results: ProfileResults): number;
  /** The request names its profile, so that one that does not exist is the client's fault. */
  readonly isNamedByRequest?: boolean;
  /** Port that requests go to in place of the picked endpoint's own (a proxy before the ranks of a pod). */
  readonly destinationPort?: number;
}

/** What an instance may be; several at once are allowed (a filter that also scores). */
export interface PluginInstance {
  readonly filter?: Filter;
  readonly scorer?: Scorer;
  readonly picker?: Picker;
  readonly producer?: Producer;
  readonly profileHandler?: ProfileHandler;
  readonly decider?: Decider;
  /** For instances that are no producer, which has these itself. */
  readonly hooks?: FlightHooks;
  readonly orderingPolicy?: OrderingPolicy;
  readonly fairnessPolicy?: FairnessPolicy;
  readonly usageLimitPolicy?: UsageLimitPolicy;
  readonly saturationDetector?: SaturationDetector;
  readonly admitter?: Admitter;
}

/** A keyed hash of a text that only holders of the key can make: base64url, no control characters. */
export type TokenMac = (text: string) => string;

/** What `create` is given. */
export interface PluginHandle {
  /** Instance name; producers publish under it. */
  readonly name: string;
  readonly pool: EndpointPool;
  readonly clock: Clock;
  readonly random: Random;
  /** Names of the configured profiles, in order. */
  readonly profiles: readonly string[];
  /** Name of the profile whose target computes prompts for others, as the profile handler has it; absent = "prefill". */
  readonly prefillProfile?: string | undefined;
  /** Time between two scrapes of an endpoint, ms; absent = nobody said. */
  readonly scrapeIntervalMs?: number | undefined;
  /** Data of a declared consumption; undefined only for optional ones without a producer. */
  consume<K extends DataType>(type: K, producer: string): DataTypes[K] | undefined;
  /** Index in `columns.scalars` of a scalar attribute; -1 = nothing supplies it. */
  scalar?(attribute: string, producer: string): number;
  /** The decider of a declared reference. */
  decider?(name: string): Decider | undefined;
  /** Hash keyed with the contents of a file, or with a key of this process alone; absent where there is no platform. */
  tokenMac?(keyFile: string): TokenMac;
  /** A remark for the operator at load time (deprecated spelling, doubtful value). */
  warn(message: string): void;
}

/** One declared consumption. */
export interface Consumption {
  readonly type: DataType;
  /** Instance name of the producer. */
  readonly producer: string;
  /** A required one is created by default when absent and orders the producers; an optional one does neither. */
  readonly required: boolean;
}

/** Another plugin that parameters name. */
export interface PluginReference {
  /** Field that names it, under `parameters`. */
  readonly path: string;
  readonly name: string;
  readonly kind: PluginKind;
}

export type PluginKind =
  | "filter"
  | "scorer"
  | "picker"
  | "producer"
  | "profile-handler"
  | "decider"
  | "hook"
  | "ordering-policy"
  | "fairness-policy"
  | "usage-limit-policy"
  | "saturation-detector"
  | "admitter";
export type Stability = "beta" | "alpha" | "deprecated";

export interface PluginDefinition<P = unknown> {
  /** Type string of the YAML, and the name of the file. */
  readonly type: string;
  /** Kinds that an instance implements. */
  readonly kinds: readonly PluginKind[];
  readonly stability: Stability;
  /** For the docs: Affinity, Distribution or Balance. */
  readonly category?: string;
  /** One sentence for docs/plugins.md. */
  readonly summary: string;
  /** Where the behavior comes from. */
  readonly source: string;
  /** Strict schema of the parameters, keys as in upstream's YAML. */
  readonly parameters: z.ZodType<P>;
  /** Upstream ignores any parameters of this type: accept them unread. */
  readonly ignoresParameters?: boolean;
  /** Data types that an instance publishes. */
  readonly produces?: readonly DataType[];
  /** Data that an instance with these parameters reads. */
  consumes?(parameters: P): readonly Consumption[];
  /** Plugins that must be declared, and are created first. */
  references?(parameters: P): readonly PluginReference[];
  /** Lower-case names of the request headers that an instance reads in `request.headers`. */
  headersRead?(parameters: P): readonly string[];
  /** Lower-case names of headers that tell whom a request belongs to where it does not say so itself; first one counts. */
  fairnessHeaders?(parameters: P): readonly string[];
  /** Of profile handlers: the profile whose target computes prompts for others. */
  prefillProfile?(parameters: P): string;
  create(parameters: P, handle: PluginHandle): PluginInstance;
}

/** A parameter problem that the schema can not express; `path` is relative to `parameters`. */
export class PluginConfigError extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

type Definition<P, I> = Omit<PluginDefinition<P>, "kinds" | "create"> & {
  create(parameters: P, handle: PluginHandle): I;
};

export function defineScorer<P>(definition: Definition<P, Scorer>): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["scorer"],
    create: (p, h) => ({ scorer: definition.create(p, h) }),
  };
}

export function defineFilter<P>(definition: Definition<P, Filter>): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["filter"],
    create: (p, h) => ({ filter: definition.create(p, h) }),
  };
}

export function definePicker<P>(definition: Definition<P, Picker>): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["picker"],
    create: (p, h) => ({ picker: definition.create(p, h) }),
  };
}

export function defineProducer<P>(definition: Definition<P, Producer>): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["producer"],
    create: (p, h) => ({ producer: definition.create(p, h) }),
  };
}

export function defineProfileHandler<P>(
  definition: Definition<P, ProfileHandler>,
): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["profile-handler"],
    create: (p, h) => ({ profileHandler: definition.create(p, h) }),
  };
}

export function defineDecider<P>(definition: Definition<P, Decider>): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["decider"],
    create: (p, h) => ({ decider: definition.create(p, h) }),
  };
}

export function defineHook<P>(definition: Definition<P, FlightHooks>): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["hook"],
    create: (p, h) => ({ hooks: definition.create(p, h) }),
  };
}

/** For instances that are several things at once. */
export function definePlugin<P>(definition: PluginDefinition<P>): PluginDefinition<P> {
  return definition;
}

export function defineOrderingPolicy<P>(
  definition: Definition<P, OrderingPolicy>,
): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["ordering-policy"],
    create: (p, h) => ({ orderingPolicy: definition.create(p, h) }),
  };
}

export function defineFairnessPolicy<P>(
  definition: Definition<P, FairnessPolicy>,
): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["fairness-policy"],
    create: (p, h) => ({ fairnessPolicy: definition.create(p, h) }),
  };
}

export function defineUsageLimitPolicy<P>(
  definition: Definition<P, UsageLimitPolicy>,
): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["usage-limit-policy"],
    create: (p, h) => ({ usageLimitPolicy: definition.create(p, h) }),
  };
}

/** A detector is a filter too: the same limit, for one endpoint. */
export function defineSaturationDetector<P>(
  definition: Definition<P, SaturationDetector & Filter>,
): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["saturation-detector", "filter"],
    create: (p, h) => {
      const detector = definition.create(p, h);
      return { saturationDetector: detector, filter: detector };
    },
  };
}

export function defineAdmitter<P>(definition: Definition<P, Admitter>): PluginDefinition<P> {
  return {
    ...definition,
    kinds: ["admitter"],
    create: (p, h) => ({ admitter: definition.create(p, h) }),
  };
}
