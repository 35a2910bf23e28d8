/**
 * Fairness between flows in its plainest form: arrays, linear scans, one quantum at a time. The reference of the flow-control
 * model test; nothing here is shared with the product.
 * @module
 */

export interface NaiveItem {
  readonly sequence: number;
  readonly enqueuedAtMs: number;
  readonly promptTokens: number;
  readonly maxOutputTokens: number;
  key: number;
}

export interface NaiveFlow {
  readonly id: string;
  /** In no order. */
  readonly items: NaiveItem[];
}

/** First of a flow by key, then arrival. */
export function headOf({ items }: NaiveFlow): NaiveItem {
  return items.reduce((a, b) =>
    b.key < a.key || (b.key === a.key && b.sequence < a.sequence) ? b : a,
  );
}

/** Mean output, as both token-counting policies learn it; one a policy instance. */
export class NaiveOutput {
  mean = 256;

  of(item: NaiveItem): number {
    const expected = Math.round(this.mean);
    return item.maxOutputTokens >= 0 ? Math.min(expected, item.maxOutputTokens) : expected;
  }

  observe(tokens: number): void {
    if (tokens > 0) this.mean += (tokens - this.mean) / 32;
  }
}

export interface NaiveUsage {
  readonly prompt: number;
  readonly output: number;
}

export interface NaiveFairness {
  activate(flow: NaiveFlow): void;
  deactivate(flow: NaiveFlow): void;
  next(): NaiveFlow;
  /** Before the item has left the flow. @returns what was charged */
  charge(flow: NaiveFlow, item: NaiveItem): number;
  settle(flow: NaiveFlow, charged: number, usage: NaiveUsage | null): void;
  forget(flow: NaiveFlow): void;
}

export class NaiveStrict implements NaiveFairness {
  readonly #active: NaiveFlow[] = [];

  activate(flow: NaiveFlow): void {
    this.#active.push(flow);
  }

  deactivate(flow: NaiveFlow): void {
    this.#active.splice(this.#active.indexOf(flow), 1);
  }

  next(): NaiveFlow {
    return this.#active.reduce((a, b) => {
      const x = headOf(a);
      const y = headOf(b);
      return y.key < x.key || (y.key === x.key && y.sequence < x.sequence) ? b : a;
    });
  }

  charge(): number {
    return 1;
  }

  settle(): void {}
  forget(): void {}
}

/** The list begins with the flow whose turn it is. */
export class NaiveTurns implements NaiveFairness {
  protected readonly turns: NaiveFlow[] = [];

  activate(flow: NaiveFlow): void {
    this.turns.push(flow);
  }

  deactivate(flow: NaiveFlow): void {
    this.turns.splice(this.turns.indexOf(flow), 1);
  }

  next(): NaiveFlow {
    const flow = this.turns.shift()!;
    this.turns.push(flow);
    return flow;
  }

  charge(_flow: NaiveFlow, _item: NaiveItem): number {
    return 1;
  }

  settle(_flow: NaiveFlow, _charged: number, _usage: NaiveUsage | null): void {}
  forget(_flow: NaiveFlow): void {}
}

export class NaiveDeficit extends NaiveTurns {
  readonly #saved = new Map<NaiveFlow, number>();
  readonly #output: NaiveOutput;
  readonly #quantum: number;
  readonly #weights: Readonly<Record<string, number>>;
  #paid: NaiveFlow | null = null;

  constructor(output: NaiveOutput, quantum: number, weights: Readonly<Record<string, number>>) {
    super();
    this.#output = output;
    this.#quantum = quantum;
    this.#weights = weights;
  }

  override deactivate(flow: NaiveFlow): void {
    super.deactivate(flow);
    if (this.#paid === flow) this.#paid = null;
    if ((this.#saved.get(flow) ?? 0) > 0) this.#saved.delete(flow);
  }

  override next(): NaiveFlow {
    for (;;) {
      const flow = this.turns[0]!;
      if (this.#paid !== flow) {
        this.#add(flow, this.#quantum * (this.#weights[flow.id] ?? 1));
        this.#paid = flow;
      }
      if (this.#cost(headOf(flow)) <= this.#saved.get(flow)!) return flow;
      this.turns.push(this.turns.shift()!);
      this.#paid = null;
    }
  }

  #cost(item: NaiveItem): number {
    return Math.max(1, item.promptTokens + this.#output.of(item));
  }

  #add(flow: NaiveFlow, tokens: number): void {
    const saved = (this.#saved.get(flow) ?? 0) + tokens;
    if (this.turns.includes(flow) || saved < 0) this.#saved.set(flow, saved);
    else this.#saved.delete(flow);
  }

  override charge(flow: NaiveFlow, item: NaiveItem): number {
    const cost = this.#cost(item);
    this.#add(flow, -cost);
    return cost;
  }

  override settle(flow: NaiveFlow, charged: number, usage: NaiveUsage | null): void {
    if (usage === null) return;
    this.#output.observe(usage.output);
    this.#add(flow, charged - usage.prompt - usage.output);
  }

  override forget(flow: NaiveFlow): void {
    this.#saved.delete(flow);
  }
}

/** Without fading; `service` is shared by the bands of one instance. */
export class NaiveService implements NaiveFairness {
  readonly #active: NaiveFlow[] = [];
  readonly #service: Map<string, number>;
  readonly #output: NaiveOutput;

  constructor(service: Map<string, number>, output: NaiveOutput) {
    this.#service = service;
    this.#output = output;
  }

  activate(flow: NaiveFlow): void {
    this.#active.push(flow);
  }

  deactivate(flow: NaiveFlow): void {
    this.#active.splice(this.#active.indexOf(flow), 1);
  }

  next(): NaiveFlow {
    const services = this.#active.map(({ id }) => this.#service.get(id) ?? 0);
    const arrivals = this.#active.map((flow) => headOf(flow).enqueuedAtMs);
    const rated = this.#active.map((flow, i) => ({
      flow,
      score:
        0.8 * (1 - rank(services[i]!, services)) +
        0.2 *
          rank(
            -arrivals[i]!,
            arrivals.map((arrival) => -arrival),
          ),
      sequence: headOf(flow).sequence,
    }));
    const best = Math.max(...rated.map(({ score }) => score));
    const candidates = rated.filter(({ score }) => score === best);
    return candidates.reduce((a, b) => (b.sequence < a.sequence ? b : a)).flow;
  }

  charge(flow: NaiveFlow, item: NaiveItem): number {
    const tokens = item.promptTokens + 2 * this.#output.of(item);
    this.#service.set(flow.id, (this.#service.get(flow.id) ?? 0) + tokens);
    return tokens;
  }

  settle(flow: NaiveFlow, charged: number, usage: NaiveUsage | null): void {
    if (usage === null) return;
    this.#output.observe(usage.output);
    const service = (this.#service.get(flow.id) ?? 0) + usage.prompt + 2 * usage.output - charged;
    this.#service.set(flow.id, Math.max(0, service));
  }

  forget(): void {}
}

function rank(value: number, values: readonly number[]): number {
  const min = Math.min(...values);
  const max = Math.max(...values);
  return max === min ? 0.5 : (value - min) / (max - min);
}
