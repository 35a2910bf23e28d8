/**
 * A meter on picks: how long they take, and where they go.
 * @module
 */
import type { Charge, EndpointPool, InferenceRequest, Outcome } from "../../scheduler/index.ts";
import type { PickObserver } from "../ingress/scheduler-port.ts";
import type { Metrics } from "./metrics.ts";
import type { Row } from "./registry.ts";
import type { RequestMetrics } from "./request-metrics.ts";

export interface PickMeterOptions {
  readonly pool: EndpointPool;
  readonly metrics: Metrics;
  /** Bounds the model names of the labels. */
  readonly requestMetrics: RequestMetrics;
  /** Milliseconds, monotonic, as fine as the platform has them. */
  readonly now: () => number;
  /** A request that finds no room waits for its next try: only what is final counts as failed. */
  readonly waitsForRoom: boolean;
}

interface SuccessRow {
  readonly generation: number;
  readonly targetModel: string;
  readonly row: Row;
}

const MS_PER_SECOND = 1000;

export class PickMeter implements PickObserver {
  readonly #options: PickMeterOptions;
  #startedAtMs = 0;
  readonly #successRows: (SuccessRow | undefined)[] = [];

  constructor(options: PickMeterOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#startedAtMs = this.#options.now();
  }

  end(request: InferenceRequest, outcome: Outcome): void {
    const { metrics, now, requestMetrics, waitsForRoom } = this.#options;
    const { pickDuration, schedulerAttempts, schedulerDuration } = metrics.families;
    const seconds = (now() - this.#startedAtMs) / MS_PER_SECOND;
    pickDuration.observe(0, seconds);
    schedulerDuration.observe(0, seconds);
    if (outcome.kind === "picked") {
      const targetModel = requestMetrics.labels(request).values[1];
      schedulerAttempts.add(this.#successRow(targetModel, outcome.charges[0]!));
    } else if (!waitsForRoom || outcome.reason !== "filtered-by-load") {
      const targetModel = requestMetrics.labels(request).values[1];
      schedulerAttempts.add(schedulerAttempts.row("failure", targetModel, "", "", ""));
    }
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
