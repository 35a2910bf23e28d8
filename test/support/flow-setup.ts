/**
 * A flow controller over a pool of counted slots, for unit tests: each endpoint takes so many requests, saturation is the
 * share of them that is taken, and everything that is told is written down.
 * @module
 */
import {
  type BandFairness,
  type BandSettings,
  EndpointPool,
  type FairnessPolicy,
  Flight,
  FlowController,
  type FlowControlSettings,
  type FlowItem,
  type FlowSink,
  type FlowView,
  flowDefaults,
  InferenceRequest,
  ManualClock,
  type Outcome,
  type PluginDefinition,
  type PluginInstance,
  pluginRegistry,
  REJECTIONS,
  type RequestFacts,
  type SubsetHint,
  type Ticket,
} from "../../scheduler/index.ts";
import { addEndpoint, pluginSetup } from "./plugin-setup.ts";

const { handle } = pluginSetup(1);

/** An instance of a registered plugin that needs nothing around it. */
export function flowPlugin(type: string, parameters: object = {}): PluginInstance {
  const definition: PluginDefinition = pluginRegistry.get(type)!;
  return definition.create(definition.parameters.parse(parameters), handle);
}

export function bandSettings(changes: Partial<BandSettings> = {}): BandSettings {
  return {
    maxBytes: flowDefaults.bandMaxBytes,
    maxRequests: flowDefaults.bandMaxRequests,
    maxRequestsPerFlow: flowDefaults.maxRequestsPerFlow,
    requestTtlMs: null,
    ordering: flowPlugin("fcfs-ordering-policy").orderingPolicy!,
    fairness: flowPlugin("global-strict-fairness-policy").fairnessPolicy!,
    ...changes,
  };
}

/** Sink of one request: what it was told, and what it does then. */
export class TestSink implements FlowSink {
  readonly outcomes: Outcome[] = [];
  evictions = 0;
  whenTold: ((outcome: Outcome) => void) | undefined;
  whenEvicted: (() => void) | undefined;

  onOutcome(outcome: Outcome): void {
    this.outcomes.push(outcome);
    this.whenTold?.(outcome);
  }

  onEvict(): void {
    this.evictions++;
    this.whenEvicted?.();
  }
}

export interface FlowSetupOptions {
  /** Requests that each endpoint takes. */
  readonly endpoints?: readonly number[];
  readonly band?: Partial<BandSettings>;
  readonly settings?: Partial<FlowControlSettings>;
  /** Saturation is as scraped; false = as accounted. */
  readonly readsScrapes?: boolean;
  /** Saturation from which requests are held back. */
  readonly ceiling?: number;
}

export class FlowSetup {
  readonly clock = new ManualClock(1000);
  readonly pool = new EndpointPool();
  readonly controller: FlowController;
  readonly settings: FlowControlSettings;
  /** `outcome id` of each request whose wait is over, in order. */
  readonly log: string[] = [];
  /** All that were submitted. */
  readonly tickets: Ticket[] = [];
  /** Times the scheduler was asked. */
  asked = 0;
  readonly #room: number[] = [];
  readonly #sinks = new Map<Ticket, TestSink>();

  constructor(options: FlowSetupOptions = {}) {
    const { endpoints = [1], readsScrapes = false } = options;
    for (const room of endpoints) this.addEndpoint(room);
    const template = bandSettings(options.band);
    this.settings = {
      ...flowDefaults,
      bands: [],
      defaultBand: template,
      negativeBand: template,
      detector: {
        readsScrapes,
        saturation: ({ columns, count, slots }) => {
          let taken = 0;
          let room = 0;
          for (let i = 0; i < count; i++) {
            taken += columns.inflight[slots[i]!]!;
            room += this.#room[slots[i]!]!;
          }
          return count === 0 ? 1 : taken / room;
        },
      },
      usageLimits: {
        limits(_saturation, priorities, ceilings) {
          ceilings.fill(options.ceiling ?? 1, 0, priorities.length);
        },
      },
      ...options.settings,
    };
    this.controller = new FlowController({
      settings: this.settings,
      clock: this.clock,
      pool: this.pool,
      schedule: (request, subset) => this.#schedule(request, subset),
      observer: {
        finished: ({ request }, outcome) => this.log.push(`${outcome} ${request.id}`),
        revoked: (priority, count) => this.log.push(`revoked ${count} for ${priority}`),
        revocationEnded: (outcome, afterMs) => this.log.push(`${outcome} after ${afterMs}`),
      },
    });
  }

  addEndpoint(room: number): number {
    const slot = addEndpoint(this.pool, this.#room.length);
    this.#room[slot] = room;
    return slot;
  }

  removeEndpoint(slot: number): void {
    this.pool.remove(`default/p${slot}`);
  }

  /** First endpoint of the subset (ids of slots) that has room. */
  #schedule(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    this.asked++;
    const { columns, live, liveCount } = this.pool;
    const allowed = [...live.subarray(0, liveCount)].filter(
      (slot) => subset === null || subset.includes(`${slot}`),
    );
    if (allowed.length === 0) return REJECTIONS["no-candidates"];
    const slot = allowed.find((candidate) => columns.inflight[candidate]! < this.#room[candidate]!);
    if (slot === undefined) return REJECTIONS["filtered-by-load"];
    columns.inflight[slot] = columns.inflight[slot]! + 1;
    const generation = columns.generation[slot]!;
    const charge = { slot, generation, profile: "default", tokens: 0, requests: 1 };
    return new Flight(request, this.pool.hostPort(slot), [charge], [], this.clock.nowMs());
  }

  submit(id: string, facts: RequestFacts = {}, subset: SubsetHint | null = null): Ticket {
    const sink = new TestSink();
    const request = new InferenceRequest({ id, arrivedAtMs: this.clock.nowMs(), ...facts });
    const ticket = this.controller.submit(request, subset, sink);
    this.#sinks.set(ticket, sink);
    this.tickets.push(ticket);
    return ticket;
  }

  sink(ticket: Ticket): TestSink {
    return this.#sinks.get(ticket)!;
  }

  /** Ends a running request, as the driver does. */
  complete(ticket: Ticket, outputTokens?: number): void {
    this.release(ticket);
    const { uncachedPromptTokens } = ticket;
    this.controller.complete(
      ticket,
      outputTokens === undefined ? null : { uncachedPromptTokens, outputTokens },
    );
  }

  /** Gives back what a request was charged, and tells flow control nothing. */
  release(ticket: Ticket): void {
    const { columns } = this.pool;
    const { generation, slot } = ticket.flight!.charges[0]!;
    if (columns.generation[slot] === generation)
      columns.inflight[slot] = columns.inflight[slot]! - 1;
  }

  pass(ms: number): void {
    this.clock.advance(ms);
    this.controller.wake();
  }

  /** The log, emptied. */
  takeLog(): string[] {
    return this.log.splice(0);
  }
}

/** A flow for tests of a single policy; requests are `[key, prompt tokens]` in the order of arrival. */
export class TestFlow implements FlowView {
  position = -1;
  readonly fairnessId: string;
  readonly priority = 0;
  readonly items: FlowItem[] = [];

  constructor(fairnessId: string) {
    this.fairnessId = fairnessId;
  }

  get head(): FlowItem | null {
    return this.items[0] ?? null;
  }
}

/** Drives one band's fairness as a band does, with first come first served in each flow. */
export class FairnessDriver {
  readonly fairness: BandFairness;
  readonly flows = new Map<string, TestFlow>();
  nowMs = 0;
  #sequence = 0;

  constructor(policy: FairnessPolicy) {
    this.fairness = policy.band();
  }

  flow(id: string): TestFlow {
    const known = this.flows.get(id) ?? new TestFlow(id);
    this.flows.set(id, known);
    return known;
  }

  add(id: string, facts: RequestFacts = {}): FlowItem {
    const flow = this.flow(id);
    const request = new InferenceRequest({ fairnessId: id, ...facts });
    const item: FlowItem = {
      request,
      enqueuedAtMs: this.nowMs,
      ttlMs: 0,
      sequence: this.#sequence++,
      uncachedPromptTokens: request.promptTokens,
      key: this.nowMs,
    };
    flow.items.push(item);
    if (flow.items.length === 1) this.fairness.activate(flow);
    return item;
  }

  /** Takes the next request. @returns its flow, what it was charged and itself; null when nobody is active */
  take(): { flow: TestFlow; charged: number; item: FlowItem } | null {
    const flow = this.fairness.next(this.nowMs) as TestFlow | null;
    if (flow === null) return null;
    const item = flow.items[0]!;
    const charged = this.fairness.charge(flow, item, this.nowMs);
    flow.items.shift();
    if (flow.items.length === 0) this.fairness.deactivate(flow);
    else this.fairness.headChanged(flow);
    return { flow, charged, item };
  }

  /** Ids of the flows of the next `count` requests. */
  order(count: number): string {
    return Array.from({ length: count }, () => this.take()?.flow.fairnessId ?? "-").join("");
  }

  /** Removes the head of a flow, as a cancel does. */
  drop(id: string): void {
    const flow = this.flow(id);
    flow.items.shift();
    if (flow.items.length === 0) this.fairness.deactivate(flow);
    else this.fairness.headChanged(flow);
  }

  settle(
    taken: { flow: TestFlow; charged: number; item: FlowItem },
    usage: { uncachedPromptTokens: number; outputTokens: number } | null,
  ): void {
    this.fairness.settle(taken.flow, taken.item, taken.charged, usage, this.nowMs);
  }
}
