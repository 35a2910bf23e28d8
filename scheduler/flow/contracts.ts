/**
 * What flow control asks of its plugins: who is next within a flow (ordering), which flow is next within a band (fairness),
 * how full the pool may be for each band (usage limits), how full it is (saturation detector), and who is refused after
 * admission (admitter).
 *
 *   band ──strict priority──▶ flow ──fairness──▶ request ──ordering──▶ scheduler
 *
 * As all plugins they are synchronous, never log and never throw; time comes in as an argument.
 * @module
 */
import type { Candidates } from "../candidates.ts";
import type { RejectReason } from "../outcome.ts";
import type { InferenceRequest } from "../request.ts";

/** A request as policies see it. */
export interface FlowItem {
  readonly request: InferenceRequest;
  /** When it came to flow control, ms of the clock. */
  readonly enqueuedAtMs: number;
  /** Its queue-wait budget while the pool has endpoints, ms; 0 = never expires. */
  readonly ttlMs: number;
  /** Number of arrival: unique, rising. */
  readonly sequence: number;
  /** Prompt tokens that no endpoint is known to hold in its cache (all of them when nobody can tell). */
  readonly uncachedPromptTokens: number;
  /** What `OrderingPolicy.key` said. */
  readonly key: number;
}

/** Order within one flow. */
export interface OrderingPolicy {
  /**
   * Smaller goes first, equal keys in order of arrival. Asked once, when the request comes.
   *
   * @returns any number but NaN; Infinity = after all others
   */
  key(item: Omit<FlowItem, "key">): number;
}

/** A flow as fairness policies see it. */
export interface FlowView {
  readonly fairnessId: string;
  readonly priority: number;
  /** The request that goes next; null when nothing is queued. */
  readonly head: FlowItem | null;
  /** For the policy alone: where the flow stands in its structure; -1 at first and after a change of policy. */
  position: number;
}

/** What a completed request has really used, tokens. */
export interface TokenUsage {
  /** Prompt tokens that had to be computed. */
  readonly uncachedPromptTokens: number;
  readonly outputTokens: number;
}

/** Order among the flows of one band. It keeps its own structure of the flows that have something queued. */
export interface BandFairness {
  /** The flow had nothing queued and now has. */
  activate(flow: FlowView): void;
  /** Another request is the head of a flow that stays active (a better one came, or the head left). */
  headChanged(flow: FlowView): void;
  /** Nothing is queued in the flow any more. */
  deactivate(flow: FlowView): void;
  /**
   * The flow whose head goes next, or null when no flow is active. The head is always taken then: charge() follows at
   * once, and after it headChanged() or deactivate().
   */
  next(nowMs: number): FlowView | null;
  /**
   * A request leaves its flow to be served; `flow` need not be active (nothing was in its way).
   *
   * @returns what was charged, in the policy's own unit; handed back to settle()
   */
  charge(flow: FlowView, item: FlowItem, nowMs: number): number;
  /**
   * The request is over. `usage` is null when nobody knows: what was charged stands. A request that was never served
   * comes with zeros.
   */
  settle(
    flow: FlowView,
    item: FlowItem,
    charged: number,
    usage: TokenUsage | null,
    nowMs: number,
  ): void;
  /** The flow is forgotten (idle, or its band is gone); it is not active. */
  forget(flow: FlowView): void;
  /** Bounded, for people and metrics: numbers by name. */
  stats?(nowMs: number): Readonly<Record<string, number>>;
}

/** Makes the state of a band; several bands may use one instance. */
export interface FairnessPolicy {
  band(): BandFairness;
}

/** How full the pool may be for requests of each priority to be dispatched. */
export interface UsageLimitPolicy {
  /**
   * Writes one ceiling per priority: requests of priorities[i] are dispatched while saturation < ceilings[i].
   *
   * @param saturation >= 0; 1 = full, more = oversubscribed
   * @param priorities highest first
   * @param ceilings length >= priorities.length, filled with 1; an entry that is left alone stays open
   */
  limits(
    saturation: number,
    priorities: readonly number[],
    ceilings: Float64Array,
    nowMs: number,
  ): void;
  /** When the ceilings change by time alone, ms of the clock; absent or Infinity = never. Read after limits(). */
  readonly changesAtMs?: number;
}

/** How full endpoints are. */
export interface SaturationDetector {
  /**
   * @param candidates endpoints to judge, with the time in `nowMs`; may be empty, which is 1
   * @returns >= 0; 1 = the set point, more = oversubscribed
   */
  saturation(candidates: Candidates): number;
  /** True when it reads scraped values: what a dispatch or an end has changed may be seen only after the next scrape. */
  readonly readsScrapes: boolean;
  /** For metrics: endpoints whose facts are too old for it; absent = it reads none. */
  staleEndpoints?(candidates: Candidates): number;
  /** When the value changes by time alone (facts go stale), ms of the clock; absent or Infinity = never. Read after saturation(). */
  readonly changesAtMs?: number;
}

/** Refuses requests after admission and before the pick. */
export interface Admitter {
  /** @returns null = may pass */
  admit(request: InferenceRequest, candidates: Candidates): RejectReason | null;
}
