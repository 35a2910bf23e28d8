/**
 * The books of what is in flight: the own columns of the pool move only here, and at all times
 *
 *   inflight(e), inflightTokens(e) = Σ over open flights of what they are charged with on e
 *
 * A charge on an endpoint that is gone (the slot has another generation) counts nowhere and gives nothing back.
 * @module
 */
import type { EndpointPool } from "./endpoints.ts";
import type { Charge, Flight } from "./flight.ts";

/** Sums of tokens are floating-point; whole numbers, as producers charge them, stay exact far beyond any load. */
const TOKENS_TOLERANCE = 0.5;

export class FlightLedger {
  /** Flights booked since the start. */
  booked = 0;
  /** Charges and columns that were found wrong, and set right. */
  repairs = 0;
  readonly #pool: EndpointPool;
  readonly #open = new Set<Flight>();
  /** Sums of an audit, by slot. */
  #requests = new Int32Array(0);
  #tokens = new Float64Array(0);

  constructor(pool: EndpointPool) {
    this.#pool = pool;
  }

  /** Flights that were booked and not closed. */
  get openFlights(): number {
    return this.#open.size;
  }

  /** Adds a flight with all its charges. */
  book(flight: Flight): void {
    const { creditSinceScrape, inflight, inflightTokens } = this.#pool.columns;
    const { charges } = flight;
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i]!;
      const { requests, slot } = charge;
      if (!(charge.tokens >= 0 && charge.tokens < Number.POSITIVE_INFINITY)) {
        charge.tokens = 0; // a producer's fault must not spoil the sum for ever
        this.repairs++;
      }
      inflight[slot] = inflight[slot]! + requests;
      inflightTokens[slot] = inflightTokens[slot]! + charge.tokens;
      creditSinceScrape[slot] = creditSinceScrape[slot]! + requests;
    }
    this.#open.add(flight);
    this.booked++;
  }

  /** Gives back a part of a charge, which must have been lowered by that part already. */
  release(charge: Charge, requests: number, tokens: number): void {
    const { creditSinceScrape, generation, inflight, inflightTokens } = this.#pool.columns;
    const { slot } = charge;
    if (generation[slot] !== charge.generation) return;
    const requestsLeft = inflight[slot]! - requests;
    const tokensLeft = inflightTokens[slot]! - tokens;
    if (requestsLeft < 0 || tokensLeft < 0) this.repairs++;
    inflight[slot] = Math.max(0, requestsLeft);
    inflightTokens[slot] = Math.max(0, tokensLeft);
    creditSinceScrape[slot] = creditSinceScrape[slot]! - requests;
  }

  /** Gives back what a charge of an open flight still holds, and books the same on another endpoint. */
  move(charge: Charge, slot: number, generation: number): void {
    const { requests, tokens } = charge;
    this.release(charge, requests, tokens);
    charge.slot = slot;
    charge.generation = generation;
    const { creditSinceScrape, inflight, inflightTokens } = this.#pool.columns;
    inflight[slot] = inflight[slot]! + requests;
    inflightTokens[slot] = inflightTokens[slot]! + tokens;
    creditSinceScrape[slot] = creditSinceScrape[slot]! + requests;
  }

  /** Removes a flight, with what its charges still hold. */
  close(flight: Flight): void {
    if (!this.#open.delete(flight)) return;
    const { charges } = flight;
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i]!;
      const { requests, tokens } = charge;
      charge.requests = 0;
      charge.tokens = 0;
      this.release(charge, requests, tokens);
    }
  }

  /**
   * Recounts the columns from the open flights; what differs is repaired and counted. All flights rather than a share: one
   * walk costs about as much as a few picks per thousand flights.
   */
  audit(): void {
    const { columns, live, liveCount } = this.#pool;
    const { capacity, generation, inflight, inflightTokens } = columns;
    if (this.#requests.length < capacity) {
      this.#requests = new Int32Array(capacity);
      this.#tokens = new Float64Array(capacity);
    }
    const requests = this.#requests.fill(0);
    const tokens = this.#tokens.fill(0);
    for (const { charges } of this.#open) {
      for (let i = 0; i < charges.length; i++) {
        const charge = charges[i]!;
        const { slot } = charge;
        if (generation[slot] !== charge.generation) continue;
        requests[slot] = requests[slot]! + charge.requests;
        tokens[slot] = tokens[slot]! + charge.tokens;
      }
    }
    for (let i = 0; i < liveCount; i++) {
      const slot = live[i]!;
      const isRight =
        inflight[slot] === requests[slot] &&
        Math.abs(inflightTokens[slot]! - tokens[slot]!) < TOKENS_TOLERANCE;
      if (isRight) continue;
      this.repairs++;
      inflight[slot] = requests[slot]!;
      inflightTokens[slot] = tokens[slot]!;
    }
  }
}
