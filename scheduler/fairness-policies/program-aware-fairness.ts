/**
 * Least attained service: the program (fairness id) that has been served least, and whose head has waited longest, goes next.
 * Service is charged by an estimate when a request is dispatched and settled when it ends, so that a burst of long requests
 * is felt at once; it fades with a half-life.
 *
 *   service  += prompt tokens + 2 × output tokens
 *   score    = weightService × (1 − norm(service)) + weightHeadWait × norm(wait of the head)     highest goes; ties: oldest
 *   norm(v)  = (v − min) / (max − min) over the active flows, 0.5 when they are equal
 *
 * next() looks for the least distance from the best possible score, which is the same and needs no division.
 * Fading is done on the scale, not on the values: all stand in units that shrink with time, so that nothing has to be
 * touched between two events, and norm() does not care about the unit.
 *
 * Source: llm-d-router: pkg/epp/framework/plugins/flowcontrol/fairness/programaware
 * @module
 */
import { z } from "zod";
import type { BandFairness, FlowItem, FlowView, TokenUsage } from "../flow/contracts.ts";
import { defineFairnessPolicy } from "../plugin.ts";
import { OutputEstimate } from "./output-estimate.ts";
import { type Program, ProgramTable } from "./program-table.ts";

const OUTPUT_DEFAULT = 256;
/** What an output token costs in prompt tokens. */
const OUTPUT_WEIGHT = 2;

const Parameters = z.strictObject({
  strategy: z.enum(["", "las"]).default("las").meta({
    description: "How the next program is chosen; only least attained service.",
  }),
  evictionTtlSeconds: z.number().min(0).default(3600).meta({
    description: "A program without requests is forgotten after this time; 0 = never.",
    unit: "s",
  }),
  evictionSweepSeconds: z.number().gt(0).default(300).meta({
    description: "Time between two looks for such programs.",
    unit: "s",
  }),
  lasWeightService: z.number().min(0).default(0.8).meta({
    description: "Weight of the service attained.",
    unit: "ratio",
  }),
  lasWeightHeadWait: z.number().min(0).default(0.2).meta({
    description: "Weight of the wait of the flow's head.",
    unit: "ratio",
  }),
  lasHalfLifeSeconds: z.number().min(0).default(60).meta({
    description: "Time in which attained service fades by half; 0 = it does not.",
    unit: "s",
  }),
});

export type ProgramAwareParameters = z.output<typeof Parameters>;

/** Part of the score that one unit takes away; of equal values nothing does. */
const weightOver = (weight: number, range: number): number => (range > 0 ? weight / range : 0);

export class LeastAttainedService implements BandFairness {
  readonly #weightService: number;
  readonly #weightHeadWait: number;
  readonly #programs: ProgramTable;
  readonly #output: OutputEstimate;
  /** Active flows, dense, and beside each its program, the slot of that, and when its head came, ms. */
  readonly #flows: FlowView[] = [];
  readonly #active: Program[] = [];
  #slots = new Int32Array(64);
  #arrivals = new Float64Array(64);

  constructor(
    { lasWeightHeadWait, lasWeightService }: ProgramAwareParameters,
    programs: ProgramTable,
    output: OutputEstimate,
  ) {
    this.#weightService = lasWeightService;
    this.#weightHeadWait = lasWeightHeadWait;
    this.#programs = programs;
    this.#output = output;
  }

  activate(flow: FlowView): void {
    const at = this.#flows.length;
    const program = this.#programs.of(flow.fairnessId);
    program.activeFlows++;
    flow.position = at;
    this.#flows.push(flow);
    this.#active.push(program);
    if (at === this.#slots.length) this.#grow();
    this.#slots[at] = program.slot;
    this.#arrivals[at] = flow.head!.enqueuedAtMs;
  }

  headChanged(flow: FlowView): void {
    this.#arrivals[flow.position] = flow.head!.enqueuedAtMs;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const arrivals = new Float64Array(slots.length);
    slots.set(this.#slots);
    arrivals.set(this.#arrivals);
    this.#slots = slots;
    this.#arrivals = arrivals;
  }

  deactivate(flow: FlowView): void {
    const at = flow.position;
    this.#active[at]!.activeFlows--;
    const lastFlow = this.#flows.pop()!;
    const lastProgram = this.#active.pop()!;
    if (lastFlow !== flow) {
      this.#flows[at] = lastFlow;
      this.#active[at] = lastProgram;
      this.#slots[at] = lastProgram.slot;
      this.#arrivals[at] = this.#arrivals[this.#flows.length]!;
      lastFlow.position = at;
    }
    flow.position = -1;
  }

  next(): FlowView | null {
    const { services } = this.#programs;
    const flows = this.#flows;
    const slots = this.#slots;
    const arrivals = this.#arrivals;
    const { length } = flows;
    let leastService = Number.POSITIVE_INFINITY;
    let mostService = Number.NEGATIVE_INFINITY;
    let oldest = Number.POSITIVE_INFINITY;
    let newest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < length; i++) {
      const service = services[slots[i]!]!;
      const arrival = arrivals[i]!;
      if (service < leastService) leastService = service;
      if (service > mostService) mostService = service;
      if (arrival < oldest) oldest = arrival;
      if (arrival > newest) newest = arrival;
    }
    const perToken = weightOver(this.#weightService, mostService - leastService);
    const perMs = weightOver(this.#weightHeadWait, newest - oldest);
    let best: FlowView | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < length; i++) {
      const behind =
        perToken * (services[slots[i]!]! - leastService) + perMs * (arrivals[i]! - oldest);
      if (behind > least) continue;
      const flow = flows[i]!;
      if (behind === least && flow.head!.sequence > best!.head!.sequence) continue;
      best = flow;
      least = behind;
    }
    return best;
  }

  charge(flow: FlowView, item: FlowItem, nowMs: number): number {
    const { request, uncachedPromptTokens } = item;
    const tokens = uncachedPromptTokens + OUTPUT_WEIGHT * this.#output.of(request);
    this.#programs.dispatched(flow.fairnessId, tokens, nowMs - item.enqueuedAtMs, nowMs);
    return tokens;
  }

  settle(
    { fairnessId }: FlowView,
    _item: FlowItem,
    charged: number,
    usage: TokenUsage | null,
    nowMs: number,
  ): void {
    if (usage === null) {
      this.#programs.ended(fairnessId, 0, nowMs);
      return;
    }
    const { outputTokens, uncachedPromptTokens } = usage;
    if (outputTokens > 0) this.#output.observe(outputTokens);
    const used = uncachedPromptTokens + OUTPUT_WEIGHT * outputTokens;
    this.#programs.ended(fairnessId, used - charged, nowMs);
  }

  forget(): void {}

  stats(nowMs: number): Readonly<Record<string, number>> {
    return this.#programs.stats(nowMs);
  }
}

export const programAwareFairness = defineFairnessPolicy<ProgramAwareParameters>({
  type: "program-aware-fairness",
  stability: "beta",
  summary: "The flow that has been served least, and has waited longest, goes next.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/fairness/programaware",
  parameters: Parameters,
  create(parameters) {
    const { evictionSweepSeconds, evictionTtlSeconds, lasHalfLifeSeconds } = parameters;
    const programs = new ProgramTable(
      lasHalfLifeSeconds * 1000,
      evictionTtlSeconds * 1000,
      evictionSweepSeconds * 1000,
    );
    const output = new OutputEstimate(OUTPUT_DEFAULT);
    return { band: () => new LeastAttainedService(parameters, programs, output) };
  },
});
