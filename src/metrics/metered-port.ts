/**
 * The scheduler's port with a meter on it: how long picks take, and where they go.
 * @module
 */
import type {
  Charge,
  EndpointPool,
  Flight,
  HashPlan,
  InferenceRequest,
  Outcome,
  SubsetHint,
} from "../../scheduler/index.ts";
import type { OutcomeSink, SchedulerPort } from "../ingress/scheduler-port.ts";
import type { Metrics } from "./metrics.ts";
import type { Row } from "./registry.ts";
import type { RequestMetrics } from "./request-metrics.ts";

export interface MeteredPortOptions {
  readonly port: SchedulerPort;
  readonly pool: EndpointPool;
  readonly metrics: Metrics;
  /** Bounds the model names of the labels. */
  readonly requestMetrics: RequestMetrics;
  /** Milliseconds, monotonic, as fine as the platform has them. */
  readonly now: () => number;
}

interface SuccessRow {
  readonly generation: number;
  readonly targetModel: string;
  readonly row: Row;
}

const MS_PER_SECOND = 1000;

/** For ports that give the outcome within `submit`, as the one in this thread does: one pick is under way at a time. */
export class MeteredPort implements SchedulerPort, OutcomeSink {
  readonly #options: MeteredPortOptions;
  #request: InferenceRequest | null = null;
  #sink: OutcomeSink | null = null;
  #startedAtMs = 0;
  readonly #successRows: (SuccessRow | undefined)[] = [];

  constructor(options: MeteredPortOptions) {
    this.#options = options;
  }

  get hashPlans(): readonly HashPlan[] {
    return this.#options.port.hashPlans;
  }

  submit(request: InferenceRequest, subset: SubsetHint | null, sink: OutcomeSink): void {
    this.#request = request;
    this.#sink = sink;
    this.#startedAtMs = this.#options.now();
    this.#options.port.submit(request, subset, this);
  }

  onOutcome(outcome: Outcome): void {
    const { metrics, now, requestMetrics } = this.#options;
    const { pickDuration, schedulerAttempts, schedulerDuration } = metrics.families;
    // The outcome is counted before it is passed on: what the sink does with it is not part of the pick.
    const seconds = (now() - this.#startedAtMs) / MS_PER_SECOND;
    pickDuration.observe(0, seconds);
    schedulerDuration.observe(0, seconds);
    const targetModel = requestMetrics.labels(this.#request!).values[1];
    const row =
      outcome.kind === "picked"
        ? this.#successRow(targetModel, outcome.charges[0]!)
        : schedulerAttempts.row("failure", targetModel, "", "", "");
    schedulerAttempts.add(row);
    const sink = this.#sink!;
    this.#request = null;
    this.#sink = null;
    sink.onOutcome(outcome);
  }

  firstToken(flight: Flight): void {
    this.#options.port.firstToken(flight);
  }

  served(flight: Flight, hostPort: string): boolean {
    return this.#options.port.served(flight, hostPort);
  }

  complete(flight: Flight, cause: Parameters<SchedulerPort["complete"]>[1]): void {
    this.#options.port.complete(flight, cause);
  }

  lastScores(): Record<string, number> {
    return this.#options.port.lastScores();
  }

  /** Of the primary target; remembered by slot, for the model picked for last. */
  #successRow(targetModel: string, { generation, slot }: Charge): Row {
    const known = this.#successRows[slot];
    if (known?.generation === generation && known.targetModel === targetModel) return known.row;
    const { metrics, pool } = this.#options;
    const { name, namespace, port } = pool.metadata(slot);
    const row = metrics.families.schedulerAttempts.row(
      "success",
      targetModel,
      name,
      namespace,
      String(port),
    );
    this.#successRows[slot] = { generation, targetModel, row };
    return row;
  }
}
