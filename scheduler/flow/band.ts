/**
 * A priority band: the flows of one priority, what is queued in them, and who of them goes next.
 * @module
 */
import type { BandFairness } from "./contracts.ts";
import type { Flow } from "./flow.ts";
import type { BandSettings } from "./settings.ts";
import type { Ticket } from "./ticket.ts";

export class Band {
  readonly priority: number;
  settings: BandSettings;
  fairness: BandFairness;
  /** Never removed: configured, or band 0. */
  isStatic: boolean;
  readonly flows = new Map<string, Flow>();
  /** Shared queues by bucket, for ids that found no flow of their own. */
  readonly overflow = new Map<number, Flow>();
  requests = 0;
  bytes = 0;
  running = 0;
  /** Ceiling of the saturation when it was last computed. */
  ceiling = 1;
  /** Requests whose turn has come and that found no room, in the order of their turns: first in line at the next change. */
  readonly setAside: Ticket[] = [];
  /** How often the fairness policy named nobody though it should have. */
  faults = 0;
  /** Newest waiting request; the others follow by `previous`. */
  #newest: Ticket | null = null;
  #oldest: Ticket | null = null;

  constructor(priority: number, settings: BandSettings, isStatic: boolean) {
    this.priority = priority;
    this.settings = settings;
    this.isStatic = isStatic;
    this.fairness = settings.fairness.band();
  }

  get isIdle(): boolean {
    return this.requests === 0 && this.running === 0;
  }

  get newest(): Ticket | null {
    return this.#newest;
  }

  /** Oldest waiting request; the others follow by `next`. */
  get oldest(): Ticket | null {
    return this.#oldest;
  }

  /** What the ordering policy says; no number goes last. */
  key(ticket: Ticket): number {
    const key = this.settings.ordering.key(ticket);
    return Number.isNaN(key) ? Number.POSITIVE_INFINITY : key;
  }

  /** Puts a request into its flow. */
  enqueue(ticket: Ticket): void {
    const flow = ticket.flow!;
    const size = ticket.request.bodyBytes;
    this.requests++;
    this.bytes += size;
    flow.requests++;
    flow.bytes += size;
    ticket.previous = this.#newest;
    if (this.#newest === null) this.#oldest = ticket;
    else this.#newest.next = ticket;
    this.#newest = ticket;
    flow.queue.add(ticket, ticket.key, ticket.sequence);
    if (flow.queue.size === 1) this.fairness.activate(flow);
    else if (flow.head === ticket) this.fairness.headChanged(flow);
  }

  /** Takes whoever goes next, and charges it; it goes on counting as waiting. There is one: not all are set aside. */
  take(nowMs: number): Ticket {
    const ticket = this.#nextFlow(nowMs).head!;
    this.takeOne(ticket, nowMs);
    return ticket;
  }

  /** Takes one that is not set aside, whoever's turn it is. */
  takeOne(ticket: Ticket, nowMs: number): void {
    const flow = ticket.flow!;
    ticket.fairness = this.fairness;
    ticket.charged = this.fairness.charge(flow, ticket, nowMs);
    this.#removeFromFlow(ticket);
  }

  /** The oldest that is not set aside, or null. */
  get oldestInFlow(): Ticket | null {
    let ticket = this.#oldest;
    while (ticket !== null && ticket.flowIndex < 0) ticket = ticket.next;
    return ticket;
  }

  /** Keeps a request that was taken, and found no room at this change of the pool, first in line. */
  setAsideAt(ticket: Ticket, change: number): void {
    ticket.triedAtChange = change;
    if (ticket.overtakenBy >= 0) return;
    ticket.overtakenBy = 0;
    this.setAside.push(ticket);
  }

  /** A fairness policy that names nobody is at fault: then the flow of the oldest request goes. */
  #nextFlow(nowMs: number): Flow {
    const named = this.fairness.next(nowMs) as Flow | null;
    if (named !== null && named.queue.size > 0) return named;
    this.faults++;
    return this.oldestInFlow!.flow!;
  }

  /** Removes a waiting request from everything in the band, wherever it stands. */
  leave(ticket: Ticket): void {
    const flow = ticket.flow!;
    const size = ticket.request.bodyBytes;
    this.requests--;
    this.bytes -= size;
    flow.requests--;
    flow.bytes -= size;
    this.#unlink(ticket);
    if (ticket.overtakenBy >= 0) {
      this.setAside.splice(this.setAside.indexOf(ticket), 1);
      ticket.overtakenBy = -1;
      return;
    }
    this.#removeFromFlow(ticket);
  }

  #removeFromFlow(ticket: Ticket): void {
    const flow = ticket.flow!;
    const wasHead = flow.head === ticket;
    if (!flow.queue.remove(ticket)) return;
    if (flow.queue.size === 0) this.fairness.deactivate(flow);
    else if (wasHead) this.fairness.headChanged(flow);
  }

  #unlink(ticket: Ticket): void {
    const { next, previous } = ticket;
    if (previous === null) this.#oldest = next;
    else previous.next = next;
    if (next === null) this.#newest = previous;
    else next.previous = previous;
    ticket.previous = null;
    ticket.next = null;
  }

  /** Other bounds; with other policies the queues are ordered anew, and what was charged is forgotten. */
  reconfigure(settings: BandSettings): void {
    const before = this.settings;
    this.settings = settings;
    if (before.ordering !== settings.ordering) this.#order();
    if (before.fairness !== settings.fairness || before.ordering !== settings.ordering) {
      this.#changeFairness();
    }
  }

  #order(): void {
    for (let ticket = this.#oldest; ticket !== null; ticket = ticket.next) {
      ticket.key = this.key(ticket);
      if (ticket.flowIndex < 0) continue;
      ticket.flow!.queue.update(ticket, ticket.key, ticket.sequence);
    }
  }

  #changeFairness(): void {
    this.fairness = this.settings.fairness.band();
    for (const flow of this.allFlows()) {
      flow.position = -1;
      if (flow.queue.size > 0) this.fairness.activate(flow);
    }
  }

  *allFlows(): Generator<Flow> {
    yield* this.flows.values();
    yield* this.overflow.values();
  }
}
