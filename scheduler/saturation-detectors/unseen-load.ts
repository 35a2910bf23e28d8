/**
 * What a scrape can not have seen yet, per endpoint: own requests dispatched after it began, and own requests that have
 * ended since. With it a scraped queue is good for the whole time between two scrapes, whatever is dispatched meanwhile.
 *
 *   picks         p1        p2  p3        p4
 *                 │         │   │         │
 *   time  ────────┴──┬──────┴───┴─────────┴──────▶ now
 *                    └ start of the newest good scrape: it has seen p1, not p2 … p4 (nor p1, when p1 came within
 *                      the engine's intake time before it)
 *
 * A dispatched request counts until its first token (it runs, and waits no more) or its end. The end of a request that
 * the scrape has seen makes room for one that waits, until a scrape begins after it.
 * @module
 */
import type { Clock } from "../clock.ts";
import type { EndpointPool } from "../endpoints.ts";
import type { Charge, EndCause, Flight } from "../flight.ts";
import type { Producer } from "../plugin.ts";

/** From the pick until the engine counts the request: the gateway's and the network's time, and the engine's intake, ms. */
export const ENGINE_INTAKE_MS = 10;

/** Moments kept per endpoint and kind; what comes in beyond them counts as of the newest one. */
const MOMENTS_MAX = 256;
/** Events so near to each other are one moment. */
const MOMENT_MS = 1;

/** Events of one endpoint in the order of time, as a ring of moments with counts. */
export class RecentEvents {
  /** Events that are kept. */
  count = 0;
  readonly #times: number[] = [];
  readonly #counts: number[] = [];
  #head = 0;

  /** @param atMs not before any other event's */
  add(atMs: number): void {
    const last = this.#times.length - 1;
    this.count++;
    if (last >= this.#head) {
      const isFull = last - this.#head + 1 >= MOMENTS_MAX;
      if (isFull || atMs - this.#times[last]! < MOMENT_MS) {
        // As of the newest: an event is rather counted too long than too short.
        this.#times[last] = atMs;
        this.#counts[last] = this.#counts[last]! + 1;
        return;
      }
    }
    this.#times.push(atMs);
    this.#counts.push(1);
  }

  /** Forgets an event, if it is still kept. @param atMs as it was added */
  remove(atMs: number): void {
    let low = this.#head;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#times[middle]! < atMs) low = middle + 1;
      else high = middle;
    }
    if (low === this.#times.length || this.#counts[low] === 0) return;
    this.#counts[low] = this.#counts[low]! - 1;
    this.count--;
  }

  /** Forgets what came at `untilMs` or before. @returns events left */
  forget(untilMs: number): number {
    const times = this.#times;
    while (this.#head < times.length && times[this.#head]! <= untilMs) {
      this.count -= this.#counts[this.#head++]!;
    }
    if (this.#head === times.length) this.clear();
    else if (this.#head > MOMENTS_MAX) this.#compact();
    return this.count;
  }

  clear(): void {
    this.count = 0;
    this.#times.length = 0;
    this.#counts.length = 0;
    this.#head = 0;
  }

  #compact(): void {
    this.#times.splice(0, this.#head);
    this.#counts.splice(0, this.#head);
    this.#head = 0;
  }
}

/** Keeps book of both kinds of events for all endpoints. */
export class UnseenLoad implements Producer {
  readonly data = {};
  readonly #pool: EndpointPool;
  readonly #clock: Clock;
  readonly #dispatched: (RecentEvents | undefined)[] = [];
  readonly #ended: (RecentEvents | undefined)[] = [];

  constructor(pool: EndpointPool, clock: Clock) {
    this.#pool = pool;
    this.#clock = clock;
  }

  /** Requests to add to a scraped queue; below 0 when more have ended than were dispatched. */
  of(slot: number): number {
    const scrapedAtMs = this.#pool.columns.scrapedAtMs[slot]!;
    const dispatched = this.#dispatched[slot];
    const ended = this.#ended[slot];
    let requests = 0;
    if (dispatched !== undefined && dispatched.count > 0) {
      requests += dispatched.forget(scrapedAtMs - ENGINE_INTAKE_MS);
    }
    if (ended !== undefined && ended.count > 0) requests -= ended.forget(scrapedAtMs);
    return requests;
  }

  account({ charges, pickedAtMs }: Flight): void {
    for (let i = 0; i < charges.length; i++) {
      const { slot } = charges[i]!;
      let events = this.#dispatched[slot];
      if (events === undefined) {
        events = new RecentEvents();
        this.#dispatched[slot] = events;
      }
      events.add(pickedAtMs);
    }
  }

  firstToken({ charges, pickedAtMs }: Flight): void {
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i]!;
      if (this.#isCurrent(charge)) this.#dispatched[charge.slot]?.remove(pickedAtMs);
    }
  }

  complete({ charges, pickedAtMs }: Flight, _cause: EndCause, answered: boolean): void {
    const nowMs = this.#clock.nowMs();
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i]!;
      if (!this.#isCurrent(charge)) continue;
      const { slot } = charge;
      const isSeen = pickedAtMs <= this.#pool.columns.scrapedAtMs[slot]! - ENGINE_INTAKE_MS;
      if (!isSeen) {
        // It came and went between two scrapes; with its first token it has left the queue already.
        if (!answered) this.#dispatched[slot]?.remove(pickedAtMs);
        continue;
      }
      let events = this.#ended[slot];
      if (events === undefined) {
        events = new RecentEvents();
        this.#ended[slot] = events;
      }
      events.add(nowMs);
    }
  }

  endpointAdded(slot: number): void {
    this.#dispatched[slot]?.clear();
    this.#ended[slot]?.clear();
  }

  #isCurrent({ generation, slot }: Charge): boolean {
    return this.#pool.columns.generation[slot] === generation;
  }
}
