/**
 * The scheduler: owner of all scheduling state, called synchronously. One call takes a request from candidates to a
 * charged flight; the next call sees its effect.
 *
 *   candidates (pool ∩ subset) → producers → profiles (filters → scorers → picker) → charge → flight
 *                                                                firstToken, complete → give back
 * @module
 */
import { Candidates } from "./candidates.ts";
import type { Clock } from "./clock.ts";
import type { PrefixMatch } from "./data.ts";
import type { DecisionRecorder } from "./decision.ts";
import { type EndpointPool, formatHostPort, type PoolObserver } from "./endpoints.ts";
import { type Charge, type EndCause, Flight } from "./flight.ts";
import { FlightLedger } from "./flight-ledger.ts";
import type { Admitter, SaturationDetector } from "./flow/contracts.ts";
import { limits } from "./limits.ts";
import { type Outcome, REJECTIONS, type Rejection, type RejectReason } from "./outcome.ts";
import type { FlightHooks, HashPlan, Producer, ProfileHandler, ProfileResults } from "./plugin.ts";
import type { Profile, ProfileCounters } from "./profile.ts";
import type { InferenceRequest } from "./request.ts";
import { SubsetFilter, type SubsetHint } from "./subset.ts";

export interface NamedProducer {
  readonly name: string;
  readonly type: string;
  readonly producer: Producer;
}

/** A plugin that follows flights and produces nothing. */
export interface NamedHooks {
  readonly name: string;
  readonly type: string;
  readonly hooks: FlightHooks;
}

export interface SchedulerParts {
  readonly pool: EndpointPool;
  readonly clock: Clock;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly handler: ProfileHandler;
  /** In the order in which they run: those whose data others read stand before them. */
  readonly producers: readonly NamedProducer[];
  /** Those that follow flights besides; they run behind the producers. */
  readonly hooks?: readonly NamedHooks[];
  /** Tells whether an endpoint holds some of a prompt; null = nothing does. */
  readonly cacheMatch?: PrefixMatch | null;
  /** Request headers that plugins read, and those that tell whom a request belongs to (see PluginDefinition). */
  readonly headersRead?: readonly string[];
  readonly fairnessHeaders?: readonly string[];
  /** Asked in this order before the profiles run; the first refusal counts. */
  readonly admitters?: readonly Admitter[];
  /** Without flow control: what tells that requests of negative priority are to be shed; null = nothing is. */
  readonly shedding?: SaturationDetector | null;
  readonly recorder: DecisionRecorder | null;
  readonly counters: ProfileCounters;
}

/** Numbers of one producer, for people. */
export interface ProducerState {
  readonly name: string;
  readonly type: string;
  readonly state: Readonly<Record<string, number>>;
}

/** Numbers for metrics; all but `openFlights` only rise. */
export interface SchedulerStats {
  readonly openFlights: number;
  readonly flightsTotal: number;
  /** In-flight columns and charges that were found wrong, and repaired. */
  readonly accountingRepairs: number;
  /** Scores that were no finite number, taken as 0. */
  readonly nanScores: number;
}

const NO_HEADERS: readonly string[] = [];
const NO_NAMES: readonly string[] = [];
/** Name that the charge of a plain pick has in place of a profile's. */
const NO_PROFILE = "";

export class Scheduler implements PoolObserver {
  /** Block sizes that requests are to be hashed with; entry i of `request.blockHashes` belongs to plan i. */
  readonly hashPlans: readonly HashPlan[];
  /** Lower-case names of the request headers that plugins read in `request.headers`. */
  readonly headersRead: readonly string[];
  /** Lower-case names of headers that give a request without fairness id one; the first that is there counts. */
  readonly fairnessHeaders: readonly string[];
  /** Takes down every decision; null = none. */
  recorder: DecisionRecorder | null;
  readonly #pool: EndpointPool;
  readonly #clock: Clock;
  readonly #profiles: ReadonlyMap<string, Profile>;
  readonly #handler: ProfileHandler;
  readonly #producers: readonly NamedProducer[];
  readonly #produce: readonly Producer[];
  readonly #hooks: readonly NamedHooks[];
  readonly #account: readonly FlightHooks[];
  readonly #firstToken: readonly FlightHooks[];
  readonly #served: readonly FlightHooks[];
  readonly #complete: readonly FlightHooks[];
  readonly #cacheMatch: PrefixMatch | null;
  readonly #unknownProfile: Rejection;
  readonly #admitters: readonly Admitter[];
  readonly #shedding: SaturationDetector | null;
  readonly #counters: ProfileCounters;
  readonly #ledger: FlightLedger;
  readonly #subsetFilter: SubsetFilter;
  readonly #candidates: Candidates;
  /** Profiles that the present request has run, and those that gave a result. */
  readonly #ran = new NameList();
  readonly #succeeded = new NameList();
  readonly #results: ProfileResults = {
    slotOf: (profile) => this.#resultOf(profile)?.slot(0) ?? -1,
    hostPorts: (profile) => {
      const result = this.#resultOf(profile);
      return result === undefined ? "" : this.#targetsOf(result, 0);
    },
  };
  /** What the charges of a flight were before producers lowered them. */
  readonly #tokensBefore = new Float64Array(limits.profilesPerRequestMax);
  readonly #requestsBefore = new Int32Array(limits.profilesPerRequestMax);
  /** Primary profile of the last pick; its scores are still in it. */
  #primary: Profile | null = null;
  #fallbackTurn = 0;

  constructor(parts: SchedulerParts) {
    this.#pool = parts.pool;
    this.#clock = parts.clock;
    this.#profiles = parts.profiles;
    this.#handler = parts.handler;
    this.#producers = parts.producers;
    this.#admitters = parts.admitters ?? [];
    this.#shedding = parts.shedding ?? null;
    this.recorder = parts.recorder;
    this.#counters = parts.counters;
    this.#ledger = new FlightLedger(parts.pool);
    this.#subsetFilter = new SubsetFilter(parts.pool);
    this.#candidates = new Candidates(parts.pool);
    const producers = parts.producers.map(({ producer }) => producer);
    this.#produce = producers.filter(({ produce }) => produce !== undefined);
    this.#hooks = parts.hooks ?? [];
    const hooks = [...producers, ...this.#hooks.map((named) => named.hooks)];
    this.#account = hooks.filter(({ account }) => account !== undefined);
    this.#firstToken = hooks.filter(({ firstToken }) => firstToken !== undefined);
    this.#served = hooks.filter(({ served }) => served !== undefined);
    this.#complete = hooks.filter(({ complete }) => complete !== undefined);
    this.#cacheMatch = parts.cacheMatch ?? null;
    this.headersRead = parts.headersRead ?? NO_NAMES;
    this.fairnessHeaders = parts.fairnessHeaders ?? NO_NAMES;
    this.#unknownProfile = Object.freeze({
      ...REJECTIONS["unknown-profile"],
      detail: `configured are ${[...parts.profiles.keys()].join(", ")}`,
    });
    this.hashPlans = takeHashPlans(producers);
    parts.pool.observe(this);
  }

  get openFlights(): number {
    return this.#ledger.openFlights;
  }

  /**
   * Picks an endpoint and charges it. Score, pick and account are one step: nothing else runs between them.
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
    this.#primary = null;
    const hasCandidates = this.#gather(subset, nowMs);
    const candidates = this.#candidates;
    // Nobody there is full, too: what is sheddable is shed.
    if (request.priority < 0 && this.#isSaturated(candidates)) return REJECTIONS.shed;
    if (!hasCandidates) return REJECTIONS["no-candidates"];
    for (const producer of this.#produce) producer.produce!(request, candidates);
    for (const admitter of this.#admitters) {
      const refusal = admitter.admit(request, candidates);
      if (refusal !== null) return REJECTIONS[refusal];
    }
    const reason = this.#runProfiles(request);
    const primary = this.#handler.primary(this.#succeeded.names);
    if (primary === null) {
      return reason === "unknown-profile" ? this.#unknownProfile : REJECTIONS[reason];
    }
    if (request.ifAvailable && !this.#holdsPrompt(this.#results.slotOf(primary))) {
      return REJECTIONS["not-cached"];
    }
    return this.#dispatch(request, primary, nowMs);
  }

  #isSaturated(candidates: Candidates): boolean {
    return this.#shedding !== null && this.#shedding.saturation(candidates) >= 1;
  }

  /** Fills the candidates. @returns whether there are any */
  #gather(subset: SubsetHint | null, nowMs: number): boolean {
    const candidates = this.#candidates;
    candidates.reset(nowMs);
    if (subset !== null) this.#subsetFilter.apply(subset, candidates);
    return candidates.count > 0;
  }

  /** Runs the profiles that the handler asks for. @returns why there is no result, if there is none */
  #runProfiles(request: InferenceRequest): RejectReason {
    const ran = this.#ran;
    const succeeded = this.#succeeded;
    ran.clear();
    succeeded.clear();
    let reason: RejectReason = "no-profile";
    for (let i = 0; i < limits.profilesPerRequestMax; i++) {
      const name = this.#handler.next(request, ran.names, this.#results);
      if (name === null) break;
      ran.add(name);
      const profile = this.#profiles.get(name);
      if (profile === undefined) {
        if (this.#handler.isNamedByRequest) reason = "unknown-profile";
        continue;
      }
      this.#candidates.peerSlot = this.#handler.peerOf?.(name, this.#results) ?? -1;
      const problem = profile.run(request, this.#candidates, this.recorder);
      if (problem === null) succeeded.add(name);
      else reason = problem;
    }
    return reason;
  }

  #dispatch(request: InferenceRequest, primaryName: string, nowMs: number): Flight {
    const primary = this.#profiles.get(primaryName)!;
    this.#primary = primary;
    const charges: Charge[] = [this.#charge(primary.name, primary.slot(0))];
    for (const name of this.#succeeded.names) {
      if (name === primaryName) continue;
      charges.push(this.#charge(name, this.#profiles.get(name)!.slot(0)));
    }
    const destination = this.#targetsOf(primary, this.#handler.destinationPort ?? 0);
    const flight = new Flight(request, destination, charges, NO_HEADERS, nowMs);
    for (const hooks of this.#account) hooks.account!(flight, this.#results);
    this.#ledger.book(flight);
    return flight;
  }

  #charge(profile: string, slot: number): Charge {
    const generation = this.#pool.columns.generation[slot]!;
    return { slot, generation, profile, tokens: 0, requests: 1 };
  }

  /** The profile, when it has a result for the present request. */
  #resultOf(name: string): Profile | undefined {
    return this.#succeeded.names.includes(name) ? this.#profiles.get(name) : undefined;
  }

  /** True when an endpoint holds a block of the present request's prompt, or more. */
  #holdsPrompt(slot: number): boolean {
    const match = this.#cacheMatch;
    if (match === null || slot >= match.totalBlocks.length) return false;
    return match.totalBlocks[slot]! > 0 && match.matchBlocks[slot]! > 0;
  }

  /** Picked endpoints of a profile, best first. @param port in place of their own; 0 = their own */
  #targetsOf(profile: Profile, port: number): string {
    const { count } = profile.pick;
    let targets = this.#hostPort(profile.slot(0), port);
    for (let i = 1; i < count; i++) targets += `,${this.#hostPort(profile.slot(i), port)}`;
    return targets;
  }

  #hostPort(slot: number, port: number): string {
    return port === 0
      ? this.#pool.hostPort(slot)
      : formatHostPort(this.#pool.metadata(slot).address, port);
  }

  /**
   * A plain pick, for when schedule() has failed by a fault: the candidates in turn, no plugin asked, charged with the
   * request alone.
   */
  scheduleFallback(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    const nowMs = this.#clock.nowMs();
    this.#primary = null;
    if (!this.#gather(subset, nowMs)) return REJECTIONS["no-candidates"];
    const { count, slots } = this.#candidates;
    const slot = slots[this.#fallbackTurn++ % count]!;
    const charges = [this.#charge(NO_PROFILE, slot)];
    const flight = new Flight(request, this.#pool.hostPort(slot), charges, NO_HEADERS, nowMs);
    this.#ledger.book(flight);
    return flight;
  }

  /** First byte of the response; a second call, or one after complete(), does nothing. */
  firstToken(flight: Flight): void {
    if (flight.state !== "open") return;
    flight.state = "streaming";
    this.#remember(flight);
    try {
      for (const hooks of this.#firstToken) hooks.firstToken!(flight);
    } finally {
      this.#settle(flight);
    }
  }

  /**
   * Moves the primary charge of a flight to the endpoint that serves it: a gateway that retries may end at another one
   * than the first that was picked. Unknown endpoints, the same one, and ended flights change nothing.
   *
   * @param hostPort `ip:port` (IPv6 in brackets)
   * @returns whether it moved
   */
  served(flight: Flight, hostPort: string): boolean {
    const charge = flight.charges[0];
    if (flight.state === "closed" || charge === undefined) return false;
    // Behind a proxy of ours the address is the proxy's, and says nothing of the rank.
    if ((this.#handler.destinationPort ?? 0) !== 0) return false;
    const slot = this.#pool.slotOfHostPort(hostPort);
    const generation = slot < 0 ? -1 : this.#pool.columns.generation[slot]!;
    if (slot < 0 || (slot === charge.slot && generation === charge.generation)) return false;
    const from = { slot: charge.slot, generation: charge.generation };
    this.#ledger.move(charge, slot, generation);
    for (const hooks of this.#served) hooks.served!(flight, from);
    return true;
  }

  /** End of the exchange, from whatever state; a second call does nothing. */
  complete(flight: Flight, cause: EndCause): void {
    if (flight.state === "closed") return;
    const answered = flight.state === "streaming";
    flight.state = "closed";
    this.#remember(flight);
    try {
      for (const hooks of this.#complete) hooks.complete!(flight, cause, answered);
    } finally {
      this.#settle(flight);
      this.#ledger.close(flight);
    }
  }

  #remember({ charges }: Flight): void {
    for (let i = 0; i < charges.length; i++) {
      this.#tokensBefore[i] = charges[i]!.tokens;
      this.#requestsBefore[i] = charges[i]!.requests;
    }
  }

  /** Books what producers have changed of the charges since they were remembered. */
  #settle({ charges }: Flight): void {
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i]!;
      const requests = this.#requestsBefore[i]! - charge.requests;
      const tokens = this.#tokensBefore[i]! - charge.tokens;
      if (requests !== 0 || tokens !== 0) this.#ledger.release(charge, requests, tokens);
    }
  }

  /** Adds the totals of the last pick's primary profile to `out`, by `ip:port`; nothing when there was no pick. */
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
      openFlights: this.#ledger.openFlights,
      flightsTotal: this.#ledger.booked,
      accountingRepairs: this.#ledger.repairs,
      nanScores: this.#counters.nanScores,
    };
  }

  /** Bounded state of the producers, by instance name. */
  pluginsState(): Record<string, ProducerState> {
    const out: Record<string, ProducerState> = {};
    for (const { name, type, producer } of this.#producers) {
      if (producer.stats) out[name] = { name, type, state: producer.stats() };
    }
    for (const { hooks, name, type } of this.#hooks) {
      if (hooks.stats) out[name] = { name, type, state: hooks.stats() };
    }
    return out;
  }

  /** Recounts the in-flight columns, repairs and counts differences; O(open flights), to be called about once a second. */
  auditStep(): void {
    this.#ledger.audit();
  }

  endpointAdded(slot: number): void {
    for (const { producer } of this.#producers) producer.endpointAdded?.(slot);
    for (const { hooks } of this.#hooks) hooks.endpointAdded?.(slot);
  }

  endpointRemoved(slot: number): void {
    for (const { producer } of this.#producers) producer.endpointRemoved?.(slot);
    for (const { hooks } of this.#hooks) hooks.endpointRemoved?.(slot);
  }
}

/** A list that is emptied for each request: an array whose length goes to 0 would lose its store, and cost a new one. */
class NameList {
  names: readonly string[] = NO_NAMES;
  readonly #store: string[] = [];

  clear(): void {
    this.names = NO_NAMES;
  }

  add(name: string): void {
    const { length } = this.names;
    this.#store.length = Math.max(1, length);
    this.#store[length] = name;
    this.names = this.#store;
  }
}

/** Plans of the producers that have one, which are told their index. */
function takeHashPlans(producers: readonly Producer[]): HashPlan[] {
  const plans: HashPlan[] = [];
  for (const producer of producers) {
    if (producer.hashPlan === undefined) continue;
    producer.setPlanIndex?.(plans.length);
    plans.push(producer.hashPlan);
  }
  return plans;
}
