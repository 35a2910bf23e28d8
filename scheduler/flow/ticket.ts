/**
 * One request in flow control, from submit to its end: what policies see of it, its places in the heaps and lists (so that
 * it can leave each at once), and what became of it. Its own object is its key; `x-request-id` is the client's to choose.
 *
 *   submit ──▶ queued ──▶ running ──complete──▶ ended
 *                 └──refused, expired, canceled──▲
 * @module
 */
import type { Flight } from "../flight.ts";
import type { Outcome } from "../outcome.ts";
import type { InferenceRequest } from "../request.ts";
import type { SubsetHint } from "../subset.ts";
import type { Band } from "./band.ts";
import type { BandFairness, FlowItem } from "./contracts.ts";
import type { Flow } from "./flow.ts";

/** Whoever waits for a request. Neither method may throw. */
export interface FlowSink {
  /**
   * The outcome of a request that was queued, once; not called for an outcome that submit() gave at once, nor after
   * cancel(). It may call the controller.
   */
  onOutcome(outcome: Outcome): void;
  /**
   * The request runs and is to be ended for a more important one: answer with the reason `evicted`, or do nothing when the
   * response is complete. complete() must follow in either case, at the end of the exchange.
   */
  onEvict(): void;
}

export type TicketState = "queued" | "running" | "ended";

export class Ticket implements FlowItem {
  readonly request: InferenceRequest;
  readonly subset: SubsetHint | null;
  readonly sink: FlowSink;
  readonly enqueuedAtMs: number;
  readonly sequence: number;
  readonly uncachedPromptTokens: number;
  state: TicketState = "queued";
  /** Set when it is known, by submit() or later; null while it waits. */
  outcome: Outcome | null = null;
  /** Budgets of its wait while the pool has endpoints, and while it has none, ms; 0 = never expires. */
  ttlMs = 0;
  noEndpointTtlMs = 0;
  key = 0;
  /** How long it has waited, ms; -1 = waits. */
  waitedMs = -1;
  /** Saturation of the pool and ceiling of its band when it began to wait; NaN = it never did. */
  saturationAtSubmit = Number.NaN;
  ceilingAtSubmit = Number.NaN;

  /** The rest is the controller's. */
  band: Band | null = null;
  flow: Flow | null = null;
  /** True until submit() has returned: the outcome is told by `outcome`, not to the sink. */
  isSubmitting = true;
  /** Place in the heap of its flow, and in that of deadlines; -1 = not there. */
  flowIndex = -1;
  deadlineIndex = -1;
  /** When it expires in the present regime, ms of the clock; Infinity = never. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** Neighbors in its band, by arrival. */
  previous: Ticket | null = null;
  next: Ticket | null = null;
  /** How many requests have overtaken it while no endpoint had room for it; -1 = is in the heap of its flow. */
  overtakenBy = -1;
  /** Change of the pool up to which it was tried in vain. */
  triedAtChange = -1;
  /** Who has charged it with what. */
  fairness: BandFairness | null = null;
  charged = 0;
  flight: Flight | null = null;
  /** Rises with each dispatch. */
  dispatchNumber = -1;
  /** Place among the running requests that may be evicted; -1 = not there. */
  victimIndex = -1;
  /** When its sink was asked to end it, ms of the clock; -1 = never. */
  revokedAtMs = -1;

  constructor(
    request: InferenceRequest,
    subset: SubsetHint | null,
    sink: FlowSink,
    nowMs: number,
    sequence: number,
    uncachedPromptTokens: number,
  ) {
    this.request = request;
    this.subset = subset;
    this.sink = sink;
    this.enqueuedAtMs = nowMs;
    this.sequence = sequence;
    this.uncachedPromptTokens = uncachedPromptTokens;
  }
}
