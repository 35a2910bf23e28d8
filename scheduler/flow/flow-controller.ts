/**
 * Flow control: requests wait here, by priority and flow, until the pool has room for them. Owner of its state, called
 * synchronously, driven by events.
 *
 *   submit ─▶ bounds ─▶ band ─▶ flow ─▶ ┌─ slice: as long as the pool is below the band's ceiling ─┐ ─▶ outcome
 *             deadlines ──expired──▶    │ band (strict) → flow (fairness) → head (ordering)        │
 *   wake, firstToken, complete ────────▶└─ → schedule(): pick and account; the next one sees it ───┘
 *
 * Laws: one outcome a ticket; a dispatch sees the effect of all before it; nobody passes a held request of a higher band;
 * nothing that has left is in any structure; nothing queued = no timer.
 * @module
 */
import type { Clock } from "../clock.ts";
import type { EndpointPool } from "../endpoints.ts";
import type { Flight } from "../flight.ts";
import { limits } from "../limits.ts";
import { type Outcome, REJECTIONS, type RejectReason } from "../outcome.ts";
import type { InferenceRequest } from "../request.ts";
import type { SubsetHint } from "../subset.ts";
import type { Band } from "./band.ts";
import { BandTable } from "./band-table.ts";
import { displacedBy, isBandFull, isQueueFull } from "./capacity.ts";
import type { TokenUsage } from "./contracts.ts";
import { Deadlines } from "./deadlines.ts";
import { DispatchRate, rejectionAfter, retryAfterSeconds } from "./dispatch-rate.ts";
import { Eviction } from "./eviction.ts";
import type {
  FlowControl,
  FlowControllerOptions,
  FlowControlStats,
  FlowObserver,
  FlowOutcome,
  WaitRecord,
} from "./flow-control.ts";
import { statsOf, waitRecordOf } from "./flow-stats.ts";
import { FlowTable } from "./flow-table.ts";
import { PoolSaturation } from "./pool-saturation.ts";
import { queueTtlMs } from "./queue-ttl.ts";
import type { FlowControlSettings } from "./settings.ts";
import { type FlowSink, Ticket } from "./ticket.ts";

const NOTHING_USED: TokenUsage = { uncachedPromptTokens: 0, outputTokens: 0 };

export class FlowController implements FlowControl {
  /** True when the last call stopped before everything was done: call resume() soon. */
  hasMore = false;
  #settings: FlowControlSettings;
  readonly #clock: Clock;
  readonly #pool: EndpointPool;
  readonly #schedule: (request: InferenceRequest, subset: SubsetHint | null) => Outcome;
  readonly #uncachedPromptTokens: ((request: InferenceRequest) => number) | undefined;
  readonly #observer: FlowObserver | undefined;
  readonly #bands: BandTable;
  readonly #flows: FlowTable;
  readonly #deadlines: Deadlines;
  readonly #saturation: PoolSaturation;
  readonly #eviction: Eviction;
  readonly #rate = new DispatchRate();
  #ceilings = new Float64Array(8);
  /** What waits, and what runs. */
  #requests = 0;
  #bytes = 0;
  #running = 0;
  #sequence = 0;
  #dispatches = 0;
  /** Turns that were given without a look at what has aged. */
  #turnsSinceAged = 0;
  /** Rises when there may be room that was not there: a request that was tried in vain is tried again then. */
  #change = 0;
  /** True when the last slice ended at a ceiling that may move by time alone. */
  #isHeld = false;
  #isInSlice = false;
  /** A call that came within a slice has changed something behind it. */
  #isSliceStale = false;
  #isClosed = false;

  constructor(options: FlowControllerOptions) {
    const { clock, observer, pool, settings } = options;
    this.#settings = settings;
    this.#clock = clock;
    this.#pool = pool;
    this.#schedule = options.schedule;
    this.#uncachedPromptTokens = options.uncachedPromptTokens;
    this.#observer = observer;
    this.#flows = new FlowTable(settings.maxFlows, settings.flowIdleMs, options.seed ?? 0);
    this.#bands = new BandTable(settings, (band) => this.#flows.forgetBand(band));
    this.#deadlines = new Deadlines(pool.liveCount === 0);
    this.#saturation = new PoolSaturation(pool, settings.detector);
    this.#eviction = new Eviction(pool, observer);
  }

  get queued(): number {
    return this.#requests;
  }

  get wakeAtMs(): number {
    if (this.#requests === 0) return Number.POSITIVE_INFINITY;
    const expiresAtMs = this.#deadlines.nextAtMs;
    if (!this.#isHeld) return expiresAtMs;
    const { detector, eviction, usageLimits } = this.#settings;
    return Math.min(
      expiresAtMs,
      usageLimits.changesAtMs ?? Number.POSITIVE_INFINITY,
      detector.changesAtMs ?? Number.POSITIVE_INFINITY,
      eviction ? this.#eviction.nextAtMs : Number.POSITIVE_INFINITY,
    );
  }

  submit(request: InferenceRequest, subset: SubsetHint | null, sink: FlowSink): Ticket {
    const nowMs = this.#clock.nowMs();
    const uncached = this.#uncachedPromptTokens?.(request) ?? request.promptTokens;
    const ticket = new Ticket(request, subset, sink, nowMs, this.#sequence++, uncached);
    if (this.#isClosed) {
      this.#finish(ticket, REJECTIONS["shutting-down"], "RejectedOther", nowMs);
    } else {
      this.#observeRegime(nowMs);
      this.#admit(ticket, nowMs);
      this.#react(nowMs);
    }
    if (ticket.state === "queued") {
      ticket.saturationAtSubmit = this.#saturation.effective;
      ticket.ceilingAtSubmit = ticket.band!.ceiling;
    }
    ticket.isSubmitting = false;
    return ticket;
  }

  /** Puts a ticket into its queue, or refuses it. */
  #admit(ticket: Ticket, nowMs: number): void {
    const { request } = ticket;
    const band = this.#bands.of(request.priority);
    const flow = this.#flows.find(band, request.fairnessId, nowMs);
    ticket.band = band;
    ticket.flow = flow;
    const displaced = this.#makeRoom(ticket);
    if (displaced === null) {
      this.#flows.note(flow, nowMs);
      this.#refuse(ticket, nowMs);
      return;
    }
    for (const other of displaced) this.#abandon(other, nowMs);
    ticket.ttlMs = queueTtlMs(request, band.settings.requestTtlMs ?? this.#settings.requestTtlMs);
    ticket.noEndpointTtlMs = queueTtlMs(request, this.#settings.noEndpointTtlMs);
    ticket.key = band.key(ticket);
    this.#requests++;
    this.#bytes += request.bodyBytes;
    band.enqueue(ticket);
    this.#deadlines.add(ticket);
    this.#flows.note(flow, nowMs);
    for (const other of displaced) {
      this.#finish(other, this.#rejection("displaced", other, nowMs), "EvictedOther", nowMs);
    }
  }

  /** @returns who has to go first, null = there is no room */
  #makeRoom({ band, flow, request }: Ticket): readonly Ticket[] | null {
    const size = request.bodyBytes;
    if (isBandFull(band!, flow!, size)) return null;
    const totals = { requests: this.#requests, bytes: this.#bytes };
    if (!isQueueFull(this.#settings, totals, size)) return NOBODY;
    if (!this.#settings.displaceLowerPriority) return null;
    const displaced = displacedBy(band!, size, this.#settings, totals, this.#bands.sorted);
    return displaced.length > 0 ? displaced : null;
  }

  #refuse(ticket: Ticket, nowMs: number): void {
    const { isPoolEmpty } = this.#deadlines;
    const reason = isPoolEmpty ? "queue-full-no-endpoints" : "queue-full";
    const outcome = isPoolEmpty ? "RejectedNoEndpoints" : "RejectedCapacity";
    this.#finish(ticket, this.#rejection(reason, ticket, nowMs), outcome, nowMs);
  }

  cancel(ticket: Ticket): boolean {
    if (ticket.state !== "queued") return false;
    const nowMs = this.#clock.nowMs();
    const band = ticket.band!;
    const wasFirstInLine = ticket.overtakenBy >= 0;
    this.#abandon(ticket, nowMs);
    ticket.outcome = REJECTIONS.canceled;
    ticket.waitedMs = nowMs - ticket.enqueuedAtMs;
    this.#observer?.finished(ticket, "EvictedContextCancelled", ticket.waitedMs);
    // Whoever stood behind it may go now, and so may lower bands when nobody is left who was not tried.
    const leavesRoom = wasFirstInLine || band.requests === band.setAside.length;
    if (leavesRoom) this.#react(nowMs);
    return true;
  }

  firstToken(_ticket: Ticket): void {
    this.#change++;
    if (this.#requests > 0) this.#react(this.#clock.nowMs());
  }

  complete(ticket: Ticket, usage: TokenUsage | null): void {
    if (ticket.state !== "running") return;
    const nowMs = this.#clock.nowMs();
    const band = ticket.band!;
    const flow = ticket.flow!;
    ticket.state = "ended";
    this.#running--;
    band.running--;
    flow.running--;
    this.#eviction.tick(nowMs);
    this.#eviction.ended(ticket, nowMs, this.#settings.detector.readsScrapes);
    ticket.fairness!.settle(flow, ticket, ticket.charged, usage, nowMs);
    this.#flows.note(flow, nowMs);
    this.#bands.release(band);
    this.#change++;
    if (this.#requests > 0) this.#react(nowMs);
  }

  wake(): void {
    const nowMs = this.#clock.nowMs();
    this.#change++;
    this.#flows.collect(nowMs);
    this.#run(nowMs);
  }

  resume(): void {
    this.#run(this.#clock.nowMs());
  }

  setPriorities(priorities: Iterable<number>): void {
    this.#bands.setPriorities(priorities);
    this.wake();
  }

  reconfigure(settings: FlowControlSettings): void {
    this.#settings = settings;
    this.#saturation.detector = settings.detector;
    this.#flows.maxFlows = settings.maxFlows;
    this.#flows.idleMs = settings.flowIdleMs;
    this.#bands.reconfigure(settings);
    this.wake();
  }

  close(): void {
    this.#isClosed = true;
    const nowMs = this.#clock.nowMs();
    for (const band of this.#bands.sorted) {
      for (let ticket = band.oldest; ticket !== null; ticket = band.oldest) {
        this.#abandon(ticket, nowMs);
        this.#finish(ticket, REJECTIONS["shutting-down"], "EvictedOther", nowMs);
      }
    }
    this.hasMore = false;
  }

  stats(): FlowControlStats {
    const nowMs = this.#clock.nowMs();
    this.#flows.collect(nowMs);
    const { decode, effective, prefill } = this.#saturation;
    return {
      requests: this.#requests,
      bytes: this.#bytes,
      maxRequests: this.#settings.maxRequests,
      maxBytes: this.#settings.maxBytes,
      running: this.#running,
      dispatchRate: this.#rate.perSecond(nowMs),
      saturation: { prefill, decode, effective },
      revocationsOutstanding: this.#eviction.outstanding,
      reclaimTarget: this.#eviction.reclaimTarget,
      pendingReclaim: this.#eviction.pendingReclaim,
      bands: this.#bands.sorted.map((band) => statsOf(band, nowMs)),
    };
  }

  explain(ticket: Ticket): WaitRecord | null {
    return waitRecordOf(ticket, this.#saturation.effective, this.#clock.nowMs());
  }

  /** Takes down whether the pool is empty; a change starts the budgets of all anew. */
  #observeRegime(nowMs: number): void {
    const isPoolEmpty = this.#pool.liveCount === 0;
    if (isPoolEmpty === this.#deadlines.isPoolEmpty) return;
    this.#change++;
    this.#deadlines.changeRegime(isPoolEmpty, nowMs, this.#waiting());
  }

  *#waiting(): Generator<Ticket> {
    for (const band of this.#bands.sorted) {
      for (let ticket = band.oldest; ticket !== null; ticket = ticket.next) yield ticket;
    }
  }

  /** After an event: works now, unless resume() is due anyway. */
  #react(nowMs: number): void {
    if (this.#isInSlice || !this.hasMore) this.#run(nowMs);
  }

  /** Works until nothing more can be done now, or the slice is over. Calls from within a sink come back here. */
  #run(startMs: number): void {
    if (this.#isInSlice) {
      this.#isSliceStale = true;
      return;
    }
    this.#observeRegime(startMs);
    this.#isInSlice = true;
    this.#isHeld = false;
    this.hasMore = true; // stays so when a sink throws
    try {
      this.hasMore = this.#slice(startMs) && this.#requests > 0;
    } finally {
      this.#isInSlice = false;
    }
  }

  /** @returns whether it stopped because it had done enough */
  #slice(startMs: number): boolean {
    let nowMs = startMs;
    for (let steps = 1; this.#step(nowMs); steps++) {
      nowMs = this.#clock.nowMs();
      if (steps >= limits.flowSliceRequests || nowMs - startMs >= limits.flowSliceMs) return true;
    }
    return false;
  }

  /** Refuses or tries one request. @returns false when there is nothing to do now */
  #step(nowMs: number): boolean {
    this.#isSliceStale = false;
    const expired = this.#deadlines.expired(nowMs);
    if (expired !== null) {
      this.#expire(expired, nowMs);
      return true;
    }
    return this.#requests > 0 && (this.#dispatchOne(nowMs) || this.#isSliceStale);
  }

  #expire(ticket: Ticket, nowMs: number): void {
    const { isPoolEmpty } = this.#deadlines;
    const reason = isPoolEmpty ? "queue-expired-no-endpoints" : "queue-expired";
    const outcome = isPoolEmpty ? "EvictedNoEndpoints" : "EvictedTTL";
    this.#abandon(ticket, nowMs);
    this.#finish(ticket, this.#rejection(reason, ticket, nowMs), outcome, nowMs);
  }

  /** @returns whether a request was tried */
  #dispatchOne(nowMs: number): boolean {
    const saturation = this.#measure(nowMs);
    for (const band of this.#bands.sorted) {
      if (band.requests === 0) continue;
      if (this.#deadlines.isPoolEmpty || !(saturation < band.ceiling)) {
        this.#isHeld = true;
        if (this.#settings.eviction) this.#reclaim(band, saturation, nowMs);
        return false;
      }
      for (const ticket of band.setAside) {
        if (ticket.triedAtChange !== this.#change) {
          this.#place(ticket, nowMs);
          return true;
        }
        if (ticket.overtakenBy >= this.#settings.maxBypass) return false;
      }
      if (band.requests === band.setAside.length) continue; // all were tried in vain: a lower band may pass
      if (band.setAside.length >= limits.setAsidePerBandMax) return false;
      const aged = this.#takeAged(band, saturation, nowMs);
      this.#place(aged ?? band.take(nowMs), nowMs);
      return true;
    }
    return false;
  }

  /**
   * With aging: the oldest request of a band below `band` that has waited long enough, when it is the turn of one.
   *
   * @returns null = the band itself goes
   */
  #takeAged(band: Band, saturation: number, nowMs: number): Ticket | null {
    const { agingMs = 0, maxBypass } = this.#settings;
    if (agingMs <= 0 || ++this.#turnsSinceAged < limits.agedTurnEvery) return null;
    let oldest: Ticket | null = null;
    let above = 0; // bands with something queued
    for (const other of this.#bands.sorted) {
      if (other.priority > band.priority || other.requests === 0) continue;
      if (other.setAside.some(({ overtakenBy }) => overtakenBy >= maxBypass)) break;
      const ticket = above > 0 && saturation < other.ceiling ? other.oldestInFlow : null;
      const isAged = ticket !== null && nowMs - ticket.enqueuedAtMs >= above * agingMs;
      if (isAged && ticket.sequence < (oldest?.sequence ?? Number.POSITIVE_INFINITY)) {
        oldest = ticket;
      }
      above++;
    }
    if (oldest === null) return null;
    this.#turnsSinceAged = 0;
    oldest.band!.takeOne(oldest, nowMs);
    return oldest;
  }

  /** Measures the pool, and writes the ceilings into the bands. @returns saturation, >= 0 */
  #measure(nowMs: number): number {
    const saturation = this.#saturation.measure(nowMs);
    const { activeBandsOnly, usageLimits } = this.#settings;
    let bands = this.#bands.sorted;
    let { priorities } = this.#bands;
    if (activeBandsOnly) {
      bands = bands.filter(({ requests }) => requests > 0);
      priorities = bands.map(({ priority }) => priority);
    }
    const { length } = bands;
    if (this.#ceilings.length < length) this.#ceilings = new Float64Array(length * 2);
    this.#ceilings.fill(1, 0, length);
    usageLimits.limits(saturation, priorities, this.#ceilings, nowMs);
    for (let i = 0; i < length; i++) bands[i]!.ceiling = this.#ceilings[i]!;
    return saturation;
  }

  /** Has the scheduler pick for a request whose turn it is. No room keeps it first in line; anything else is final. */
  #place(ticket: Ticket, nowMs: number): void {
    const outcome = this.#schedule(ticket.request, ticket.subset);
    if (outcome.kind === "picked") {
      this.#overtake(ticket);
      this.#start(ticket, outcome);
      this.#leave(ticket, nowMs);
    } else if (outcome.reason === "filtered-by-load") {
      ticket.band!.setAsideAt(ticket, this.#change);
      return;
    } else this.#abandon(ticket, nowMs);
    this.#rate.add(nowMs);
    this.#finish(ticket, outcome, "Dispatched", nowMs);
  }

  /** Counts a dispatch for those who stand before it and could not go. */
  #overtake(ticket: Ticket): void {
    for (const band of this.#bands.sorted) {
      const isOwn = band === ticket.band;
      for (const other of band.setAside) {
        if (other === ticket) break;
        other.overtakenBy++;
      }
      if (isOwn) return;
    }
  }

  #start(ticket: Ticket, flight: Flight): void {
    this.#running++;
    ticket.band!.running++;
    ticket.flow!.running++;
    ticket.state = "running";
    ticket.flight = flight;
    ticket.dispatchNumber = this.#dispatches++;
    this.#eviction.track(ticket);
  }

  /** Removes a waiting request from every structure. */
  #leave(ticket: Ticket, nowMs: number): void {
    const band = ticket.band!;
    this.#requests--;
    this.#bytes -= ticket.request.bodyBytes;
    band.leave(ticket);
    this.#deadlines.remove(ticket);
    this.#flows.note(ticket.flow!, nowMs);
    this.#bands.release(band);
  }

  /** The same for one that is not served: what it was charged for its turn is given back. */
  #abandon(ticket: Ticket, nowMs: number): void {
    const { charged, fairness, flow } = ticket;
    ticket.state = "ended"; // at once: the sink of another may come back before this one is told
    this.#leave(ticket, nowMs);
    fairness?.settle(flow!, ticket, charged, NOTHING_USED, nowMs);
  }

  #finish(ticket: Ticket, outcome: Outcome, label: FlowOutcome, nowMs: number): void {
    ticket.outcome = outcome;
    if (outcome.kind === "rejected") ticket.state = "ended";
    ticket.waitedMs = nowMs - ticket.enqueuedAtMs;
    this.#observer?.finished(ticket, label, ticket.waitedMs);
    if (!ticket.isSubmitting) ticket.sink.onOutcome(outcome);
  }

  /** Says when to ask again, from what is queued in its band and above and how fast that goes. */
  #rejection(reason: RejectReason, ticket: Ticket, nowMs: number): Outcome {
    let ahead = 0;
    for (const { priority, requests } of this.#bands.sorted) {
      if (priority >= ticket.band!.priority) ahead += requests;
    }
    return rejectionAfter(reason, retryAfterSeconds(ahead, this.#rate.perSecond(nowMs)));
  }

  /** Asks running requests to end for the highest of the held bands, from `held` on, that outranks them. */
  #reclaim(held: Band, saturation: number, nowMs: number): void {
    this.#eviction.tick(nowMs);
    if (this.#deadlines.isPoolEmpty) return;
    const { victim } = this.#eviction;
    if (victim === null) return;
    for (const { ceiling, priority, requests } of this.#bands.sorted) {
      if (priority > held.priority) continue;
      if (priority <= victim.request.priority) return;
      if (requests === 0 || !(ceiling > 0) || saturation < ceiling) continue;
      for (const ticket of this.#eviction.revoke(
        priority,
        saturation,
        ceiling,
        this.#running,
        nowMs,
      )) {
        ticket.sink.onEvict();
      }
      return;
    }
  }
}

const NOBODY: readonly Ticket[] = [];
