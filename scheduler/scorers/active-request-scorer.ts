/**
 * Prefers endpoints with fewer requests of ours in flight.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { InflightLoad } from "../data.ts";
import { defineScorer } from "../plugin.ts";

const MAX_BUSY_SCORE_DEFAULT = 1;

const Parameters = z.strictObject({
  idleThreshold: z.number().int().default(0).meta({
    description: "Requests up to which an endpoint counts as idle and scores 1; negative means 0.",
    unit: "requests",
  }),
  maxBusyScore: z.number().default(MAX_BUSY_SCORE_DEFAULT).meta({
    description: "Bound of the scores of busy endpoints; outside 0..1 means 1.",
    unit: "score",
  }),
  inFlightLoadProducerName: z.string().default("inflight-load-producer").meta({
    description: "Producer of the load.",
  }),
  requestTimeout: z.unknown().optional().meta({
    description: "Deprecated, not read: a request counts until it ends.",
  }),
});

/**
 * Idle endpoints score 1, the busiest 0, the others in proportion to how far they are below it. Equally busy endpoints
 * all score 0.
 *
 * @param load          requests in flight by slot; a slot without entry has none
 * @param idleThreshold requests, >= 0
 * @param maxBusyScore  0 … 1
 * @param scores        length >= candidates.count; [0, count) is overwritten with values in [0, 1]
 */
export function scoreActiveRequests(
  candidates: Candidates,
  load: InflightLoad,
  idleThreshold: number,
  maxBusyScore: number,
  scores: Float64Array,
): void {
  const { slots, count } = candidates;
  const { requests } = load;
  let most = 0;
  for (let i = 0; i < count; i++) most = Math.max(most, requests[slots[i]!] ?? 0);
  for (let i = 0; i < count; i++) {
    const active = requests[slots[i]!] ?? 0;
    scores[i] = active <= idleThreshold ? 1 : ((most - active) / most) * maxBusyScore;
  }
}

export const activeRequestScorer = defineScorer({
  type: "active-request-scorer",
  stability: "beta",
  category: "Distribution",
  summary: "Fewer of our own requests in flight is better, relative to the busiest candidate.",
  source:
    "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/activerequest/active_request.go",
  parameters: Parameters,
  consumes: ({ inFlightLoadProducerName: producer }) => [
    { type: "inflight-load", producer, required: true },
  ],
  create(parameters, handle) {
    const { inFlightLoadProducerName, maxBusyScore, requestTimeout } = parameters;
    const load = handle.consume("inflight-load", inFlightLoadProducerName)!;
    if (requestTimeout !== undefined) handle.warn("requestTimeout is deprecated and has no effect");
    const isBusyScoreUsable = maxBusyScore >= 0 && maxBusyScore <= 1;
    if (!isBusyScoreUsable) {
      handle.warn(
        `maxBusyScore ${maxBusyScore} is outside 0..1: ${MAX_BUSY_SCORE_DEFAULT} is used`,
      );
    }
    const idleThreshold = Math.max(0, parameters.idleThreshold);
    const busyScore = isBusyScoreUsable ? maxBusyScore : MAX_BUSY_SCORE_DEFAULT;
    return {
      score: (_request, candidates, scores) =>
        scoreActiveRequests(candidates, load, idleThreshold, busyScore, scores),
    };
  },
});
