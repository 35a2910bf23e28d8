/**
 * The scheduler: owner of all scheduling state, called synchronously. One call takes a request from candidates to a
 * charged flight; the next call sees its effect.
 *
 *   candidates (pool ∩ subset) → producers → profiles (filters → scorers → picker) → charge → flight
 *                                                                          complete → give back
 * @module
 */
import { Candidates } from "./candidates.ts";
import type { Clock } from "./clock.ts";
import type { DecisionRecorder } from "./decision.ts";
import type { EndpointPool, PoolObserver } from "./endpoints.ts";
import { type Charge, type EndCause, Flight } from "./flight.ts";
import { limits } from "./limits.ts";
import { type Outcome, REJECTIONS, type RejectReason } from "./outcome.ts";
import type { HashPlan, Producer, ProfileHandler } from "./plugin.ts";
import type { Profile, ProfileCounters } from "./profile.ts";
import type { InferenceRequest } from "./request.ts";
import { applySubset, type SubsetHint } from "./subset.ts";

export interface NamedProducer {
  readonly name: string;
  readonly type: string;
  readonly producer: Producer;
}

export interface SchedulerParts {
  readonly pool: EndpointPool;
  readonly clock: Clock;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly handler: ProfileHandler;
  readonly producers: readonly NamedProducer[];
  readonly recorder: DecisionRecorder | null;
  readonly counters: ProfileCounters;
}

/** Numbers of one producer, for people. */
export interface ProducerState {
  readonly name: string;
  readonly type: string;
  readonly state: Readonly<Record<string, number>>;
}

/** Numbers for metrics. */
export interface SchedulerStats {
  readonly openFlights: number;
  readonly flightsTotal: number;
  /** In-flight columns found wrong by the recount, and repaired. */
  readonly accountingRepairs: number;
  readonly nanScores: number;
}

const NO_HEADERS: readonly string[] = [];

export class Scheduler implements PoolObserver {
  readonly hashPlans: readonly HashPlan[];
  recorder: DecisionRecorder | null;
  readonly #pool: EndpointPool;
  readonly #clock: Clock;
  readonly #profiles: ReadonlyMap<string, Profile>;
  readonly #handler: ProfileHandler;
  readonly #producers: readonly NamedProducer[];
  readonly #produce: readonly Producer[];
  readonly #account: readonly Producer[];
  readonly #counters: ProfileCounters;
  readonly #candidates: Candidates;
  readonly #open = new Set<Flight>();
  readonly #ran: string[] = [];
  readonly #succeeded: string[] = [];
  #primary: Profile | null = null;
  #flightsTotal = 0;
  #repairs = 0;
  #fallbackTurn = 0;

  constructor(parts: SchedulerParts) {
    this.#pool = parts.pool;
    this.#clock = parts.clock;
    this.#profiles = parts.profiles;
    this.#handler = parts.handler;
    this.#producers = parts.producers;
    this.recorder = parts.recorder;
    this.#counters = parts.counters;
    this.#candidates = new Candidates(parts.pool);
    const producers = parts.producers.map(({ producer }) => producer);
    this.#produce = producers.filter((producer) => producer.produce !== undefined);
    this.#account = producers.filter((producer) => producer.account !== undefined);
    const plans: HashPlan[] = [];
    for (const producer of producers) {
      if (producer.hashPlan === undefined) continue;
      producer.setPlanIndex?.(plans.length);
      plans.push(producer.hashPlan);
    }
    this.hashPlans = plans;
    parts.pool.observe(this);
  }

  get openFlights(): number {
    return this.#open.size;
  }

  /**
   * Picks an endpoint and charges it.
   *
   * @param subset the gateway's hint; null = whole pool
   * @returns a flight to complete() later, or a rejection
   */
  schedule(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    const { recorder } = this;
    const nowMs = this.#clock.nowMs();
    recorder?.begin(request, nowMs);
    const outcome = this.#schedule(request, subset, nowMs);
    recorder?.end(outcome);
    return outcome;
  }

  #schedule(request: InferenceRequest, subset: SubsetHint | null, nowMs: number): Outcome {
    const candidates = this.#candidates;
    candidates.reset(nowMs);
    if (subset !== null) applySubset(subset, candidates);
    if (candidates.count === 0) return REJECTIONS["no-candidates"];
    for (const producer of this.#produce) producer.produce!(request, candidates);
    const ran = this.#ran;
    const succeeded = this.#succeeded;
    ran.length = 0;
    succeeded.length = 0;
    let reason: RejectReason = "no-profile";
    while (ran.length < limits.profilesPerRequestMax) {
      const name = this.#handler.next(request, ran);
      if (name === null) break;
      const profile = this.#profiles.get(name);
      ran.push(name);
      if (profile === undefined) continue;
      const problem = profile.run(request, candidates, this.recorder);
      if (problem === null) succeeded.push(name);
      else reason = problem;
    }
    const primary = this.#handler.primary(succeeded);
    if (primary === null) return REJECTIONS[reason];
    return this.#dispatch(request, primary, nowMs);
  }

  #dispatch(request: InferenceRequest, primaryName: string, nowMs: number): Flight {
    const primary = this.#profiles.get(primaryName)!;
    this.#primary = primary;
    const charges: Charge[] = [this.#charge(primary)];
    for (const name of this.#succeeded) {
      if (name !== primaryName) charges.push(this.#charge(this.#profiles.get(name)!));
    }
    const flight = new Flight(request, this.#destination(primary), charges, NO_HEADERS, nowMs);
    for (const producer of this.#account) producer.account!(flight);
    this.#book(flight);
    return flight;
  }

  #charge(profile: Profile): Charge {
    const slot = profile.candidates.slots[profile.pick.indexes[0]!]!;
    return {
      slot,
      generation: this.#pool.columns.generation[slot]!,
      profile: profile.name,
      tokens: 0,
      requests: 1,
    };
  }

  #destination(profile: Profile): string {
    const { candidates, pick } = profile;
    const first = this.#pool.hostPort(candidates.slots[pick.indexes[0]!]!);
    if (pick.count === 1) return first;
    const all = [first];
    for (let i = 1; i < pick.count; i++) {
      all.push(this.#pool.hostPort(candidates.slots[pick.indexes[i]!]!));
    }
    return all.join(",");
  }

  #book(flight: Flight): void {
    const { columns } = this.#pool;
    for (const { slot, tokens } of flight.charges) {
      columns.inflight[slot] = columns.inflight[slot]! + 1;
      columns.inflightTokens[slot] = columns.inflightTokens[slot]! + tokens;
      columns.creditSinceScrape[slot] = columns.creditSinceScrape[slot]! + 1;
    }
    this.#open.add(flight);
    this.#flightsTotal++;
  }

  /**
   * A plain pick when schedule() failed by a fault: candidates in turn, charged with the request alone.
   */
  scheduleFallback(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    const candidates = this.#candidates;
    const nowMs = this.#clock.nowMs();
    candidates.reset(nowMs);
    if (subset !== null) applySubset(subset, candidates);
    if (candidates.count === 0) return REJECTIONS["no-candidates"];
    const slot = candidates.slots[this.#fallbackTurn++ % candidates.count]!;
    const charge: Charge = {
      slot,
      generation: this.#pool.columns.generation[slot]!,
      profile: "",
      tokens: 0,
      requests: 1,
    };
    const flight = new Flight(request, this.#pool.hostPort(slot), [charge], NO_HEADERS, nowMs);
    this.#book(flight);
    return flight;
  }

  /** First byte of the response; a second call, or one after complete(), does nothing. */
  firstToken(flight: Flight): void {
    if (flight.state !== "open") return;
    flight.state = "streaming";
    const before = tokensOf(flight);
    for (const { producer } of this.#producers) producer.firstToken?.(flight);
    this.#giveBackTokens(flight, before);
  }

  /** End of the exchange; a second call does nothing. */
  complete(flight: Flight, cause: EndCause): void {
    if (flight.state === "closed") return;
    const answered = flight.state === "streaming";
    flight.state = "closed";
    this.#open.delete(flight);
    for (const { producer } of this.#producers) producer.complete?.(flight, cause, answered);
    const { columns } = this.#pool;
    for (const charge of flight.charges) {
      if (columns.generation[charge.slot] === charge.generation) {
        columns.creditSinceScrape[charge.slot] = columns.creditSinceScrape[charge.slot]! - 1;
        columns.inflight[charge.slot] = Math.max(
          0,
          columns.inflight[charge.slot]! - charge.requests,
        );
        columns.inflightTokens[charge.slot] = Math.max(
          0,
          columns.inflightTokens[charge.slot]! - charge.tokens,
        );
      }
      charge.requests = 0;
      charge.tokens = 0;
    }
  }

  #giveBackTokens(flight: Flight, before: readonly number[]): void {
    const { columns } = this.#pool;
    flight.charges.forEach((charge, i) => {
      const released = before[i]! - charge.tokens;
      if (released <= 0 || columns.generation[charge.slot] !== charge.generation) return;
      columns.inflightTokens[charge.slot] = Math.max(
        0,
        columns.inflightTokens[charge.slot]! - released,
      );
    });
  }

  /** Fills `out` with the totals of the last pick's primary profile, by `ip:port`. */
  lastScores(out: Record<string, number>): void {
    const primary = this.#primary;
    if (primary === null) return;
    const { candidates, totals } = primary;
    for (let i = 0; i < candidates.count; i++) {
      out[this.#pool.hostPort(candidates.slots[i]!)] = totals[i]!;
    }
  }

  stats(): SchedulerStats {
    return {
      openFlights: this.#open.size,
      flightsTotal: this.#flightsTotal,
      accountingRepairs: this.#repairs,
      nanScores: this.#counters.nanScores,
    };
  }

  /** Bounded state of the producers, by instance name. */
  pluginsState(): Record<string, ProducerState> {
    const out: Record<string, ProducerState> = {};
    for (const { name, type, producer } of this.#producers) {
      if (producer.stats) out[name] = { name, type, state: producer.stats() };
    }
    return out;
  }

  /** Recounts the in-flight columns from the open flights, repairs differences and counts them. */
  auditStep(): void {
    const { columns, live, liveCount } = this.#pool;
    const requests = new Int32Array(columns.capacity);
    const tokens = new Float64Array(columns.capacity);
    for (const flight of this.#open) {
      for (const charge of flight.charges) {
        if (columns.generation[charge.slot] !== charge.generation) continue;
        requests[charge.slot] = requests[charge.slot]! + charge.requests;
        tokens[charge.slot] = tokens[charge.slot]! + charge.tokens;
      }
    }
    for (let i = 0; i < liveCount; i++) {
      const slot = live[i]!;
      const isRight =
        columns.inflight[slot] === requests[slot] &&
        Math.abs(columns.inflightTokens[slot]! - tokens[slot]!) < 1;
      if (isRight) continue;
      this.#repairs++;
      columns.inflight[slot] = requests[slot]!;
      columns.inflightTokens[slot] = tokens[slot]!;
    }
  }

  endpointAdded(slot: number): void {
    for (const { producer } of this.#producers) producer.endpointAdded?.(slot);
  }

  endpointRemoved(slot: number): void {
    for (const { producer } of this.#producers) producer.endpointRemoved?.(slot);
  }
}

function tokensOf(flight: Flight): number[] {
  return flight.charges.map((charge) => charge.tokens);
}
