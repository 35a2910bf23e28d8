/**
 * Which running requests end for queued ones of a higher band, how many at once, and when the next may be asked.
 *
 *   running, priority < 0 ──revoke──▶ outstanding ──its end──▶ cooling ──a scrape that has seen it──▶ done
 *                                          └──10 s──▶ timed out
 *
 * One decision at a time: as long as anything is outstanding or cooling, what the last one frees is not known yet. Keys are
 * our own tickets; nothing that a client chooses is one.
 * @module
 */
import type { EndpointPool } from "../endpoints.ts";
import { limits } from "../limits.ts";
import type { FlowObserver } from "./flow-control.ts";
import { type HeapPlaces, IndexedHeap } from "./indexed-heap.ts";
import type { Ticket } from "./ticket.ts";

const places: HeapPlaces<Ticket> = {
  indexOf: (ticket) => ticket.victimIndex,
  setIndex: (ticket, index) => {
    ticket.victimIndex = index;
  },
};

/** An endpoint whose next scrape shows what an evicted request has freed. */
interface Cooling {
  readonly slot: number;
  readonly generation: number;
  readonly endedAtMs: number;
}

export class Eviction {
  /** Saturation that the last decision wanted to free. */
  reclaimTarget = 0;
  /** Saturation that one running request stood for at the last decision. */
  #credit = 0;
  readonly #pool: EndpointPool;
  readonly #observer: FlowObserver | undefined;
  /** Lowest priority first; of equals the one dispatched last, in which the least work is lost. */
  readonly #victims = new IndexedHeap(places);
  readonly #outstanding: Ticket[] = [];
  readonly #cooling: Cooling[] = [];

  constructor(pool: EndpointPool, observer: FlowObserver | undefined) {
    this.#pool = pool;
    this.#observer = observer;
  }

  /** The running request that would be ended first, or null. */
  get victim(): Ticket | null {
    return this.#victims.first;
  }

  get outstanding(): number {
    return this.#outstanding.length;
  }

  /** What of `reclaimTarget` is still to come. */
  get pendingReclaim(): number {
    return (this.#outstanding.length + this.#cooling.length) * this.#credit;
  }

  /** A request was dispatched. */
  track(ticket: Ticket): void {
    const { dispatchNumber, request } = ticket;
    if (request.priority < 0) this.#victims.add(ticket, request.priority, -dispatchNumber);
  }

  /** A running request has ended. */
  ended(ticket: Ticket, nowMs: number, readsScrapes: boolean): void {
    this.#victims.remove(ticket);
    const at = this.#outstanding.indexOf(ticket);
    if (at < 0) return;
    this.#outstanding.splice(at, 1);
    this.#observer?.revocationEnded("confirmed", nowMs - ticket.revokedAtMs);
    const charge = ticket.flight?.charges[0];
    if (!readsScrapes || charge === undefined) return;
    const { generation, slot } = charge;
    this.#cooling.push({ slot, generation, endedAtMs: nowMs });
  }

  /** Looks what has run out or come in. */
  tick(nowMs: number): void {
    for (let i = this.#outstanding.length - 1; i >= 0; i--) {
      const afterMs = nowMs - this.#outstanding[i]!.revokedAtMs;
      if (afterMs < limits.revocationTimeoutMs) continue;
      this.#outstanding.splice(i, 1);
      this.#observer?.revocationEnded("timed_out", afterMs);
    }
    for (let i = this.#cooling.length - 1; i >= 0; i--) {
      if (this.#isCool(this.#cooling[i]!, nowMs)) this.#cooling.splice(i, 1);
    }
  }

  #isCool({ endedAtMs, generation, slot }: Cooling, nowMs: number): boolean {
    if (nowMs - endedAtMs >= limits.revocationCoolingMaxMs) return true;
    const { columns } = this.#pool;
    return columns.generation[slot] !== generation || columns.scrapedAtMs[slot]! > endedAtMs;
  }

  /** When tick() has something to do by time alone, ms; Infinity = not. */
  get nextAtMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { revokedAtMs } of this.#outstanding) {
      next = Math.min(next, revokedAtMs + limits.revocationTimeoutMs);
    }
    for (const { endedAtMs } of this.#cooling) {
      next = Math.min(next, endedAtMs + limits.revocationCoolingMaxMs);
    }
    return next;
  }

  /**
   * Chooses who ends for a queued request of `priority`, none when a decision is still open. They are taken down as
   * outstanding; the caller tells them.
   *
   * @param saturation of the pool, at or above `ceiling`
   * @param running requests in flight, evictable or not
   * @returns at most limits.revocationsPerDecisionMax tickets
   */
  revoke(
    priority: number,
    saturation: number,
    ceiling: number,
    running: number,
    nowMs: number,
  ): readonly Ticket[] {
    if (this.#outstanding.length > 0 || this.#cooling.length > 0) return NOBODY;
    if ((this.victim?.request.priority ?? priority) >= priority) return NOBODY;
    this.#credit = saturation / running;
    this.reclaimTarget = saturation - ceiling;
    const wanted = victimsWanted(saturation, ceiling, running);
    const revoked: Ticket[] = [];
    while (revoked.length < wanted) {
      const { victim } = this;
      if (victim === null || victim.request.priority >= priority) break;
      this.#victims.remove(victim);
      victim.revokedAtMs = nowMs;
      this.#outstanding.push(victim);
      revoked.push(victim);
    }
    this.#observer?.revoked(priority, revoked.length);
    return revoked;
  }
}

const NOBODY: readonly Ticket[] = [];

/** A part of a request so small is an error of rounding, and nobody is ended for it. */
const ROUNDING = 1e-9;

/**
 * How many requests to end so that the saturation falls to the ceiling, when each stands for an equal part of it.
 *
 * Source: llm-d-router: pkg/epp/flowcontrol, in-flight reclamation.
 */
export function victimsWanted(saturation: number, ceiling: number, running: number): number {
  const wanted = Math.ceil((saturation - ceiling) / (saturation / running) - ROUNDING);
  return Math.min(Math.max(wanted || 1, 1), limits.revocationsPerDecisionMax);
}
