/**
 * Saturation from what engines report: the deeper of queue and KV cache against their thresholds. As a filter it keeps the
 * endpoints with room, and all when none has any.
 *
 *   endpoint    max(queue / queueDepthThreshold, KV / kvCacheUtilThreshold)          1 = set point, not clamped
 *   queue       scraped + own dispatches that the scrape can not have seen − own ends since (inFlightCredit)
 *   stale       saturated   counts 1
 *               ignore      does not count; with everybody stale 0
 *               last-known  keeps its value, corrected as above, up to LAST_KNOWN_MS; 1 after that
 *   pool        mean of the endpoints, or the least of them (min, slots)
 *
 * With `slots` the filter leaves nobody when all are full: then a request whose endpoints are full waits although others
 * have room.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { SaturationDetector } from "../flow/contracts.ts";
import type { Filter, PluginDefinition, PluginHandle } from "../plugin.ts";
import type { InferenceRequest } from "../request.ts";
import { type Aggregation, aggregations } from "./aggregation.ts";
import { positiveDurationMs } from "./duration-parameter.ts";
import { UnseenLoad } from "./unseen-load.ts";

/** Upstream's staleness threshold, and the least of the default. */
const STALENESS_MS_MIN = 200;
/** Scrapes that may be late before a value is stale. */
const INTERVALS_TILL_STALE = 4;
/** Age up to which a last known value is better than none. */
const LAST_KNOWN_MS = 10_000;

type StalenessPolicy = "saturated" | "ignore" | "last-known";

const Parameters = z.strictObject({
  queueDepthThreshold: z.number().int().min(1).default(5).meta({
    description: "Waiting requests of an endpoint that count as full.",
    unit: "requests",
  }),
  kvCacheUtilThreshold: z.number().gt(0).max(1).default(0.8).meta({
    description: "KV-cache utilization of an endpoint that counts as full.",
    unit: "ratio",
  }),
  metricsStalenessThreshold: positiveDurationMs.optional().meta({
    description:
      "Age from which a scrape is stale; default 200 ms or four scrape intervals, whichever is more.",
    unit: "duration",
  }),
  headroom: z.number().min(0).default(0).meta({
    description: "What the filter allows beyond the thresholds, as a fraction of them.",
    unit: "ratio",
  }),
  stalenessPolicy: z.enum(["saturated", "ignore", "last-known"]).optional().meta({
    description:
      "What a stale endpoint counts; default last-known in a pool of one, else saturated.",
  }),
  aggregation: z.enum(aggregations).default("mean").meta({
    description:
      "How endpoints make the pool: mean, or the least; slots also holds back a request whose own endpoints are full.",
  }),
  inFlightCredit: z.boolean().default(true).meta({
    description: "Adds own dispatches that a scrape can not have seen yet to the scraped queue.",
  }),
  compat: z.literal("upstream").optional().meta({
    description: "upstream: no inFlightCredit, and stale endpoints are saturated in any pool.",
  }),
});

export type UtilizationParameters = z.output<typeof Parameters>;

/** Load of one endpoint: 1 = set point. */
export function utilization(
  waiting: number,
  kvUtilization: number,
  queueDepthThreshold: number,
  kvCacheUtilThreshold: number,
): number {
  return Math.max(waiting / queueDepthThreshold, kvUtilization / kvCacheUtilThreshold);
}

/** An endpoint that does not count. */
const NOT_COUNTED = -1;
/** What the pool counts as when nobody is there. */
const EMPTY = 1;
/** Above this, a headroom is most likely meant in percent. */
const HEADROOM_LIKELY_MAX = 1;

class UtilizationDetector implements SaturationDetector, Filter {
  readonly rejects = "filtered-by-load";
  readonly readsScrapes = true;
  /** Under `ignore` the pool looks emptier when an endpoint goes stale; otherwise age only fills it. */
  changesAtMs = Number.POSITIVE_INFINITY;
  readonly #parameters: UtilizationParameters;
  readonly #aggregation: Aggregation;
  readonly #stalenessMs: number;
  readonly #unseen: UnseenLoad | null;

  constructor(parameters: UtilizationParameters, handle: PluginHandle, unseen: UnseenLoad | null) {
    this.#parameters = parameters;
    this.#aggregation = parameters.aggregation;
    this.#unseen = unseen;
    this.#stalenessMs = parameters.metricsStalenessThreshold ?? defaultStalenessMs(handle);
    if (parameters.headroom > HEADROOM_LIKELY_MAX) {
      handle.warn(
        `parameters.headroom: ${parameters.headroom} is a fraction, not a percentage; is it meant?`,
      );
    }
  }

  saturation(candidates: Candidates): number {
    const { count, slots } = candidates;
    if (count === 0) return EMPTY;
    const policy = this.#policy(candidates.pool.liveCount);
    this.changesAtMs = Number.POSITIVE_INFINITY;
    let sum = 0;
    let least = Number.POSITIVE_INFINITY;
    let counted = 0;
    for (let i = 0; i < count; i++) {
      const load = this.#load(candidates, slots[i]!, policy);
      if (load === NOT_COUNTED) continue;
      if (policy === "ignore") this.#noteStaleness(candidates, slots[i]!);
      counted++;
      sum += load;
      if (load < least) least = load;
    }
    if (counted === 0) return 0; // all are stale and ignored: nothing speaks against dispatching
    return this.#aggregation === "mean" ? sum / counted : least;
  }

  staleEndpoints(candidates: Candidates): number {
    const { count, slots } = candidates;
    let stale = 0;
    for (let i = 0; i < count; i++) {
      if (!this.#isFresh(candidates, slots[i]!)) stale++;
    }
    return stale;
  }

  filter(_request: InferenceRequest, candidates: Candidates): void {
    const { columns, count, slots } = candidates;
    const { headroom, kvCacheUtilThreshold, queueDepthThreshold } = this.#parameters;
    const waitingMax = queueDepthThreshold * (1 + headroom);
    const kvMax = kvCacheUtilThreshold * (1 + headroom);
    const policy = this.#policy(candidates.pool.liveCount);
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (!this.#isUsable(candidates, slot, policy)) continue;
      if (this.#waiting(candidates, slot) >= waitingMax) continue;
      if (columns.kvUtilization[slot]! >= kvMax) continue;
      slots[kept++] = slot;
    }
    if (kept > 0 || this.#aggregation === "slots") candidates.count = kept;
  }

  #policy(endpoints: number): StalenessPolicy {
    const { compat, stalenessPolicy } = this.#parameters;
    if (stalenessPolicy !== undefined) return stalenessPolicy;
    return endpoints === 1 && compat === undefined ? "last-known" : "saturated";
  }

  #load(candidates: Candidates, slot: number, policy: StalenessPolicy): number {
    if (!this.#isUsable(candidates, slot, policy)) return policy === "ignore" ? NOT_COUNTED : 1;
    const { kvCacheUtilThreshold, queueDepthThreshold } = this.#parameters;
    return utilization(
      this.#waiting(candidates, slot),
      candidates.columns.kvUtilization[slot]!,
      queueDepthThreshold,
      kvCacheUtilThreshold,
    );
  }

  #noteStaleness({ columns }: Candidates, slot: number): void {
    const atMs = columns.scrapedAtMs[slot]! + this.#stalenessMs + 1;
    if (atMs < this.changesAtMs) this.changesAtMs = atMs;
  }

  #isUsable(candidates: Candidates, slot: number, policy: StalenessPolicy): boolean {
    return policy === "last-known"
      ? isYounger(candidates, slot, Math.max(LAST_KNOWN_MS, this.#stalenessMs))
      : this.#isFresh(candidates, slot);
  }

  #isFresh(candidates: Candidates, slot: number): boolean {
    return isYounger(candidates, slot, this.#stalenessMs);
  }

  #waiting({ columns }: Candidates, slot: number): number {
    const waiting = columns.waiting[slot]!;
    return this.#unseen === null ? waiting : Math.max(0, waiting + this.#unseen.of(slot));
  }
}

function isYounger({ columns, nowMs }: Candidates, slot: number, ageMs: number): boolean {
  const scrapedAtMs = columns.scrapedAtMs[slot]!;
  return scrapedAtMs !== 0 && nowMs - scrapedAtMs <= ageMs;
}

function defaultStalenessMs({ scrapeIntervalMs = 0 }: PluginHandle): number {
  return Math.max(STALENESS_MS_MIN, INTERVALS_TILL_STALE * scrapeIntervalMs);
}

export const utilizationDetector: PluginDefinition<UtilizationParameters> = {
  type: "utilization-detector",
  kinds: ["saturation-detector", "filter"],
  stability: "beta",
  summary: "How full queues and KV caches of the engines are, as they report it.",
  source:
    "llm-d-router: pkg/epp/framework/plugins/flowcontrol/saturationdetector/utilization; credit, min, slots and last-known are ours",
  parameters: Parameters,
  create: (parameters, handle) => {
    const hasCredit = parameters.inFlightCredit && parameters.compat === undefined;
    const unseen = hasCredit ? new UnseenLoad(handle.pool, handle.clock) : null;
    const detector = new UtilizationDetector(parameters, handle, unseen);
    return {
      saturationDetector: detector,
      filter: detector,
      ...(unseen === null ? {} : { producer: unseen }),
    };
  },
};
