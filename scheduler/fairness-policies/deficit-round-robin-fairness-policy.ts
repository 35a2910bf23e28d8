/**
 * Turns by work: each turn gives a flow a quantum of tokens, and it sends requests as long as what it has saved covers their
 * cost. Flows get equal tokens (or in proportion to their weights), not equal requests.
 *
 *   cost = prompt tokens not in a cache + expected output     settled by what was really used when the request ends
 *
 * What a flow has saved is lost when it runs empty; what it owes is not. Over any time in which two flows always have
 * something queued, what they were charged, each divided by its weight, differs by no more than a quantum and the cost of a
 * largest request.
 *
 * Source: M. Shreedhar, G. Varghese: Efficient fair queuing using deficit round-robin (1996).
 * @module
 */
import { z } from "zod";
import type { BandFairness, FlowItem, FlowView, TokenUsage } from "../flow/contracts.ts";
import { defineFairnessPolicy } from "../plugin.ts";
import { FlowRing } from "./flow-ring.ts";
import { OutputEstimate } from "./output-estimate.ts";

const QUANTUM_DEFAULT = 4096;
const OUTPUT_DEFAULT = 256;

const Parameters = z.strictObject({
  quantumTokens: z.number().int().min(1).default(QUANTUM_DEFAULT).meta({
    description: "Tokens that a flow of weight 1 is given each turn.",
    unit: "tokens",
  }),
  expectedOutputTokens: z.number().int().min(0).default(OUTPUT_DEFAULT).meta({
    description: "Expected output until requests have ended and tell their mean.",
    unit: "tokens",
  }),
  weights: z.record(z.string(), z.number().min(0.01).max(1000)).default({}).meta({
    description: "Share of a fairness id relative to the others, which have 1.",
    unit: "ratio",
  }),
});

export type DeficitParameters = z.output<typeof Parameters>;

export class DeficitRoundRobin implements BandFairness {
  readonly #quantum: number;
  readonly #weights: ReadonlyMap<string, number>;
  readonly #output: OutputEstimate;
  readonly #ring = new FlowRing();
  /** What an active flow has saved, tokens, by its position; negative = it owes. */
  readonly #saved: number[] = [];
  /** Debts of flows that are not active. */
  readonly #debts = new Map<FlowView, number>();
  /** True when the current flow has been given its quantum of this turn. */
  #isPaid = false;

  constructor(
    { quantumTokens, weights }: Omit<DeficitParameters, "expectedOutputTokens">,
    output: OutputEstimate,
  ) {
    this.#quantum = quantumTokens;
    this.#weights = new Map(Object.entries(weights));
    this.#output = output;
  }

  activate(flow: FlowView): void {
    this.#ring.add(flow);
    this.#saved[flow.position] = this.#debts.get(flow) ?? 0;
    this.#debts.delete(flow);
    if (this.#ring.size === 1) this.#isPaid = false;
  }

  headChanged(): void {}

  deactivate(flow: FlowView): void {
    const saved = this.#saved[flow.position]!;
    if (saved < 0) this.#debts.set(flow, saved);
    if (this.#ring.current === flow) this.#isPaid = false;
    this.#ring.remove(flow);
  }

  next(): FlowView | null {
    const ring = this.#ring;
    for (let visited = 0; ring.size > 0; visited++) {
      const flow = ring.current!;
      if (!this.#isPaid) this.#pay(flow, 1);
      this.#isPaid = true;
      if (this.#cost(flow.head!) <= this.#saved[flow.position]!) return flow;
      ring.advance();
      this.#isPaid = false;
      // A round in which nobody could pay: as many further ones as that lasts are done at once.
      if (visited >= ring.size) {
        this.#skipRounds();
        visited = -1;
      }
    }
    return null;
  }

  /** Gives everybody the quanta of the rounds that would pass without a request. */
  #skipRounds(): void {
    const ring = this.#ring;
    let rounds = Number.POSITIVE_INFINITY;
    for (let i = 0; i < ring.size; i++, ring.advance()) {
      const flow = ring.current!;
      const missing = this.#cost(flow.head!) - this.#saved[flow.position]!;
      rounds = Math.min(rounds, Math.ceil(missing / this.#share(flow)) - 1);
    }
    if (!(rounds > 0)) return;
    for (let i = 0; i < ring.size; i++, ring.advance()) this.#pay(ring.current!, rounds);
  }

  #pay(flow: FlowView, quanta: number): void {
    this.#saved[flow.position] = this.#saved[flow.position]! + this.#share(flow) * quanta;
  }

  #share({ fairnessId }: FlowView): number {
    if (this.#weights.size === 0) return this.#quantum;
    return this.#quantum * (this.#weights.get(fairnessId) ?? 1);
  }

  #cost({ request, uncachedPromptTokens }: FlowItem): number {
    return Math.max(1, uncachedPromptTokens + this.#output.of(request));
  }

  charge(flow: FlowView, item: FlowItem): number {
    const cost = this.#cost(item);
    this.#add(flow, -cost);
    return cost;
  }

  settle(flow: FlowView, _item: FlowItem, charged: number, usage: TokenUsage | null): void {
    if (usage === null) return;
    const { outputTokens, uncachedPromptTokens } = usage;
    if (outputTokens > 0) this.#output.observe(outputTokens);
    this.#add(flow, charged - uncachedPromptTokens - outputTokens);
  }

  #add(flow: FlowView, tokens: number): void {
    if (this.#ring.has(flow)) {
      this.#saved[flow.position] = this.#saved[flow.position]! + tokens;
      return;
    }
    const debt = (this.#debts.get(flow) ?? 0) + tokens;
    if (debt < 0) this.#debts.set(flow, debt);
    else this.#debts.delete(flow);
  }

  forget(flow: FlowView): void {
    this.#debts.delete(flow);
  }
}

export const deficitRoundRobinFairnessPolicy = defineFairnessPolicy<DeficitParameters>({
  type: "deficit-round-robin-fairness-policy",
  stability: "beta",
  summary: "Flows of a band get equal or weighted shares of tokens, whatever their requests cost.",
  source: "ours",
  parameters: Parameters,
  create(parameters) {
    const output = new OutputEstimate(parameters.expectedOutputTokens);
    return { band: () => new DeficitRoundRobin(parameters, output) };
  },
});
