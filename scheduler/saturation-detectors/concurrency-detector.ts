/**
 * Saturation from our own requests in flight: live, moves with every pick and every end. As a filter it keeps the endpoints
 * below their limit and leaves nobody when all are at it.
 *
 *   requests   Σ requests / (n × maxConcurrency)           tokens   Σ tokens / (n × maxTokenConcurrency)
 *   hybrid     mean over endpoints of the larger ratio     min, slots: the least ratio of an endpoint, in any mode
 *   filter     load < trunc(limit × (1 + headroom)), in hybrid mode both loads
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { InflightLoad } from "../data.ts";
import type { SaturationDetector } from "../flow/contracts.ts";
import { defineSaturationDetector, type Filter } from "../plugin.ts";
import type { InferenceRequest } from "../request.ts";
import { aggregations } from "./aggregation.ts";

const PRODUCER = "inflight-load-producer";

const Parameters = z.strictObject({
  maxConcurrency: z.number().int().min(1).default(100).meta({
    description: "Requests in flight at which an endpoint is full.",
    unit: "requests",
  }),
  maxTokenConcurrency: z.number().int().min(1).default(1_000_000).meta({
    description: "Tokens in flight at which an endpoint is full.",
    unit: "tokens",
  }),
  concurrencyMode: z.enum(["requests", "tokens", "hybrid"]).default("requests").meta({
    description: "What is counted; hybrid takes the fuller of the two.",
  }),
  headroom: z.number().min(0).default(0).meta({
    description: "What the filter allows beyond the limits, as a fraction of them.",
    unit: "ratio",
  }),
  inFlightLoadProducerName: z
    .string()
    .default("")
    .meta({
      description: `Producer of the load; empty = ${PRODUCER}.`,
    }),
  aggregation: z.enum(aggregations).default("mean").meta({
    description:
      "How endpoints make the pool: mean, or the least; with slots a request waits when its own endpoints are full.",
  }),
});

export type ConcurrencyParameters = z.output<typeof Parameters>;

class ConcurrencyDetector implements SaturationDetector, Filter {
  readonly rejects = "filtered-by-load";
  readonly readsScrapes = false;
  readonly #parameters: ConcurrencyParameters;
  readonly #load: InflightLoad;

  constructor(parameters: ConcurrencyParameters, load: InflightLoad) {
    this.#parameters = parameters;
    this.#load = load;
  }

  saturation({ count, slots }: Candidates): number {
    if (count === 0) return 1;
    const isMean = this.#parameters.aggregation === "mean";
    let sum = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      const ratio = this.#ratio(slots[i]!);
      sum += ratio;
      if (ratio < least) least = ratio;
    }
    return isMean ? sum / count : least;
  }

  filter(_request: InferenceRequest, candidates: Candidates): void {
    const { concurrencyMode, headroom, maxConcurrency, maxTokenConcurrency } = this.#parameters;
    const { count, slots } = candidates;
    const { requests, tokens } = this.#load;
    const requestsMax =
      concurrencyMode === "tokens" ? Infinity : Math.trunc(maxConcurrency * (1 + headroom));
    const tokensMax =
      concurrencyMode === "requests" ? Infinity : Math.trunc(maxTokenConcurrency * (1 + headroom));
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (requests[slot]! < requestsMax && tokens[slot]! < tokensMax) slots[kept++] = slot;
    }
    candidates.count = kept;
  }

  #ratio(slot: number): number {
    const { concurrencyMode, maxConcurrency, maxTokenConcurrency } = this.#parameters;
    const { requests, tokens } = this.#load;
    switch (concurrencyMode) {
      case "requests":
        return requests[slot]! / maxConcurrency;
      case "tokens":
        return tokens[slot]! / maxTokenConcurrency;
      case "hybrid":
        return Math.max(requests[slot]! / maxConcurrency, tokens[slot]! / maxTokenConcurrency);
    }
  }
}

export const concurrencyDetector = defineSaturationDetector({
  type: "concurrency-detector",
  stability: "beta",
  summary: "How many of our own requests or tokens are in flight, against a limit per endpoint.",
  source:
    "llm-d-router: pkg/epp/framework/plugins/flowcontrol/saturationdetector/concurrency; min and slots are ours",
  parameters: Parameters,
  consumes: ({ inFlightLoadProducerName }) => [
    { type: "inflight-load", producer: inFlightLoadProducerName || PRODUCER, required: true },
  ],
  create: (parameters, handle) => {
    const producer = parameters.inFlightLoadProducerName || PRODUCER;
    return new ConcurrencyDetector(parameters, handle.consume("inflight-load", producer)!);
  },
});
