/**
 * Flow control and its naive reference side by side in a random world: arrivals, completions, cancels, time, endpoints and
 * configuration. After each step both must have said the same, in the same order, and agree on what is queued.
 * @module
 */
import {
  type BandSettings,
  type Candidates,
  EndpointPool,
  Flight,
  FlowController,
  type FlowControlSettings,
  type FlowObserver,
  type FlowSink,
  InferenceRequest,
  ManualClock,
  type Outcome,
  type PluginDefinition,
  pluginRegistry,
  QUEUE_TTL_HEADER,
  REJECTIONS,
  SeededRandom,
  type SubsetHint,
  type Ticket,
} from "../../scheduler/index.ts";
import {
  NaiveDeficit,
  NaiveOutput,
  NaiveService,
  NaiveStrict,
  NaiveTurns,
} from "./naive-fairness.ts";
import {
  type NaiveBandSettings,
  type NaiveEndpoint,
  NaiveFlowControl,
  type NaiveRequest,
  type NaiveSettings,
  type NaiveTicket,
} from "./naive-flow-control.ts";
import { pluginSetup } from "./plugin-setup.ts";

/** Waiting requests beyond which the world sends no more: the reference is slow. */
const WAITING_MAX = 60;
const ENDPOINTS_MAX = 5;
const PRIORITIES = [-3, -2, -1, 0, 1, 2, 3];
const IDS = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

interface Pair<Real, Naive> {
  readonly real: Real;
  readonly naive: Naive;
}

interface Entry {
  readonly real: Ticket;
  readonly naive: NaiveTicket;
  readonly sink: CountingSink;
}

class CountingSink implements FlowSink {
  told = 0;
  readonly #log: string[];
  readonly #sequence: number;

  constructor(log: string[], sequence: number) {
    this.#log = log;
    this.#sequence = sequence;
  }

  onOutcome(): void {
    this.told++;
  }

  onEvict(): void {
    this.#log.push(`evict ${this.#sequence}`);
  }
}

/** What differs between product and reference, with the way there. */
export class Disagreement extends Error {}

export class FlowWorld {
  steps = 0;
  /** How often each thing has happened: a world in which nothing expires shows nothing about expiry. */
  readonly happened = new Map<string, number>();
  readonly #random: SeededRandom;
  readonly #clock = new ManualClock(1000);
  readonly #pool = new EndpointPool();
  readonly #capacity = new Map<number, { capacity: number; hardLimit: number; number: number }>();
  readonly #log: string[] = [];
  readonly #real: FlowController;
  readonly #naive: NaiveFlowControl;
  readonly #readsScrapes: boolean;
  /** Requests that are asked to end do not. */
  readonly #isStubborn: boolean;
  #entries: Entry[] = [];
  #sequence = 0;
  #endpoints = 0;
  #settings: Pair<FlowControlSettings, NaiveSettings>;
  #bypassMax = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#readsScrapes = this.#chance(0.5);
    this.#isStubborn = this.#chance(0.2);
    this.#settings = this.#anySettings();
    this.#real = new FlowController({
      settings: this.#settings.real,
      clock: this.#clock,
      pool: this.#pool,
      schedule: (request, subset) => this.#schedule(request, subset),
      observer: this.#observer(),
      seed,
    });
    this.#naive = new NaiveFlowControl(this.#settings.naive, this.#readsScrapes);
    this.#naive.nowMs = this.#clock.nowMs();
    for (let i = this.#int(4); i > 0; i--) this.#addEndpoint();
  }

  /** @throws Disagreement */
  step(): void {
    this.steps++;
    const at = this.#int(1000);
    if (at < 350) this.#submit();
    else if (at < 620) this.#complete();
    else if (at < 690) this.#cancel();
    else if (at < 900) this.#pass();
    else if (at < 930) this.#firstToken();
    else if (at < 965) this.#scrape();
    else if (at < 980) this.#changeEndpoints();
    else if (at < 992) this.#setPriorities();
    else this.#reconfigure();
    while (this.#real.hasMore) this.#real.resume();
    this.#compare();
  }

  /** Closes both; every ticket must have had its one outcome. */
  finish(): void {
    this.happened.set("aged turn", this.#naive.agedTurns);
    this.#real.close();
    this.#naive.close();
    this.#compare();
    for (const { real, sink } of this.#entries) {
      if (real.outcome === null) this.#fail(`ticket ${real.sequence} has no outcome`);
      if (sink.told > 1) this.#fail(`ticket ${real.sequence} was told ${sink.told} outcomes`);
      this.#real.complete(real, null);
    }
    const { running } = this.#real.stats();
    if (running !== 0) this.#fail(`${running} still count as running`);
  }

  #int(below: number): number {
    return Math.floor(this.#random.next() * below);
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  #any<T>(list: readonly T[]): T {
    return list[this.#int(list.length)]!;
  }

  // ---- steps

  #submit(): void {
    if (this.#real.queued >= WAITING_MAX) return;
    const subsetOf = this.#naive.endpoints.map(({ number }) => number);
    const facts: NaiveRequest = {
      sequence: this.#sequence++,
      priority: this.#any(PRIORITIES),
      fairnessId: this.#any(IDS),
      bytes: this.#int(1000),
      subset: this.#chance(0.15) ? subsetOf.filter(() => this.#chance(0.5)) : null,
      promptTokens: this.#int(1_000_000),
      maxOutputTokens: this.#chance(0.5) ? -1 : this.#int(500),
      ttlHeaderMs: this.#chance(0.1) ? 1 + this.#int(300) : null,
      ttftMs: this.#chance(0.5) ? this.#int(1000) : null,
    };
    const sink = new CountingSink(this.#log, facts.sequence);
    const real = this.#real.submit(this.#request(facts), hintOf(facts.subset), sink);
    if (sink.told > 0) this.#fail("the sink was told within submit()");
    const { flow } = real;
    const sharedAs = flow!.bucket >= 0 ? flow!.fairnessId : null;
    const naive = this.#naive.submit(facts, sharedAs);
    if (naive.flow.id !== flow!.fairnessId || naive.flow.isShared !== flow!.bucket >= 0) {
      this.#fail(`flow ${flow!.fairnessId}, expected ${naive.flow.id}`);
    }
    if (sharedAs !== null) this.#count("shared flow");
    this.#entries.push({ real, naive, sink });
  }

  #request(facts: NaiveRequest): InferenceRequest {
    const headers = new Map<string, string>();
    if (facts.ttlHeaderMs !== null) headers.set(QUEUE_TTL_HEADER, `${facts.ttlHeaderMs}`);
    if (facts.ttftMs !== null) headers.set("x-llm-d-slo-ttft-ms", `${facts.ttftMs}`);
    return new InferenceRequest({
      priority: facts.priority,
      fairnessId: facts.fairnessId,
      bodyBytes: facts.bytes,
      promptTokens: facts.promptTokens,
      maxOutputTokens: facts.maxOutputTokens,
      arrivedAtMs: this.#clock.nowMs(),
      headers,
    });
  }

  #complete(): void {
    const running = this.#entries.filter(({ naive }) => naive.state === "running");
    if (running.length === 0) return;
    const { naive, real } = this.#any(running);
    if (this.#isStubborn && naive.revokedAtMs >= 0 && !this.#chance(0.02)) return;
    const { generation, slot } = real.flight!.charges[0]!;
    const { columns } = this.#pool;
    if (columns.generation[slot] === generation) {
      columns.inflight[slot] = columns.inflight[slot]! - 1;
      const endpoint = this.#naive.endpoints.find(({ number }) => number === naive.endpoint)!;
      endpoint.inflight--;
    }
    const usage = this.#chance(0.3)
      ? null
      : { prompt: this.#int(1_000_000), output: this.#int(600) };
    this.#real.complete(
      real,
      usage && { uncachedPromptTokens: usage.prompt, outputTokens: usage.output },
    );
    this.#naive.complete(naive, usage);
  }

  #cancel(): void {
    const waiting = this.#naive.waiting();
    if (waiting.length === 0) return;
    const naive = this.#any(waiting);
    const { real, sink } = this.#entries.find((entry) => entry.naive === naive)!;
    const told = sink.told;
    if (!this.#real.cancel(real)) this.#fail(`ticket ${real.sequence} could not be canceled`);
    this.#naive.cancel(naive);
    if (sink.told !== told) this.#fail("a canceled ticket was told an outcome");
    if (this.#real.cancel(real)) this.#fail("a ticket was canceled twice");
  }

  /** Time passes; the driver's timer is exact. */
  #pass(): void {
    const dueMs = this.#real.wakeAtMs;
    const nowMs = this.#clock.nowMs();
    if (dueMs < nowMs) this.#fail(`due at ${dueMs}, now ${nowMs}`);
    const toMs = Math.min(dueMs, nowMs + this.#any([0, 0.5, 1, 5, 20, 100, 1000]));
    this.#clock.advance(toMs - nowMs);
    this.#naive.nowMs = this.#clock.nowMs();
    if (this.#clock.nowMs() < dueMs && !this.#chance(0.2)) return;
    this.#real.wake();
    this.#naive.wake();
  }

  #firstToken(): void {
    const running = this.#entries.filter(({ naive }) => naive.state === "running");
    if (running.length === 0) return;
    this.#real.firstToken(this.#any(running).real);
    this.#naive.firstToken();
  }

  #scrape(): void {
    for (const endpoint of this.#naive.endpoints) {
      if (this.#chance(0.3)) continue;
      endpoint.scrapedAtMs = this.#clock.nowMs();
      this.#pool.columns.scrapedAtMs[this.#pool.slotOf(`default/p${endpoint.number}`)] =
        this.#clock.nowMs();
    }
    this.#real.wake();
    this.#naive.wake();
  }

  #changeEndpoints(): void {
    const { endpoints } = this.#naive;
    if (this.#chance(0.12)) {
      while (endpoints.length > 0) this.#removeEndpoint(0); // scaled to zero
    } else if (endpoints.length > 0 && this.#chance(0.4)) {
      this.#removeEndpoint(this.#int(endpoints.length));
    } else if (endpoints.length < ENDPOINTS_MAX) {
      for (let i = 1 + this.#int(2); i > 0; i--) this.#addEndpoint();
    }
    this.#real.wake();
    this.#naive.wake();
  }

  #addEndpoint(): void {
    const number = this.#endpoints++;
    const capacity = 1 + this.#int(4);
    const hardLimit = capacity + this.#int(2);
    const id = `default/p${number}`;
    const address = `10.0.${number >> 8}.${number & 255}`;
    const slot = this.#pool.upsert({
      id,
      name: `p${number}`,
      namespace: "default",
      address,
      port: 8000,
      labels: new Map(),
      rankIndex: 0,
    });
    this.#capacity.set(slot, { capacity, hardLimit, number });
    const endpoint: NaiveEndpoint = {
      number,
      capacity,
      hardLimit,
      life: number,
      inflight: 0,
      scrapedAtMs: 0,
    };
    this.#naive.endpoints.push(endpoint);
  }

  #removeEndpoint(at: number): void {
    const [endpoint] = this.#naive.endpoints.splice(at, 1);
    this.#pool.remove(`default/p${endpoint!.number}`);
  }

  #setPriorities(): void {
    const priorities = PRIORITIES.filter(() => this.#chance(0.5));
    this.#real.setPriorities(priorities);
    this.#naive.setPriorities(priorities);
  }

  #reconfigure(): void {
    this.#settings = this.#anySettings(this.#chance(0.5) ? this.#settings : undefined);
    this.#real.reconfigure(this.#settings.real);
    this.#naive.reconfigure(this.#settings.naive);
  }

  // ---- settings

  /** @param kept settings whose policies stay, so that only numbers change */
  #anySettings(
    kept?: Pair<FlowControlSettings, NaiveSettings>,
  ): Pair<FlowControlSettings, NaiveSettings> {
    const maxBypass = this.#any([0, 1, 3, 20]);
    this.#bypassMax = Math.max(this.#bypassMax, maxBypass);
    const numbers = {
      maxBytes: this.#chance(0.5) ? 0 : 3000 + this.#int(20_000),
      maxRequests: this.#chance(0.4) ? 0 : 5 + this.#int(40),
      requestTtlMs: this.#chance(0.2) ? 0 : 20 + this.#int(2000),
      noEndpointTtlMs: this.#chance(0.2) ? 0 : 20 + this.#int(2000),
      maxFlows: this.#any([1, 3, 8, 10_000]),
      flowIdleMs: this.#any([10, 300, 3000]),
      maxBypass,
      displaceLowerPriority: this.#chance(0.5),
      activeBandsOnly: this.#chance(0.3),
      agingMs: this.#any([0, 0, 1, 50]),
      eviction: this.#chance(0.4),
    };
    const defaultBand = this.#anyBand(kept && band(kept.real.defaultBand, kept.naive.defaultBand));
    const negativeBand = this.#anyBand(
      kept && band(kept.real.negativeBand, kept.naive.negativeBand),
    );
    const bands = PRIORITIES.filter(() => this.#chance(0.25)).map((priority) => ({
      priority,
      ...this.#anyBand(),
    }));
    const ceiling = this.#anyCeiling();
    return {
      real: {
        ...numbers,
        bands: bands.map(({ priority, real }) => ({ priority, ...real })),
        defaultBand: defaultBand.real,
        negativeBand: negativeBand.real,
        detector: {
          readsScrapes: this.#readsScrapes,
          saturation: (candidates) => this.#saturation(candidates),
        },
        usageLimits: {
          limits(saturation, priorities, ceilings) {
            for (let i = 0; i < priorities.length; i++) {
              ceilings[i] = ceiling(saturation, i, priorities.length);
            }
          },
        },
      },
      naive: {
        ...numbers,
        bands: bands.map(({ priority, naive }) => ({ priority, ...naive })),
        defaultBand: defaultBand.naive,
        negativeBand: negativeBand.naive,
        ceiling,
      },
    };
  }

  #anyCeiling(): NaiveSettings["ceiling"] {
    const top = this.#any([1, 1, 0.8, 1.3]);
    const lowest = this.#any([top, top, 0.3, 1.5]);
    return (_saturation, rank, bands) =>
      bands === 1 ? top : top - (rank * (top - lowest)) / (bands - 1);
  }

  #anyBand(kept?: Pair<BandSettings, NaiveBandSettings>): Pair<BandSettings, NaiveBandSettings> {
    const numbers = {
      maxBytes: this.#chance(0.5) ? 0 : 2000 + this.#int(10_000),
      maxRequests: this.#chance(0.4) ? 0 : 2 + this.#int(20),
      maxRequestsPerFlow: this.#chance(0.7) ? 0 : 1 + this.#int(6),
      requestTtlMs: this.#chance(0.6) ? null : this.#any([0, 30, 400, 4000]),
    };
    const ordering = kept
      ? { real: kept.real.ordering, naive: kept.naive.ordering }
      : this.#anyOrdering();
    const fairness = kept
      ? { real: kept.real.fairness, naive: kept.naive.fairness }
      : this.#anyFairness();
    return {
      real: { ...numbers, ordering: ordering.real, fairness: fairness.real },
      naive: { ...numbers, ordering: ordering.naive, fairness: fairness.naive },
    };
  }

  #anyOrdering(): Pair<BandSettings["ordering"], NaiveBandSettings["ordering"]> {
    const type = this.#any(["fcfs", "edf", "slo-deadline"]);
    const keys: Readonly<Record<string, (ticket: NaiveTicket) => number>> = {
      fcfs: ({ enqueuedAtMs }) => enqueuedAtMs,
      edf: ({ enqueuedAtMs, ttlMs }) =>
        ttlMs === 0 ? Number.POSITIVE_INFINITY : enqueuedAtMs + ttlMs,
      "slo-deadline": ({ enqueuedAtMs, ttftMs }) =>
        ttftMs === null ? Number.POSITIVE_INFINITY : enqueuedAtMs + ttftMs,
    };
    const real = instanceOf(`${type}-ordering-policy`).orderingPolicy!;
    return { real, naive: { key: keys[type]! } };
  }

  #anyFairness(): Pair<BandSettings["fairness"], NaiveBandSettings["fairness"]> {
    const output = new NaiveOutput();
    switch (this.#int(4)) {
      case 0:
        return {
          real: instanceOf("global-strict-fairness-policy").fairnessPolicy!,
          naive: { band: () => new NaiveStrict() },
        };
      case 1:
        return {
          real: instanceOf("round-robin-fairness-policy").fairnessPolicy!,
          naive: { band: () => new NaiveTurns() },
        };
      case 2: {
        const quantumTokens = this.#any([20_000, 100_000, 500_000]);
        const weights = this.#chance(0.5) ? {} : { a: 3, b: 0.5 };
        const parameters = { quantumTokens, weights };
        return {
          real: instanceOf("deficit-round-robin-fairness-policy", parameters).fairnessPolicy!,
          naive: { band: () => new NaiveDeficit(output, quantumTokens, weights) },
        };
      }
      default: {
        const parameters = { lasHalfLifeSeconds: 0, evictionTtlSeconds: 0 };
        const service = new Map<string, number>();
        return {
          real: instanceOf("program-aware-fairness", parameters).fairnessPolicy!,
          naive: { band: () => new NaiveService(service, output) },
        };
      }
    }
  }

  // ---- the product's surroundings

  #observer(): FlowObserver {
    return {
      finished: (ticket, label) => {
        this.#log.push(`${label} ${ticket.sequence}${this.#detail(label, ticket)}`);
      },
      revoked: (priority, count) => {
        this.#log.push(`revoked ${priority} ${count}`);
      },
      revocationEnded: (outcome) => {
        this.#log.push(outcome);
      },
    };
  }

  #detail(label: string, { outcome }: Ticket): string {
    if (label !== "Dispatched" || outcome === null) return "";
    if (outcome.kind === "rejected") return `: ${outcome.reason}`;
    return `: ${this.#capacity.get(outcome.charges[0]!.slot)!.number}`;
  }

  #schedule(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    const { columns, live, liveCount } = this.#pool;
    let best = -1;
    let isAllowed = false;
    for (let i = 0; i < liveCount; i++) {
      const slot = live[i]!;
      const { hardLimit, number } = this.#capacity.get(slot)!;
      if (subset !== null && !subset.includes(`${number}`)) continue;
      isAllowed = true;
      if (columns.inflight[slot]! >= hardLimit) continue;
      if (best < 0 || columns.inflight[slot]! < columns.inflight[best]!) best = slot;
    }
    if (!isAllowed) return REJECTIONS["no-candidates"];
    if (best < 0) return REJECTIONS["filtered-by-load"];
    columns.inflight[best] = columns.inflight[best]! + 1;
    const generation = columns.generation[best]!;
    const charge = { slot: best, generation, profile: "default", tokens: 0, requests: 1 };
    return new Flight(request, this.#pool.hostPort(best), [charge], [], this.#clock.nowMs());
  }

  #saturation({ columns, count, slots }: Candidates): number {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      sum += columns.inflight[slots[i]!]! / this.#capacity.get(slots[i]!)!.capacity;
    }
    return sum / count;
  }

  // ---- comparison

  #compare(): void {
    const { log } = this.#naive;
    for (let i = 0; i < Math.max(log.length, this.#log.length); i++) {
      if (log[i] !== this.#log[i]) {
        this.#fail(`said "${this.#log.join(", ")}", expected "${log.join(", ")}"`);
      }
      this.#count(log[i]!.split(" ")[0]!);
    }
    log.length = 0;
    this.#log.length = 0;
    const waiting = this.#naive.waiting();
    if (this.#real.queued !== waiting.length) {
      this.#fail(`${this.#real.queued} queued, expected ${waiting.length}`);
    }
    const wakeAtMs = this.#naive.wakeAtMs();
    const isExact = !this.#settings.real.eviction;
    const isWrong = isExact ? this.#real.wakeAtMs !== wakeAtMs : this.#real.wakeAtMs > wakeAtMs;
    if (isWrong) this.#fail(`wakes at ${this.#real.wakeAtMs}, expected ${wakeAtMs}`);
    if (this.#naive.mostOvertaken > this.#bypassMax) {
      this.#fail(`${this.#naive.mostOvertaken} have overtaken one, at most ${this.#bypassMax} may`);
    }
    if (this.steps % 32 === 0) this.#compareGauges(waiting);
    if (this.steps % 32 === 16) this.#forgetEnded();
  }

  #compareGauges(waiting: readonly NaiveTicket[]): void {
    const stats = this.#real.stats();
    this.#naive.collect();
    const running = this.#naive.running();
    const sums = (tickets: readonly NaiveTicket[]) => ({
      requests: tickets.length,
      bytes: tickets.reduce((sum, { bytes }) => sum + bytes, 0),
    });
    const expected = {
      ...sums(waiting),
      running: running.length,
      bands: this.#naive.bands.map((naive) => ({
        priority: naive.priority,
        ...sums(waiting.filter((ticket) => ticket.band === naive)),
        flows: naive.flows
          .filter((flow) => this.#naive.tickets.some((ticket) => ticket.flow === flow))
          .map((flow) => ({
            fairnessId: flow.id,
            ...sums(waiting.filter((ticket) => ticket.flow === flow)),
            running: running.filter((ticket) => ticket.flow === flow).length,
          })),
      })),
    };
    const actual = {
      requests: stats.requests,
      bytes: stats.bytes,
      running: stats.running,
      bands: stats.bands.map(({ bytes, flows, priority, requests, ...rest }) => {
        if (rest.fairnessFaults > 0) this.#fail("a fairness policy named nobody");
        return {
          priority,
          requests,
          bytes,
          flows: flows.filter((flow) => flow.requests + flow.running > 0),
        };
      }),
    };
    if (JSON.stringify(actual) !== JSON.stringify(expected)) {
      this.#fail(`gauges ${JSON.stringify(actual)}, recounted ${JSON.stringify(expected)}`);
    }
  }

  #forgetEnded(): void {
    this.#entries = this.#entries.filter(({ naive, real, sink }) => {
      if (naive.state !== "ended") return true;
      if (sink.told > 1) this.#fail(`ticket ${real.sequence} was told ${sink.told} outcomes`);
      return false;
    });
  }

  #count(what: string): void {
    this.happened.set(what, (this.happened.get(what) ?? 0) + 1);
  }

  #fail(message: string): never {
    throw new Disagreement(`step ${this.steps}, at ${this.#clock.nowMs()} ms: ${message}`);
  }
}

function hintOf(subset: readonly number[] | null): SubsetHint | null {
  return subset === null ? null : subset.map(String);
}

function band(real: BandSettings, naive: NaiveBandSettings): Pair<BandSettings, NaiveBandSettings> {
  return { real, naive };
}

const { handle } = pluginSetup(1);

function instanceOf(type: string, parameters: object = {}) {
  const definition: PluginDefinition = pluginRegistry.get(type)!;
  return definition.create(definition.parameters.parse(parameters), handle);
}
