/**
 * When each waiting request expires. There are two budgets, one for a pool with endpoints and one for an empty pool, and each
 * change between the two starts a fresh one: whoever has waited for a pool to scale up is not refused as it comes.
 *
 *   deadline = max(enqueued, last change) + budget in force          no budget = never, and not in the heap
 *
 * Source: llm-d-router: pkg/epp/flowcontrol, expiry sweep; here each expires at its millisecond.
 * @module
 */
import { type HeapPlaces, IndexedHeap } from "./indexed-heap.ts";
import type { Ticket } from "./ticket.ts";

const places: HeapPlaces<Ticket> = {
  indexOf: (ticket) => ticket.deadlineIndex,
  setIndex: (ticket, index) => {
    ticket.deadlineIndex = index;
  },
};

export class Deadlines {
  /** The regime: true while the pool has no endpoint. */
  isPoolEmpty: boolean;
  #changedAtMs = Number.NEGATIVE_INFINITY;
  readonly #heap = new IndexedHeap(places);

  constructor(isPoolEmpty: boolean) {
    this.isPoolEmpty = isPoolEmpty;
  }

  /** When the first one expires, ms; Infinity = never. */
  get nextAtMs(): number {
    return this.#heap.first?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** The one that has expired first, or null. */
  expired(nowMs: number): Ticket | null {
    const { first } = this.#heap;
    return first !== null && first.deadlineMs <= nowMs ? first : null;
  }

  add(ticket: Ticket): void {
    ticket.deadlineMs = this.#deadline(ticket);
    if (ticket.deadlineMs === Number.POSITIVE_INFINITY) return;
    this.#heap.add(ticket, ticket.deadlineMs, ticket.sequence);
  }

  remove(ticket: Ticket): void {
    this.#heap.remove(ticket);
  }

  /** Starts a fresh budget for all of `waiting`: O(n) when the budgets are equal, O(n log n) at worst. */
  changeRegime(isPoolEmpty: boolean, nowMs: number, waiting: Iterable<Ticket>): void {
    this.isPoolEmpty = isPoolEmpty;
    this.#changedAtMs = nowMs;
    this.#heap.clear();
    for (const ticket of waiting) this.add(ticket);
  }

  #deadline({ enqueuedAtMs, noEndpointTtlMs, ttlMs }: Ticket): number {
    const budget = this.isPoolEmpty ? noEndpointTtlMs : ttlMs;
    if (budget <= 0) return Number.POSITIVE_INFINITY;
    return Math.max(enqueuedAtMs, this.#changedAtMs) + budget;
  }
}
