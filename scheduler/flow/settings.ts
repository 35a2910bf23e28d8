/**
 * Flow control as it was configured: every default filled in, every policy an instance. Made by the configuration, frozen,
 * swapped as a whole.
 * @module
 */
import type {
  FairnessPolicy,
  OrderingPolicy,
  SaturationDetector,
  UsageLimitPolicy,
} from "./contracts.ts";

/** Bounds and policies of a priority band. */
export interface BandSettings {
  /** Queued bytes; 0 = no bound. */
  readonly maxBytes: number;
  /** Queued requests; 0 = no bound. */
  readonly maxRequests: number;
  /** Queued requests of one flow; 0 = no bound of its own. */
  readonly maxRequestsPerFlow: number;
  /** Queue-wait budget while the pool has endpoints, ms; 0 = never expires; null = `requestTtlMs` of all. */
  readonly requestTtlMs: number | null;
  readonly ordering: OrderingPolicy;
  readonly fairness: FairnessPolicy;
}

/** A band that is always there. */
export interface StaticBandSettings extends BandSettings {
  /** Integer; higher is more important, negative is sheddable. */
  readonly priority: number;
}

export interface FlowControlSettings {
  /** Queued bytes over all bands; 0 = no bound. */
  readonly maxBytes: number;
  /** Queued requests over all bands; 0 = no bound. */
  readonly maxRequests: number;
  /** Queue-wait budget while the pool has endpoints, ms; 0 = never expires. */
  readonly requestTtlMs: number;
  /** Queue-wait budget while the pool is empty, ms; 0 = never expires. */
  readonly noEndpointTtlMs: number;
  /** Unique priorities; band 0 is made of `defaultBand` when it is not among them. */
  readonly bands: readonly StaticBandSettings[];
  /** Template of the bands that objectives ask for. */
  readonly defaultBand: BandSettings;
  /** The same for priorities below 0. */
  readonly negativeBand: BandSettings;
  readonly detector: SaturationDetector;
  readonly usageLimits: UsageLimitPolicy;
  /** Flows with a queue of their own; more share hashed ones. */
  readonly maxFlows: number;
  /** An idle flow is forgotten after this time, ms. */
  readonly flowIdleMs: number;
  /** How many requests may overtake one that no endpoint has room for. */
  readonly maxBypass: number;
  /** A full queue makes room for a request by refusing the newest of the lowest band below it. */
  readonly displaceLowerPriority: boolean;
  /** Ceilings are computed over the bands that have something queued, instead of all. */
  readonly activeBandsOnly: boolean;
  /**
   * A request that has waited this long for each band that is above its own and has something queued gets one of
   * `limits.agedTurnEvery` turns of the highest; ms, 0 or absent = bands are strict.
   */
  readonly agingMs?: number;
  /** Running requests of negative priority may be ended for queued ones of a higher band. */
  readonly eviction: boolean;
}

/** Everything of the settings that is no policy, as it is when a document says nothing. */
export const flowDefaults = {
  maxBytes: 0,
  maxRequests: 0,
  bandMaxBytes: 1_000_000_000,
  bandMaxRequests: 5000,
  maxRequestsPerFlow: 0,
  requestTtlMs: 60_000,
  noEndpointTtlMs: 60_000,
  maxFlows: 10_000,
  flowIdleMs: 300_000,
  maxBypass: 64,
  displaceLowerPriority: false,
  activeBandsOnly: false,
  agingMs: 0,
  eviction: false,
} as const;
