/**
 * Metrics of flow control: histograms and counters as it happens, rows resolved once per combination of labels; gauges are
 * computed when somebody scrapes.
 * @module
 */
import type { FlowControlStats, FlowOutcome, Ticket } from "../../scheduler/index.ts";
import type { FlowMeter } from "../ingress/flow-port.ts";
import type { Metrics } from "./metrics.ts";
import type { Row } from "./registry.ts";
import type { FlowRows, RequestLabels, RequestMetrics } from "./request-metrics.ts";

const MS_PER_SECOND = 1000;

/** Label of requests that were taken in, as upstream has it. */
const NOT_FINALIZED = "NotYetFinalized";
/** Name that program-aware-fairness has for it. */
const FAIRNESS_INDEX = "fairnessIndex";
const STAGES = ["prefill", "decode", "effective"] as const;

/** What gauges are computed from. */
export interface FlowPicture {
  stats(): FlowControlStats;
  tickets(): Iterable<Ticket>;
  staleEndpoints(): number;
}

export interface FlowMetricsOptions {
  readonly metrics: Metrics;
  /** Bounds the names that clients choose. */
  readonly requestMetrics: RequestMetrics;
  readonly poolName: string;
  /** Instance name of the saturation detector. */
  readonly detector: string;
}

export class FlowMetrics implements FlowMeter {
  readonly #options: FlowMetricsOptions;
  /** The request whose wait was over last, and how: it may be the one that is being submitted. */
  #finishedTicket: Ticket | null = null;
  #finishedOutcome: FlowOutcome = "Dispatched";

  constructor(options: FlowMetricsOptions) {
    this.#options = options;
  }

  submitted(ticket: Ticket, ms: number): void {
    const { metrics, requestMetrics } = this.#options;
    const { flowEnqueueDuration } = metrics.families;
    const labels = requestMetrics.labels(ticket.request);
    let row: Row;
    if (ticket.outcome?.kind === "rejected" && this.#finishedTicket === ticket) {
      const [, , fairnessId, priority] = labels.values;
      row = flowEnqueueDuration.row(fairnessId, priority, this.#finishedOutcome);
    } else row = this.#rows(labels).enqueued;
    this.#finishedTicket = null;
    flowEnqueueDuration.observe(row, ms / MS_PER_SECOND);
  }

  cycle(ms: number): void {
    this.#options.metrics.families.flowCycleDuration.observe(0, ms / MS_PER_SECOND);
  }

  finished(ticket: Ticket, outcome: FlowOutcome, waitedMs: number): void {
    const { metrics, poolName, requestMetrics } = this.#options;
    const { flowQueueDuration, flowRequests } = metrics.families;
    this.#finishedTicket = ticket;
    this.#finishedOutcome = outcome;
    const labels = requestMetrics.labels(ticket.request);
    const seconds = waitedMs / MS_PER_SECOND;
    if (outcome === "Dispatched") {
      const rows = this.#rows(labels);
      flowQueueDuration.observe(rows.dispatchedDuration, seconds);
      flowRequests.add(rows.dispatched);
      return;
    }
    const [model, targetModel, fairnessId, priority] = labels.values;
    flowQueueDuration.observe(
      flowQueueDuration.row(fairnessId, priority, outcome, poolName, model, targetModel),
      seconds,
    );
    flowRequests.add(flowRequests.row(outcome, priority, poolName));
  }

  revoked(priority: number, count: number): void {
    const { metrics, poolName } = this.#options;
    const { flowRevocationsIssued } = metrics.families;
    flowRevocationsIssued.add(flowRevocationsIssued.row(String(priority), poolName), count);
  }

  revocationEnded(outcome: "confirmed" | "timed_out", afterMs: number): void {
    const { metrics, poolName } = this.#options;
    const { flowRevocationConfirmation, flowRevocations } = metrics.families;
    flowRevocations.add(flowRevocations.row(outcome, poolName));
    if (outcome !== "confirmed") return;
    flowRevocationConfirmation.observe(
      flowRevocationConfirmation.row(poolName),
      afterMs / MS_PER_SECOND,
    );
  }

  /** Brings the gauges up to date. */
  collect(picture: FlowPicture): void {
    const { detector, metrics, poolName } = this.#options;
    const { families } = metrics;
    const stats = picture.stats();
    this.#collectQueues(picture.tickets());
    families.flowPoolSaturation.clear(); // an empty stage has no series
    for (const stage of STAGES) {
      const saturation = stats.saturation[stage];
      if (Number.isNaN(saturation)) continue;
      families.flowPoolSaturation.set(families.flowPoolSaturation.row(poolName, stage), saturation);
    }
    families.flowStaleEndpoints.set(
      families.flowStaleEndpoints.row(detector),
      picture.staleEndpoints(),
    );
    families.flowCapacityRequests.clear();
    families.flowCapacityBytes.clear();
    for (const band of stats.bands) {
      const labels = [String(band.priority), poolName] as const;
      const { flowCapacityBytes, flowCapacityRequests } = families;
      flowCapacityRequests.set(
        flowCapacityRequests.row(...labels),
        share(band.requests, band.maxRequests),
      );
      flowCapacityBytes.set(flowCapacityBytes.row(...labels), share(band.bytes, band.maxBytes));
    }
    // The bands of one policy share their programs.
    const index = stats.bands.find(({ fairness }) => fairness[FAIRNESS_INDEX] !== undefined);
    if (index !== undefined) {
      const { flowFairnessIndex } = families;
      flowFairnessIndex.set(flowFairnessIndex.row(), index.fairness[FAIRNESS_INDEX]!);
    }
    this.#collectTotals(stats);
  }

  #collectTotals(stats: FlowControlStats): void {
    const { metrics, poolName } = this.#options;
    const {
      flowGlobalCapacityBytes,
      flowGlobalCapacityRequests,
      flowPendingReclaim,
      flowReclaimTarget,
    } = metrics.families;
    if (stats.maxRequests > 0) {
      flowGlobalCapacityRequests.set(
        flowGlobalCapacityRequests.row(poolName),
        share(stats.requests, stats.maxRequests),
      );
    }
    if (stats.maxBytes > 0) {
      flowGlobalCapacityBytes.set(
        flowGlobalCapacityBytes.row(poolName),
        share(stats.bytes, stats.maxBytes),
      );
    }
    flowReclaimTarget.set(flowReclaimTarget.row(poolName), stats.reclaimTarget);
    flowPendingReclaim.set(flowPendingReclaim.row(poolName), stats.pendingReclaim);
  }

  /** Series of flows that have nothing queued stay, with 0. */
  #collectQueues(tickets: Iterable<Ticket>): void {
    const { metrics, poolName, requestMetrics } = this.#options;
    const { flowQueueBytes, flowQueueSize } = metrics.families;
    flowQueueSize.zero();
    flowQueueBytes.zero();
    for (const { request } of tickets) {
      const [model, targetModel, fairnessId, priority] = requestMetrics.labels(request).values;
      const labels = [fairnessId, priority, poolName, model, targetModel] as const;
      flowQueueSize.add(flowQueueSize.row(...labels));
      flowQueueBytes.add(flowQueueBytes.row(...labels), request.bodyBytes);
    }
  }

  #rows(labels: RequestLabels): FlowRows {
    if (labels.flow !== null) return labels.flow;
    const { metrics, poolName } = this.#options;
    const { flowEnqueueDuration, flowQueueDuration, flowRequests } = metrics.families;
    const [model, targetModel, fairnessId, priority] = labels.values;
    labels.flow = {
      enqueued: flowEnqueueDuration.row(fairnessId, priority, NOT_FINALIZED),
      dispatched: flowRequests.row("Dispatched", priority, poolName),
      dispatchedDuration: flowQueueDuration.row(
        fairnessId,
        priority,
        "Dispatched",
        poolName,
        model,
        targetModel,
      ),
    };
    return labels.flow;
  }
}

function share(used: number, max: number): number {
  return max > 0 ? used / max : 0;
}
