/**
 * Metrics of one request's life. Label values are resolved to rows once per combination and kept; names that come from
 * clients are bounded, later ones count as "other".
 * @module
 */
import type { Flight, InferenceRequest, StagesDecision } from "../../scheduler/index.ts";
import { AnswerMetrics, AnswerRows } from "./answer-metrics.ts";
import { LabelGuard } from "./label-guard.ts";
import type { Metrics } from "./metrics.ts";
import { OTHER, type Row } from "./registry.ts";

/** Combinations remembered; beyond this the memory is emptied, the series stay. */
const COMBINATIONS_MAX = 4096;

/** Rows of flow control, made when it first sees the combination. */
export interface FlowRows {
  readonly enqueued: Row;
  readonly dispatched: Row;
  readonly dispatchedDuration: Row;
}

/** Rows of one combination of model, target, fairness id and priority. */
export interface RequestLabels {
  readonly values: readonly [string, string, string, string];
  readonly priority: number;
  readonly total: Row;
  readonly duration: Row;
  readonly size: Row;
  readonly responseSize: Row;
  readonly running: Row;
  readonly ttftStreaming: Row;
  readonly ttftWhole: Row;
  readonly answer: AnswerRows;
  flow: FlowRows | null;
}

const NO_LABELS = ["", "", "", "0"] as const;

export class RequestMetrics {
  failedStreams = 0;
  readonly answers: AnswerMetrics;
  readonly #metrics: Metrics;
  readonly #models = new LabelGuard();
  readonly #fairnessIds = new LabelGuard();
  readonly #known = new Map<string, RequestLabels>();
  #last: RequestLabels | null = null;
  readonly #processing: Row;
  /** By the first digit of the status; others share the row at 0. */
  readonly #statusRows: readonly Row[];

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.answers = new AnswerMetrics(metrics);
    this.#processing = metrics.families.requestProcessing.row();
    const { upstreamResponses } = metrics.families;
    this.#statusRows = [OTHER, "1xx", "2xx", "3xx", "4xx", "5xx"].map((status) =>
      upstreamResponses.row(status),
    );
    metrics.onCollect(() =>
      metrics.families.failedStreams.set(metrics.families.failedStreams.row(), this.failedStreams),
    );
  }

  labels(request: InferenceRequest): RequestLabels {
    const { fairnessId, model, priority, targetModel } = request;
    // Most requests are like the one before, and each asks twice.
    const last = this.#last;
    if (
      last !== null &&
      last.values[0] === model &&
      last.values[1] === targetModel &&
      last.values[2] === fairnessId &&
      last.priority === priority
    ) {
      return last;
    }
    this.#last = this.#labelsOf(request);
    return this.#last;
  }

  #labelsOf(request: InferenceRequest): RequestLabels {
    // Bounded before they are remembered: the memory must not hold what clients make up.
    const values = [
      this.#models.admit(request.model),
      this.#models.admit(request.targetModel),
      this.#fairnessIds.admit(request.fairnessId),
      String(request.priority),
    ] as const;
    const key = `${values[0].length}:${values[0]}${values[1].length}:${values[1]}${values[2].length}:${values[2]}${values[3]}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= COMBINATIONS_MAX) this.#known.clear();
    const { families } = this.#metrics;
    const labels: RequestLabels = {
      values,
      priority: request.priority,
      total: families.requestTotal.row(...values),
      duration: families.requestDuration.row(...values),
      size: families.requestSize.row(...values),
      responseSize: families.responseSize.row(...values),
      running: families.requestRunning.row(...values),
      ttftStreaming: families.requestTtft.row(...values, "true"),
      ttftWhole: families.requestTtft.row(...values, "false"),
      answer: new AnswerRows(values),
      flow: null,
    };
    this.#known.set(key, labels);
    return labels;
  }

  /** Names of models that are always labels of their own: those of rewrite rules. */
  exempt(modelNames: ReadonlySet<string>): void {
    this.#models.exempt(modelNames);
    this.#last = null; // whose model may have been "other" until now
  }

  /** A rule has decided on a request's model. */
  rewritten(rewrite: string, model: string, targetModel: string): void {
    const { modelRewrites } = this.#metrics.families;
    modelRewrites.add(
      modelRewrites.row(rewrite, this.#models.admit(model), this.#models.admit(targetModel)),
    );
  }

  picked(labels: RequestLabels, flight: Flight, nowMs: number): void {
    const { families } = this.#metrics;
    families.requestTotal.add(labels.total);
    if (countsAsRunning(labels)) families.requestRunning.add(labels.running);
    families.requestSize.observe(labels.size, flight.request.bodyBytes);
    families.requestProcessing.observe(
      this.#processing,
      (nowMs - flight.request.arrivedAtMs) / 1000,
    );
    if (flight.stages !== null) this.#countStages(labels, flight.stages);
  }

  #countStages(labels: RequestLabels, stages: StagesDecision): void {
    const { disaggDecisions, pdDecisions } = this.#metrics.families;
    const { decision, pluginName, pluginType } = stages;
    const family = pluginType === "pd-profile-handler" ? pdDecisions : disaggDecisions;
    family.add(family.row(pluginName, pluginType, labels.values[0], decision));
  }

  firstByte(labels: RequestLabels, request: InferenceRequest, nowMs: number): void {
    this.#metrics.families.requestTtft.observe(
      request.streaming ? labels.ttftStreaming : labels.ttftWhole,
      (nowMs - request.arrivedAtMs) / 1000,
    );
  }

  completed(
    labels: RequestLabels,
    request: InferenceRequest,
    nowMs: number,
    responseBytes: number,
    responseStatus: number,
    hasGrpcError = false,
  ): void {
    const { families } = this.#metrics;
    if (countsAsRunning(labels)) families.requestRunning.add(labels.running, -1);
    families.requestDuration.observe(labels.duration, (nowMs - request.arrivedAtMs) / 1000);
    families.responseSize.observe(labels.responseSize, responseBytes);
    if (responseStatus >= 400 || hasGrpcError) this.rejected(labels, "ModelServerError");
    if (responseStatus === 0) return;
    const row = this.#statusRows[Math.floor(responseStatus / 100)] ?? this.#statusRows[0]!;
    families.upstreamResponses.add(row);
  }

  rejected(labels: RequestLabels | null, errorCode: string): void {
    const family = this.#metrics.families.requestErrorTotal;
    family.add(family.row(...(labels?.values ?? NO_LABELS), errorCode));
  }
}

/** Upstream counts requests of a known model only. */
function countsAsRunning({ values: [model] }: RequestLabels): boolean {
  return model !== "";
}
