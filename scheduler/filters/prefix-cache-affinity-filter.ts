/**
 * Narrows to the endpoints that hold most of the prompt, unless they are so loaded that computing it elsewhere is faster.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type {
  InflightLoad,
  LatencyPrediction,
  PrefixMatch,
  UncachedRequestTokens,
} from "../data.ts";
import { defineFilter, type Filter, type PluginHandle } from "../plugin.ts";

const Parameters = z
  .strictObject({
    affinityThreshold: z.number().max(1).default(0.8).meta({
      description:
        "Share of the prompt from which an endpoint is sticky; <= 0 switches the filter off.",
      unit: "ratio",
    }),
    explorationProbability: z.number().min(0).max(1).default(0).meta({
      description: "How often all endpoints are kept regardless.",
      unit: "probability",
    }),
    maxTTFTPenaltyMs: z.number().min(0).default(18_000).meta({
      description:
        "How much longer the best sticky endpoint may take to its first token than the best other one; 0 = any.",
      unit: "ms",
    }),
    ttftSource: z
      .enum(["prefillThroughput", "latencyPredictor"])
      .default("prefillThroughput")
      .meta({
        description: "Time to first token from tokens in flight, or from a predictor.",
      }),
    peakPrefillThroughput: z.number().min(0).default(15_928).meta({
      description: "Prompt tokens that an endpoint computes per second at most.",
      unit: "tokens/s",
      source: "upstream's measurement: Qwen 32B on 2 x H100 80GB, vLLM 0.19",
    }),
    prefixMatchInfoProducerName: z.string().default("approx-prefix-cache-producer").meta({
      description: "Producer of the prefix match.",
    }),
    latencyPredictionInfoProducerName: z.string().default("predicted-latency-producer").meta({
      description: "Producer of latency predictions, for ttftSource latencyPredictor.",
    }),
    inFlightLoadProducerName: z.string().default("inflight-load-producer").meta({
      description: "Producer of the load, for ttftSource prefillThroughput.",
    }),
    compat: z.literal("upstream").optional().meta({
      description: "upstream: the time to first token leaves out this request's own tokens.",
    }),
  })
  .superRefine((parameters, context) => {
    const { ttftSource, maxTTFTPenaltyMs, peakPrefillThroughput } = parameters;
    const isUsed = ttftSource === "prefillThroughput" && maxTTFTPenaltyMs > 0;
    if (!isUsed || peakPrefillThroughput > 0) return;
    context.addIssue({
      code: "custom",
      path: ["peakPrefillThroughput"],
      message:
        "must be > 0 when ttftSource is prefillThroughput and maxTTFTPenaltyMs is > 0, got 0",
    });
  });

type AffinityParameters = z.output<typeof Parameters>;

/** Time to first token on an endpoint, ms. */
type TtftEstimate = (slot: number) => number;

/** Share of the prompt that an endpoint holds; 0 without a prompt or an entry. */
function heldShare(match: PrefixMatch, slot: number): number {
  const total = match.totalBlocks[slot] ?? 0;
  return total > 0 ? match.matchBlocks[slot]! / total : 0;
}

/**
 * Time in which an endpoint computes what it has to before this request's first token.
 *
 * @param inflightTokens   ours, not computed yet, >= 0
 * @param ownTokens        what this request adds there, >= 0
 * @param tokensPerSecond  > 0
 */
export function prefillTtftMs(
  inflightTokens: number,
  ownTokens: number,
  tokensPerSecond: number,
): number {
  return ((inflightTokens + ownTokens) / tokensPerSecond) * 1000;
}

/**
 * Keeps the sticky candidates, those whose held share reaches the threshold. Keeps all when nobody is sticky, or when the
 * best sticky one takes more than `maxPenaltyMs` longer to its first token than the best other one.
 *
 * @param threshold    0 < threshold <= 1
 * @param maxPenaltyMs 0 = no comparison, sticky ones are kept however loaded
 * @param ttft         null = no comparison
 */
export function keepSticky(
  candidates: Candidates,
  match: PrefixMatch,
  threshold: number,
  maxPenaltyMs: number,
  ttft: TtftEstimate | null,
): void {
  const { slots, count } = candidates;
  let stickyCount = 0;
  let stickyMs = Number.POSITIVE_INFINITY;
  let otherMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const isSticky = heldShare(match, slot) >= threshold;
    if (isSticky) stickyCount++;
    if (ttft === null) continue;
    if (isSticky) stickyMs = Math.min(stickyMs, ttft(slot));
    else otherMs = Math.min(otherMs, ttft(slot));
  }
  if (stickyCount === 0 || stickyCount === count) return;
  // Nobody predicted on either side: infinity minus infinity is not more than anything, and the sticky ones stay.
  if (maxPenaltyMs > 0 && stickyMs - otherMs > maxPenaltyMs) return;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    if (heldShare(match, slot) >= threshold) slots[kept++] = slot;
  }
  candidates.count = kept;
}

/** How this filter estimates the time to first token; resolved once, null when it never compares. */
function ttftEstimate(parameters: AffinityParameters, handle: PluginHandle): TtftEstimate | null {
  if (parameters.maxTTFTPenaltyMs === 0) return null;
  if (parameters.ttftSource === "latencyPredictor") {
    const { latencyPredictionInfoProducerName: name } = parameters;
    const prediction = handle.consume("latency-prediction", name);
    if (prediction !== undefined) return (slot) => predictedTtftMs(prediction, slot);
    handle.warn(
      `ttftSource is latencyPredictor, but there is no producer ${name}: sticky endpoints are kept however loaded`,
    );
    return null;
  }
  const { inFlightLoadProducerName: name, peakPrefillThroughput } = parameters;
  const load: InflightLoad = handle.consume("inflight-load", name)!;
  const own: UncachedRequestTokens | undefined =
    parameters.compat === "upstream" ? undefined : handle.consume("uncached-request-tokens", name);
  return (slot) =>
    prefillTtftMs(load.tokens[slot] ?? 0, own?.tokens[slot] ?? 0, peakPrefillThroughput);
}

/** A missing prediction is the worst one. */
function predictedTtftMs(prediction: LatencyPrediction, slot: number): number {
  const ms = prediction.ttftMs[slot] ?? Number.NaN;
  return Number.isNaN(ms) ? Number.POSITIVE_INFINITY : ms;
}

function createFilter(parameters: AffinityParameters, handle: PluginHandle): Filter {
  const { affinityThreshold, explorationProbability, maxTTFTPenaltyMs } = parameters;
  const match = handle.consume("prefix-match", parameters.prefixMatchInfoProducerName)!;
  const ttft = ttftEstimate(parameters, handle);
  const { random } = handle;
  return {
    rejects: "filtered-by-load", // in name only: it never empties the list
    filter(_request, candidates) {
      if (candidates.count <= 1 || affinityThreshold <= 0) return;
      if (explorationProbability > 0 && random.next() < explorationProbability) return;
      keepSticky(candidates, match, affinityThreshold, maxTTFTPenaltyMs, ttft);
    },
  };
}

export const prefixCacheAffinityFilter = defineFilter({
  type: "prefix-cache-affinity-filter",
  stability: "beta",
  category: "Affinity",
  summary: "Keeps endpoints that hold most of the prompt, unless computing it elsewhere is faster.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/prefixcacheaffinity/plugin.go",
  parameters: Parameters,
  consumes(parameters) {
    const { ttftSource, maxTTFTPenaltyMs, inFlightLoadProducerName } = parameters;
    const match = {
      type: "prefix-match",
      producer: parameters.prefixMatchInfoProducerName,
      required: true,
    } as const;
    if (maxTTFTPenaltyMs === 0) return [match];
    if (ttftSource === "latencyPredictor") {
      const producer = parameters.latencyPredictionInfoProducerName;
      return [match, { type: "latency-prediction", producer, required: false }];
    }
    return [
      match,
      { type: "inflight-load", producer: inFlightLoadProducerName, required: true },
      { type: "uncached-request-tokens", producer: inFlightLoadProducerName, required: false },
    ];
  },
  create: createFilter,
});
