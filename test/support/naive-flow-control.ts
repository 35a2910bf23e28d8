/**
 * Flow control written down plainly: plain arrays, linear scans, no heaps, no slices, everything looked at after every event.
 * The reference of the flow-control model test. Only limits are taken from the product.
 * @module
 */
import { limits } from "../../scheduler/index.ts";
import {
  headOf,
  type NaiveFairness,
  type NaiveFlow,
  type NaiveItem,
  type NaiveUsage,
} from "./naive-fairness.ts";

export interface NaiveBandSettings {
  readonly maxBytes: number;
  readonly maxRequests: number;
  readonly maxRequestsPerFlow: number;
  readonly requestTtlMs: number | null;
  /** Compared by identity: another object means another policy. */
  readonly ordering: { key(item: NaiveTicket): number };
  readonly fairness: { band(): NaiveFairness };
}

export interface NaiveSettings {
  readonly maxBytes: number;
  readonly maxRequests: number;
  readonly requestTtlMs: number;
  readonly noEndpointTtlMs: number;
  readonly bands: readonly (NaiveBandSettings & { readonly priority: number })[];
  readonly defaultBand: NaiveBandSettings;
  readonly negativeBand: NaiveBandSettings;
  readonly ceiling: (saturation: number, rank: number, bands: number) => number;
  readonly maxFlows: number;
  readonly flowIdleMs: number;
  readonly maxBypass: number;
  readonly displaceLowerPriority: boolean;
  readonly activeBandsOnly: boolean;
  readonly agingMs: number;
  readonly eviction: boolean;
}

export interface NaiveBand {
  readonly priority: number;
  settings: NaiveBandSettings;
  fairness: NaiveFairness;
  isStatic: boolean;
  /** In the order in which they were made, those of one id before the shared ones. */
  flows: NaiveOwnFlow[];
}

export interface NaiveOwnFlow extends NaiveFlow {
  readonly isShared: boolean;
  idleSinceMs: number;
  /** Order of becoming idle. */
  idleOrder: number;
}

export interface NaiveTicket extends NaiveItem {
  readonly priority: number;
  readonly fairnessId: string;
  readonly bytes: number;
  readonly subset: readonly number[] | null;
  readonly ttlHeaderMs: number | null;
  /** Wanted time to first token, ms; null = not said. */
  readonly ttftMs: number | null;
  band: NaiveBand;
  flow: NaiveOwnFlow;
  state: "queued" | "aside" | "running" | "ended";
  ttlMs: number;
  noEndpointTtlMs: number;
  deadlineMs: number;
  asideOrder: number;
  overtaken: number;
  isTried: boolean;
  chargedBy: NaiveFairness | null;
  charged: number;
  dispatchOrder: number;
  endpoint: number;
  revokedAtMs: number;
}

/** What a client sends. */
export type NaiveRequest = Pick<
  NaiveTicket,
  | "sequence"
  | "priority"
  | "fairnessId"
  | "bytes"
  | "subset"
  | "promptTokens"
  | "maxOutputTokens"
  | "ttlHeaderMs"
  | "ttftMs"
>;

/** One endpoint of the world that both sides see. */
export interface NaiveEndpoint {
  readonly number: number;
  /** Requests that it takes; saturation is counted against it. */
  readonly capacity: number;
  readonly hardLimit: number;
  /** Moves when another endpoint gets the name. */
  readonly life: number;
  inflight: number;
  scrapedAtMs: number;
}

interface Cooling {
  readonly endpoint: number;
  readonly life: number;
  readonly atMs: number;
}

const isOver = (value: number, bound: number): boolean => bound > 0 && value > bound;

export class NaiveFlowControl {
  /** `label sequence[: detail]` of everything that has happened since it was last emptied. */
  log: string[] = [];
  endpoints: NaiveEndpoint[] = [];
  bands: NaiveBand[] = [];
  /** All that wait or run, by arrival. */
  tickets: NaiveTicket[] = [];
  settings: NaiveSettings;
  nowMs = 0;
  /** Largest number of requests that have overtaken one. */
  mostOvertaken = 0;
  #wanted: readonly number[] = [];
  #isEmptyPool = true;
  #regimeSinceMs = Number.NEGATIVE_INFINITY;
  #orders = 0;
  /** Turns since the last that an aged request had; and all of those. */
  #turns = 0;
  agedTurns = 0;
  #outstanding: NaiveTicket[] = [];
  #cooling: Cooling[] = [];
  readonly #readsScrapes: boolean;

  constructor(settings: NaiveSettings, readsScrapes: boolean) {
    this.settings = settings;
    this.#readsScrapes = readsScrapes;
    this.#applyBands();
  }

  waiting(): NaiveTicket[] {
    return this.tickets.filter(({ state }) => state === "queued" || state === "aside");
  }

  running(): NaiveTicket[] {
    return this.tickets.filter(({ state }) => state === "running");
  }

  // ---- events

  submit(facts: NaiveRequest, sharedAs: string | null): NaiveTicket {
    this.#observePool();
    const band = this.bandOf(facts.priority);
    const flow = this.#flowOf(band, facts.fairnessId, sharedAs);
    const ticket: NaiveTicket = {
      sequence: facts.sequence,
      priority: facts.priority,
      fairnessId: facts.fairnessId,
      bytes: facts.bytes,
      subset: facts.subset,
      promptTokens: facts.promptTokens,
      maxOutputTokens: facts.maxOutputTokens,
      ttlHeaderMs: facts.ttlHeaderMs,
      ttftMs: facts.ttftMs,
      band,
      flow,
      enqueuedAtMs: this.nowMs,
      key: 0,
      state: "queued",
      ttlMs: 0,
      noEndpointTtlMs: 0,
      deadlineMs: Number.POSITIVE_INFINITY,
      asideOrder: -1,
      overtaken: 0,
      isTried: false,
      chargedBy: null,
      charged: 0,
      dispatchOrder: -1,
      endpoint: -1,
      revokedAtMs: -1,
    };
    const displaced = this.#room(ticket);
    if (displaced === null) {
      this.#finish(ticket, this.#isEmptyPool ? "RejectedNoEndpoints" : "RejectedCapacity");
      this.#noteIdle();
      this.run();
      return ticket;
    }
    for (const other of displaced) this.#abandon(other);
    ticket.ttlMs = this.#ttl(ticket, band.settings.requestTtlMs ?? this.settings.requestTtlMs);
    ticket.noEndpointTtlMs = this.#ttl(ticket, this.settings.noEndpointTtlMs);
    ticket.key = band.settings.ordering.key(ticket);
    ticket.deadlineMs = this.#deadline(ticket);
    this.tickets.push(ticket);
    flow.items.push(ticket);
    if (flow.items.length === 1) band.fairness.activate(flow);
    this.#noteIdle();
    for (const other of displaced) this.#finish(other, "EvictedOther");
    this.run();
    return ticket;
  }

  cancel(ticket: NaiveTicket): void {
    this.#abandon(ticket);
    this.#finish(ticket, "EvictedContextCancelled");
    this.#applyBands();
    this.run();
  }

  firstToken(): void {
    this.#changed();
    this.run();
  }

  complete(ticket: NaiveTicket, usage: NaiveUsage | null): void {
    this.#tickEviction();
    ticket.state = "ended";
    this.tickets.splice(this.tickets.indexOf(ticket), 1);
    const at = this.#outstanding.indexOf(ticket);
    if (at >= 0) {
      this.#outstanding.splice(at, 1);
      this.log.push("confirmed");
      const { endpoint, life } = this.#place(ticket);
      if (this.#readsScrapes) this.#cooling.push({ endpoint, life, atMs: this.nowMs });
    }
    ticket.chargedBy!.settle(ticket.flow, ticket.charged, usage);
    this.#noteIdle();
    this.#applyBands();
    this.#changed();
    this.run();
  }

  wake(): void {
    this.#changed();
    this.#observePool();
    this.collect();
    this.run();
  }

  setPriorities(priorities: readonly number[]): void {
    this.#wanted = priorities;
    this.#applyBands();
    this.wake();
  }

  reconfigure(settings: NaiveSettings): void {
    this.settings = settings;
    this.#applyBands();
    this.wake();
  }

  close(): void {
    for (const band of [...this.bands].sort((a, b) => b.priority - a.priority)) {
      for (const ticket of this.waiting().filter((other) => other.band === band)) {
        this.#abandon(ticket);
        this.#finish(ticket, "EvictedOther");
      }
    }
  }

  /** When something is due by time alone. */
  wakeAtMs(): number {
    const waiting = this.waiting();
    if (waiting.length === 0) return Number.POSITIVE_INFINITY;
    return Math.min(...waiting.map(({ deadlineMs }) => deadlineMs));
  }

  // ---- bands and flows

  bandOf(priority: number): NaiveBand {
    return (
      this.bands.find((band) => band.priority === priority) ??
      this.bands.find((band) => band.priority === 0)!
    );
  }

  #isBandIdle(band: NaiveBand): boolean {
    return this.tickets.every((ticket) => ticket.band !== band);
  }

  #applyBands(): void {
    const { bands, defaultBand, negativeBand } = this.settings;
    const configured = new Map<number, NaiveBandSettings>(bands.map((b) => [b.priority, b]));
    if (!configured.has(0)) configured.set(0, defaultBand);
    this.bands = this.bands.filter((band) => {
      band.isStatic = configured.has(band.priority);
      if (band.isStatic || this.#wanted.includes(band.priority) || !this.#isBandIdle(band))
        return true;
      for (const flow of band.flows) band.fairness.forget(flow);
      return false;
    });
    for (const priority of new Set([...configured.keys(), ...this.#wanted])) {
      const settings = configured.get(priority) ?? (priority < 0 ? negativeBand : defaultBand);
      if (this.bands.some((band) => band.priority === priority)) continue;
      this.bands.push({
        priority,
        settings,
        fairness: settings.fairness.band(),
        isStatic: configured.has(priority),
        flows: [],
      });
    }
    for (const band of this.bands) {
      const settings =
        configured.get(band.priority) ?? (band.priority < 0 ? negativeBand : defaultBand);
      this.#reconfigureBand(band, settings);
    }
    this.bands.sort((a, b) => b.priority - a.priority);
  }

  #reconfigureBand(band: NaiveBand, settings: NaiveBandSettings): void {
    const before = band.settings;
    band.settings = settings;
    if (before.ordering !== settings.ordering) {
      for (const ticket of this.waiting()) {
        if (ticket.band === band) ticket.key = settings.ordering.key(ticket);
      }
    }
    if (before.ordering === settings.ordering && before.fairness === settings.fairness) return;
    band.fairness = settings.fairness.band();
    for (const flow of band.flows) if (flow.items.length > 0) band.fairness.activate(flow);
  }

  #allFlows(): { band: NaiveBand; flow: NaiveOwnFlow }[] {
    const all: { band: NaiveBand; flow: NaiveOwnFlow }[] = [];
    for (const band of this.bands) for (const flow of band.flows) all.push({ band, flow });
    return all;
  }

  #flowOf(band: NaiveBand, id: string, sharedAs: string | null): NaiveOwnFlow {
    const known = band.flows.find((flow) => !flow.isShared && flow.id === id);
    if (known !== undefined) return known;
    this.collect();
    const own = this.#allFlows().filter(({ flow }) => !flow.isShared);
    if (own.length >= this.settings.maxFlows) {
      const idle = own.filter(({ flow }) => flow.idleSinceMs >= 0);
      if (idle.length === 0) return this.#sharedFlow(band, sharedAs);
      const oldest = idle.reduce((a, b) => (b.flow.idleOrder < a.flow.idleOrder ? b : a));
      this.#forget(oldest.band, oldest.flow);
    }
    const flow: NaiveOwnFlow = { id, items: [], isShared: false, idleSinceMs: -1, idleOrder: -1 };
    const at = band.flows.findIndex(({ isShared }) => isShared);
    band.flows.splice(at < 0 ? band.flows.length : at, 0, flow);
    return flow;
  }

  #sharedFlow(band: NaiveBand, sharedAs: string | null): NaiveOwnFlow {
    if (sharedAs === null)
      throw new Error("a shared queue is due, and the product has made a flow");
    const known = band.flows.find((flow) => flow.isShared && flow.id === sharedAs);
    if (known !== undefined) return known;
    const flow = { id: sharedAs, items: [], isShared: true, idleSinceMs: -1, idleOrder: -1 };
    band.flows.push(flow);
    return flow;
  }

  #noteIdle(): void {
    const busy = new Set<NaiveFlow>();
    for (const { flow } of this.tickets) busy.add(flow);
    for (const { flow } of this.#allFlows()) {
      const isIdle = !busy.has(flow);
      if (isIdle === flow.idleSinceMs >= 0) continue;
      flow.idleSinceMs = isIdle ? this.nowMs : -1;
      flow.idleOrder = this.#orders++;
    }
  }

  /** Forgets flows that have been idle long enough; the product does so at the same moments. */
  collect(): void {
    for (const { band, flow } of this.#allFlows()) {
      if (flow.idleSinceMs >= 0 && this.nowMs - flow.idleSinceMs >= this.settings.flowIdleMs) {
        this.#forget(band, flow);
      }
    }
  }

  #forget(band: NaiveBand, flow: NaiveOwnFlow): void {
    band.flows.splice(band.flows.indexOf(flow), 1);
    band.fairness.forget(flow);
  }

  // ---- bounds and deadlines

  #room(ticket: NaiveTicket): NaiveTicket[] | null {
    const { maxBytes, maxRequests } = this.settings;
    const { band, bytes, flow } = ticket;
    const count = (of: NaiveTicket[]) => of.length;
    const size = (of: NaiveTicket[]) => of.reduce((sum, other) => sum + other.bytes, 0);
    const all = this.waiting();
    const inBand = all.filter((other) => other.band === band);
    const inFlow = all.filter((other) => other.flow === flow);
    if (isOver(size(inBand) + bytes, band.settings.maxBytes)) return null;
    if (isOver(count(inBand) + 1, band.settings.maxRequests)) return null;
    if (isOver(count(inFlow) + 1, band.settings.maxRequestsPerFlow)) return null;
    const fits = (of: NaiveTicket[]) =>
      !isOver(size(of) + bytes, maxBytes) && !isOver(count(of) + 1, maxRequests);
    if (fits(all)) return [];
    if (!this.settings.displaceLowerPriority) return null;
    const lower = all
      .filter((other) => other.band.priority < band.priority)
      .sort((a, b) => a.band.priority - b.band.priority || b.sequence - a.sequence);
    for (let n = 1; n <= lower.length; n++) {
      const displaced = lower.slice(0, n);
      if (fits(all.filter((other) => !displaced.includes(other)))) return displaced;
    }
    return null;
  }

  #ttl({ ttlHeaderMs }: NaiveTicket, configured: number): number {
    if (ttlHeaderMs === null) return configured;
    return configured > 0 ? Math.min(configured, ttlHeaderMs) : ttlHeaderMs;
  }

  #deadline(ticket: NaiveTicket): number {
    const budget = this.#isEmptyPool ? ticket.noEndpointTtlMs : ticket.ttlMs;
    if (budget === 0) return Number.POSITIVE_INFINITY;
    return Math.max(ticket.enqueuedAtMs, this.#regimeSinceMs) + budget;
  }

  #observePool(): void {
    const isEmpty = this.endpoints.length === 0;
    if (isEmpty === this.#isEmptyPool) return;
    this.#isEmptyPool = isEmpty;
    this.#regimeSinceMs = this.nowMs;
    for (const ticket of this.waiting()) ticket.deadlineMs = this.#deadline(ticket);
    this.#changed();
  }

  #changed(): void {
    for (const ticket of this.tickets) ticket.isTried = false;
  }

  // ---- dispatch

  saturation(): number {
    if (this.endpoints.length === 0) return 1;
    let sum = 0;
    for (const { capacity, inflight } of this.endpoints) sum += inflight / capacity;
    return sum / this.endpoints.length;
  }

  run(): void {
    while (this.#step()) {
      /* until nothing can be done */
    }
  }

  #step(): boolean {
    const waiting = this.waiting();
    if (waiting.length === 0) return false;
    const expired = waiting
      .filter(({ deadlineMs }) => deadlineMs <= this.nowMs)
      .sort((a, b) => a.deadlineMs - b.deadlineMs || a.sequence - b.sequence)[0];
    if (expired !== undefined) {
      this.#abandon(expired);
      this.#finish(expired, this.#isEmptyPool ? "EvictedNoEndpoints" : "EvictedTTL");
      this.#applyBands();
      return true;
    }
    const saturation = this.saturation();
    const ranked = this.settings.activeBandsOnly
      ? this.bands.filter((band) => waiting.some((ticket) => ticket.band === band))
      : this.bands;
    for (const band of this.bands) {
      const mine = waiting.filter((ticket) => ticket.band === band);
      if (mine.length === 0) continue;
      const ceiling = this.settings.ceiling(saturation, ranked.indexOf(band), ranked.length);
      if (this.#isEmptyPool || saturation >= ceiling) {
        this.#reclaim(band, saturation, ranked);
        return false;
      }
      const aside = mine.filter(({ state }) => state === "aside");
      aside.sort((a, b) => a.asideOrder - b.asideOrder);
      for (const ticket of aside) {
        if (!ticket.isTried) {
          this.#try(ticket);
          return true;
        }
        if (ticket.overtaken >= this.settings.maxBypass) return false;
      }
      if (aside.length === mine.length) continue;
      if (aside.length >= limits.setAsidePerBandMax) return false;
      this.#try(this.#takeAged(waiting, band, saturation, ranked) ?? this.#take(band));
      return true;
    }
    return false;
  }

  #takeAged(
    waiting: readonly NaiveTicket[],
    band: NaiveBand,
    saturation: number,
    ranked: readonly NaiveBand[],
  ): NaiveTicket | null {
    const { agingMs, ceiling } = this.settings;
    if (agingMs === 0) return null;
    this.#turns++;
    if (this.#turns < limits.agedTurnEvery) return null;
    const queuedIn = this.bands.filter((other) => waiting.some((ticket) => ticket.band === other));
    const waitedFor = waiting.filter(
      ({ overtaken, state }) => state === "aside" && overtaken >= this.settings.maxBypass,
    );
    const aged = waiting.filter((ticket) => {
      if (waitedFor.some((other) => other.band.priority >= ticket.band.priority)) return false;
      const distance = queuedIn.indexOf(ticket.band) - queuedIn.indexOf(band);
      return (
        ticket.state === "queued" &&
        distance > 0 &&
        this.nowMs - ticket.enqueuedAtMs >= distance * agingMs &&
        saturation < ceiling(saturation, ranked.indexOf(ticket.band), ranked.length)
      );
    });
    if (aged.length === 0) return null;
    this.#turns = 0;
    const ticket = aged.reduce((a, b) => (b.sequence < a.sequence ? b : a));
    this.agedTurns++;
    this.#charge(ticket);
    return ticket;
  }

  #take(band: NaiveBand): NaiveTicket {
    const ticket = headOf(band.fairness.next()) as NaiveTicket;
    this.#charge(ticket);
    return ticket;
  }

  #charge(ticket: NaiveTicket): void {
    const { fairness } = ticket.band;
    ticket.chargedBy = fairness;
    ticket.charged = fairness.charge(ticket.flow, ticket);
    this.#outOfFlow(ticket);
  }

  #outOfFlow({ band, flow, sequence }: NaiveTicket): void {
    const at = flow.items.findIndex((item) => item.sequence === sequence);
    if (at < 0) return;
    flow.items.splice(at, 1);
    if (flow.items.length === 0) band.fairness.deactivate(flow);
  }

  /** The endpoint that the world's scheduler picks: of those allowed and with room the least loaded, then the first. */
  static pick(
    endpoints: readonly NaiveEndpoint[],
    subset: readonly number[] | null,
  ): NaiveEndpoint | "nobody" | "no room" {
    const allowed = endpoints.filter(({ number }) => subset === null || subset.includes(number));
    if (allowed.length === 0) return "nobody";
    const free = allowed.filter(({ hardLimit, inflight }) => inflight < hardLimit);
    if (free.length === 0) return "no room";
    return free.reduce((a, b) => (b.inflight < a.inflight ? b : a));
  }

  #try(ticket: NaiveTicket): void {
    const picked = NaiveFlowControl.pick(this.endpoints, ticket.subset);
    if (picked === "no room") {
      ticket.isTried = true;
      if (ticket.state === "queued") ticket.asideOrder = this.#orders++;
      ticket.state = "aside";
      return;
    }
    if (picked === "nobody") {
      this.#abandon(ticket);
      this.#finish(ticket, "Dispatched", "no-candidates");
      this.#applyBands();
      return;
    }
    for (const other of this.waiting()) {
      if (other === ticket || other.state !== "aside") continue;
      const isHigher = other.band.priority > ticket.band.priority;
      const isBefore =
        other.band === ticket.band &&
        (ticket.state === "queued" || other.asideOrder < ticket.asideOrder);
      if (isHigher || isBefore) {
        other.overtaken++;
        this.mostOvertaken = Math.max(this.mostOvertaken, other.overtaken);
      }
    }
    picked.inflight++;
    ticket.state = "running";
    ticket.endpoint = picked.number;
    ticket.dispatchOrder = this.#orders++;
    this.#lives.set(ticket, picked.life);
    this.log.push(`Dispatched ${ticket.sequence}: ${picked.number}`);
  }

  readonly #lives = new WeakMap<NaiveTicket, number>();

  #place(ticket: NaiveTicket): { endpoint: number; life: number } {
    return { endpoint: ticket.endpoint, life: this.#lives.get(ticket)! };
  }

  #abandon(ticket: NaiveTicket): void {
    this.#outOfFlow(ticket);
    this.tickets.splice(this.tickets.indexOf(ticket), 1);
    ticket.state = "ended";
    this.#noteIdle();
    ticket.chargedBy?.settle(ticket.flow, ticket.charged, { prompt: 0, output: 0 });
    this.#applyBands();
  }

  #finish(ticket: NaiveTicket, label: string, detail = ""): void {
    ticket.state = "ended";
    this.log.push(`${label} ${ticket.sequence}${detail === "" ? "" : `: ${detail}`}`);
  }

  // ---- eviction

  #tickEviction(): void {
    for (const ticket of [...this.#outstanding].reverse()) {
      if (this.nowMs - ticket.revokedAtMs < limits.revocationTimeoutMs) continue;
      this.#outstanding.splice(this.#outstanding.indexOf(ticket), 1);
      this.log.push("timed_out");
    }
    this.#cooling = this.#cooling.filter(({ atMs, endpoint, life }) => {
      if (this.nowMs - atMs >= limits.revocationCoolingMaxMs) return false;
      const there = this.endpoints.find(({ number }) => number === endpoint);
      return there !== undefined && there.life === life && there.scrapedAtMs <= atMs;
    });
  }

  #reclaim(held: NaiveBand, saturation: number, ranked: readonly NaiveBand[]): void {
    if (!this.settings.eviction) return;
    this.#tickEviction();
    if (this.#isEmptyPool) return;
    const evictable = this.running()
      .filter(({ priority, revokedAtMs }) => priority < 0 && revokedAtMs < 0)
      .sort((a, b) => a.priority - b.priority || b.dispatchOrder - a.dispatchOrder);
    for (const band of this.bands) {
      if (band.priority > held.priority) continue;
      const first = evictable[0];
      if (first === undefined || band.priority <= first.priority) return;
      if (!this.waiting().some((ticket) => ticket.band === band)) continue;
      const ceiling = this.settings.ceiling(saturation, ranked.indexOf(band), ranked.length);
      if (ceiling <= 0 || saturation < ceiling) continue;
      if (this.#outstanding.length > 0 || this.#cooling.length > 0) return;
      const each = saturation / this.running().length;
      const wanted = Math.min(Math.max(1, Math.ceil((saturation - ceiling) / each - 1e-9)), 2);
      const victims = evictable.filter(({ priority }) => priority < band.priority).slice(0, wanted);
      this.log.push(`revoked ${band.priority} ${victims.length}`);
      for (const victim of victims) {
        victim.revokedAtMs = this.nowMs;
        this.#outstanding.push(victim);
        this.log.push(`evict ${victim.sequence}`);
      }
      return;
    }
  }
}
