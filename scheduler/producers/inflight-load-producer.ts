/**
 * Own load per endpoint: how many requests are out, and how many tokens they still have to compute. Publishes
 * `inflight-load` (live) and `uncached-request-tokens` (what this request would add).
 *
 * Division of labor: this producer only writes the charges of a flight; the scheduler books the difference into the pool's
 * columns within the same call, so counting exists once and every charge is given back exactly once.
 *
 *   account     charge.tokens += projection for that endpoint
 *   firstToken  the prompt is computed. Without output in the projection: all tokens are given back. Always: the charges
 *               that are not the primary's are given back whole, since their stage (prefill, encode) ended when the
 *               primary began to answer; profile names do not matter.
 *   complete    the scheduler gives back what is left
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import { InflightLoad, type PrefixMatch, UncachedRequestTokens } from "../data.ts";
import type { EndpointPool } from "../endpoints.ts";
import type { Flight } from "../flight.ts";
import { defineProducer, type PluginHandle, type Producer } from "../plugin.ts";
import type { InferenceRequest } from "../request.ts";

const OUTPUT_RATIO_DEFAULT = 1.5;

const Parameters = z.strictObject({
  addEstimatedOutputTokens: z.boolean().default(false).meta({
    description: "Count the expected output as load, until the end of the response.",
  }),
  outputRatio: z.number().min(0).default(OUTPUT_RATIO_DEFAULT).meta({
    description: "Expected output tokens per prompt token.",
    unit: "ratio",
  }),
  maxEstimatedOutputTokens: z.number().int().min(0).optional().meta({
    description: "Ceiling of the expected output.",
    unit: "tokens",
  }),
  prefixMatchInfoProducerName: z.string().default("approx-prefix-cache-producer").meta({
    description:
      "Producer of the prefix match that tells the cached part of a prompt, if there is one.",
  }),
  syncCrossReplicaState: z.boolean().default(true).meta({
    description:
      "Accepted from upstream's configurations; only requests of this process are counted.",
  }),
});

export type InflightLoadParameters = z.output<typeof Parameters>;

/**
 * Prompt tokens that an endpoint has to compute: blocks not held, plus the prompt behind the matched part.
 *
 * @param promptTokens    whole prompt, >= 0
 * @param matchedBlocks   leading blocks held
 * @param totalBlocks     blocks the match was made over; -1 = nothing is known, then the whole prompt counts
 * @param blockSizeTokens tokens per block; <= 0 = nothing is known
 * @returns integer >= 0
 */
export function uncachedTokens(
  promptTokens: number,
  matchedBlocks: number,
  totalBlocks: number,
  blockSizeTokens: number,
): number {
  if (totalBlocks < 0 || blockSizeTokens <= 0) return Math.max(0, promptTokens);
  const missing = Math.max(0, Math.round((totalBlocks - matchedBlocks) * blockSizeTokens));
  return missing + Math.max(0, promptTokens - totalBlocks * blockSizeTokens);
}

/**
 * Expected output: the prompt times the ratio, no more than client and operator allow; 0 without a prompt.
 *
 * @param maxOutputTokens the client's cap, < 0 = none
 */
export function outputTokens(
  parameters: Pick<InflightLoadParameters, "outputRatio" | "maxEstimatedOutputTokens">,
  promptTokens: number,
  maxOutputTokens: number,
): number {
  if (promptTokens <= 0) return 0;
  const { outputRatio, maxEstimatedOutputTokens = Number.POSITIVE_INFINITY } = parameters;
  const clientMax = maxOutputTokens >= 0 ? maxOutputTokens : Number.POSITIVE_INFINITY;
  return Math.min(Math.round(promptTokens * outputRatio), clientMax, maxEstimatedOutputTokens);
}

/** Tokens that a request adds to an endpoint: uncached prompt, and output where it is counted. Integer >= 0. */
export function projectTokens(
  parameters: Pick<
    InflightLoadParameters,
    "addEstimatedOutputTokens" | "outputRatio" | "maxEstimatedOutputTokens"
  >,
  promptTokens: number,
  maxOutputTokens: number,
  matchedBlocks: number,
  totalBlocks: number,
  blockSizeTokens: number,
): number {
  const prompt = uncachedTokens(promptTokens, matchedBlocks, totalBlocks, blockSizeTokens);
  if (!parameters.addEstimatedOutputTokens) return prompt;
  return prompt + outputTokens(parameters, promptTokens, maxOutputTokens);
}

class InflightLoadProducer implements Producer {
  readonly data: {
    readonly "inflight-load": InflightLoad;
    readonly "uncached-request-tokens": UncachedRequestTokens;
  };
  readonly #parameters: InflightLoadParameters;
  readonly #pool: EndpointPool;
  readonly #prefix: PrefixMatch | undefined;
  /** The request whose projections are in the data, until it is accounted. */
  #produced: InferenceRequest | null = null;

  constructor(parameters: InflightLoadParameters, handle: PluginHandle) {
    this.#parameters = parameters;
    this.#pool = handle.pool;
    this.#prefix = handle.consume("prefix-match", parameters.prefixMatchInfoProducerName);
    this.data = {
      "inflight-load": new InflightLoad(),
      "uncached-request-tokens": new UncachedRequestTokens(),
    };
    this.#lendColumns();
  }

  produce(request: InferenceRequest, candidates: Candidates): void {
    this.#lendColumns();
    const { columns, slots, count } = candidates;
    const uncached = this.data["uncached-request-tokens"];
    uncached.ensure(columns.capacity);
    const { tokens } = uncached;
    const { addEstimatedOutputTokens } = this.#parameters;
    const { promptTokens, maxOutputTokens } = request;
    const output = addEstimatedOutputTokens
      ? outputTokens(this.#parameters, promptTokens, maxOutputTokens)
      : 0;
    const prefix = this.#prefix;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const prompt =
        prefix === undefined || slot >= prefix.totalBlocks.length
          ? promptTokens
          : uncachedTokens(
              promptTokens,
              prefix.matchBlocks[slot]!,
              prefix.totalBlocks[slot]!,
              prefix.blockSizeTokens[slot]!,
            );
      tokens[slot] = prompt + output;
    }
    this.#produced = request;
  }

  account(flight: Flight): void {
    const { request } = flight;
    const { tokens } = this.data["uncached-request-tokens"];
    const known = this.#produced === request;
    this.#produced = null;
    for (const charge of flight.charges) {
      charge.tokens += known
        ? tokens[charge.slot]!
        : projectTokens(
            this.#parameters,
            request.promptTokens,
            request.maxOutputTokens,
            0,
            -1, // this request's match is not at hand
            0,
          );
    }
  }

  firstToken(flight: Flight): void {
    const { charges } = flight;
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i]!;
      if (i > 0) charge.requests = 0;
      if (i > 0 || !this.#parameters.addEstimatedOutputTokens) charge.tokens = 0;
    }
  }

  endpointAdded(): void {
    this.#lendColumns();
  }

  stats(): Readonly<Record<string, number>> {
    const { columns, live, liveCount } = this.#pool;
    let requests = 0;
    let tokens = 0;
    for (let i = 0; i < liveCount; i++) {
      requests += columns.inflight[live[i]!]!;
      tokens += columns.inflightTokens[live[i]!]!;
    }
    return { requests, tokens };
  }

  /** The published load is the pool's own columns, which a growing pool replaces. */
  #lendColumns(): void {
    const load = this.data["inflight-load"];
    const { inflight, inflightTokens } = this.#pool.columns;
    load.requests = inflight as typeof load.requests; // same elements; the columns' type leaves the buffer's kind open
    load.tokens = inflightTokens as typeof load.tokens;
  }
}

export const inflightLoadProducer = defineProducer({
  type: "inflight-load-producer",
  stability: "beta",
  summary: "Requests and tokens sent to each endpoint and not finished, counted from the pick on.",
  source:
    "llm-d-router: pkg/epp/framework/plugins/requestcontrol/dataproducer/inflightload/producer.go",
  parameters: Parameters,
  produces: ["inflight-load", "uncached-request-tokens"],
  consumes: ({ prefixMatchInfoProducerName }) => [
    { type: "prefix-match", producer: prefixMatchInfoProducerName, required: false },
  ],
  create: (parameters, handle) => new InflightLoadProducer(parameters, handle),
});
