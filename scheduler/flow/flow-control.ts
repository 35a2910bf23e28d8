/**
 * The boundary of flow control: what a driver calls, and what it is told. It is event-driven: nothing happens but within a
 * call, and `wakeAtMs` says when the next call is due by time alone.
 *
 *   submit ─▶ ticket.outcome at once, or queued ─▶ sink.onOutcome
 *   wake      something changed: a scrape, an endpoint, a timer     after each call: look at `hasMore` (resume() soon,
 *   firstToken, complete   of a running ticket                      after other work) and `wakeAtMs` (one timer)
 * @module
 */
import type { Clock } from "../clock.ts";
import type { EndpointPool } from "../endpoints.ts";
import type { Outcome } from "../outcome.ts";
import type { InferenceRequest } from "../request.ts";
import type { SubsetHint } from "../subset.ts";
import type { TokenUsage } from "./contracts.ts";
import type { FlowControlSettings } from "./settings.ts";
import type { FlowSink, Ticket } from "./ticket.ts";

/** What became of a request, as upstream names it in metrics. */
export type FlowOutcome =
  | "Dispatched"
  | "RejectedCapacity"
  | "RejectedNoEndpoints"
  | "RejectedOther"
  | "EvictedTTL"
  | "EvictedNoEndpoints"
  | "EvictedContextCancelled"
  | "EvictedOther";

/** Told of what happens, within the call in which it happens; must not call the controller. */
export interface FlowObserver {
  /** Once a ticket, when its wait is over. `waitedMs` counts from submit(). */
  finished(ticket: Ticket, outcome: FlowOutcome, waitedMs: number): void;
  /** `count` running requests are asked to end for a queued one of `priority`. */
  revoked(priority: number, count: number): void;
  /** One of them has ended, or has not within its time. */
  revocationEnded(outcome: "confirmed" | "timed_out", afterMs: number): void;
}

export interface FlowControllerOptions {
  readonly settings: FlowControlSettings;
  readonly clock: Clock;
  readonly pool: EndpointPool;
  /** The scheduler; `filtered-by-load` = no room now. Any other outcome is final. */
  schedule(request: InferenceRequest, subset: SubsetHint | null): Outcome;
  /** Prompt tokens of a request that no endpoint has in its cache; absent = all of them. */
  readonly uncachedPromptTokens?: (request: InferenceRequest) => number;
  readonly observer?: FlowObserver;
  /** Any number that clients can not know: which ids share a queue, when there are too many of them, depends on it. */
  readonly seed?: number;
}

/** Numbers of one flow. */
export interface FlowStats {
  /** The id that clients sent, or `overflow-<n>` for a queue that several share: hostile as a label. */
  readonly fairnessId: string;
  readonly requests: number;
  readonly bytes: number;
  /** Dispatched and not completed. */
  readonly running: number;
}

/** Numbers of one band. */
export interface BandStats {
  readonly priority: number;
  readonly requests: number;
  readonly bytes: number;
  readonly maxRequests: number;
  readonly maxBytes: number;
  /** Ceiling when it was last computed. */
  readonly ceiling: number;
  readonly flows: readonly FlowStats[];
  /** What the fairness policy has to say. */
  readonly fairness: Readonly<Record<string, number>>;
  /** How often it named nobody though requests were queued; the oldest went then. */
  readonly fairnessFaults: number;
}

/** Computed when asked for. */
export interface FlowControlStats {
  readonly requests: number;
  readonly bytes: number;
  readonly maxRequests: number;
  readonly maxBytes: number;
  readonly running: number;
  /** Dispatches per second, smoothed over some ten seconds. */
  readonly dispatchRate: number;
  /** As last measured; NaN = no endpoint of that stage, or never measured. */
  readonly saturation: {
    readonly prefill: number;
    readonly decode: number;
    readonly effective: number;
  };
  /** Running requests asked to end and not ended yet. */
  readonly revocationsOutstanding: number;
  /** Saturation that the last decision wanted to free, and what of it is still to come. */
  readonly reclaimTarget: number;
  readonly pendingReclaim: number;
  /** Highest priority first. */
  readonly bands: readonly BandStats[];
}

/** Why a request waits, or has waited. */
export interface WaitRecord {
  /** Priority of the band it waits in; not the request's own when no band has that. */
  readonly band: number;
  readonly requestedPriority: number;
  readonly fairnessId: string;
  /** Requests of its flow that go before it; -1 = it does not wait any more. */
  readonly position: number;
  /** How long it waits, or has waited, ms. */
  readonly waitedMs: number;
  /** ms until it expires as things are; Infinity = never, or it does not wait any more. */
  readonly expiresInMs: number;
  /** Saturation of the pool and ceiling of its band when it came. */
  readonly saturationAtSubmit: number;
  readonly ceilingAtSubmit: number;
  /** The same when they were last measured. */
  readonly saturation: number;
  readonly ceiling: number;
  /** True when its turn has come, and the scheduler found no endpoint with room for it. */
  readonly noRoom: boolean;
}

export interface FlowControl {
  /** Takes a request. Look at `ticket.outcome`: null = it waits, and the sink will be told. */
  submit(request: InferenceRequest, subset: SubsetHint | null, sink: FlowSink): Ticket;
  /** Whoever asked is gone: out of the queue at once. @returns false when it was not queued (any more) */
  cancel(ticket: Ticket): boolean;
  /** First byte of the response, after Scheduler.firstToken(). */
  firstToken(ticket: Ticket): void;
  /** End of the exchange, after Scheduler.complete(); a second call does nothing. `usage` null = unknown. */
  complete(ticket: Ticket, usage: TokenUsage | null): void;
  /** Something has changed: a scrape, endpoints, time (`wakeAtMs`). */
  wake(): void;
  /** Goes on where the last call stopped because it had done enough. */
  resume(): void;
  /** True when the last call stopped before everything was done: call resume() soon. */
  readonly hasMore: boolean;
  /** When wake() is due at the latest, ms of the clock; Infinity = not by time. */
  readonly wakeAtMs: number;
  /** Priorities that objectives ask for: missing bands are made, others go when they are idle (static ones and 0 stay). */
  setPriorities(priorities: Iterable<number>): void;
  /** New settings; what is queued stays queued. */
  reconfigure(settings: FlowControlSettings): void;
  /** Refuses everything that is queued, and all that comes later. Running tickets are still to be completed. */
  close(): void;
  /** Requests that wait. */
  readonly queued: number;
  stats(): FlowControlStats;
  /** Why this ticket waits or has waited; null when it has not. */
  explain(ticket: Ticket): WaitRecord | null;
}
