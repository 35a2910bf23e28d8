/**
 * Min-max score over one integer column: smallest 1, largest 0, linear between. Shared by the scorers whose formula it is.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { EndpointColumns } from "../endpoints.ts";
import type { PluginHandle, Scorer } from "../plugin.ts";
import { areAllFresh, blendUntrusted, staleAfterMs, trustOf } from "../staleness.ts";

/** Upstream reads no parameters here; these are ours. */
export const minMaxParameters = z.object({
  mode: z.enum(["raw", "add"]).default("raw").meta({
    description:
      "add: own requests sent since the last scrape count on top of the scraped value; raw: they decide ties only.",
  }),
  minRange: z.number().min(0).default(0).meta({
    description: "Differences below this do not span the whole range of scores.",
    unit: "requests",
  }),
  compat: z.literal("upstream").optional().meta({
    description: "upstream: an endpoint that was never scraped counts as idle.",
  }),
});

export type MinMaxParameters = z.output<typeof minMaxParameters>;

/** What an endpoint has at the moment: as scraped, plus own requests since (credit), not below 0. */
function loadOf(values: Int32Array, credit: Int32Array | null, slot: number): number {
  return credit === null ? values[slot]! : Math.max(0, values[slot]! + credit[slot]!);
}

/**
 * Scores `values` relative to the candidates: the smallest 1, then falling by 1 per (largest − smallest); all equal give
 * all 1.
 *
 * @param values       per slot, >= 0
 * @param credit       per slot, added to the value (floor 0); null = none
 * @param minRange     >= 0; used in place of a smaller difference between largest and smallest
 * @param fact         bit of `Known` an endpoint must have to shape the range; 0 = all do
 * @param scores       length >= count; [0, count) is overwritten, with values in [0, 1] for those that shape the range
 */
export function scoreMinMax(
  candidates: Candidates,
  values: Int32Array,
  credit: Int32Array | null,
  minRange: number,
  fact: number,
  staleAfterMs: number,
  scores: Float64Array,
): void {
  const { columns, count, nowMs, slots } = candidates;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const value = loadOf(values, credit, slot);
    scores[i] = value;
    if (fact !== 0 && trustOf(columns, slot, fact, nowMs, staleAfterMs) === 0) continue;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (!(max > min)) {
    scores.fill(1, 0, count);
    return;
  }
  const span = Math.max(max - min, minRange);
  const top = min + span;
  for (let i = 0; i < count; i++) scores[i] = (top - scores[i]!) / span;
}

/** Scorer over a column of scraped integers. */
export function createMinMaxScorer(
  parameters: MinMaxParameters,
  handle: PluginHandle,
  column: (columns: EndpointColumns) => Int32Array,
  fact: number,
): Scorer {
  const { minRange } = parameters;
  const isUpstream = parameters.compat === "upstream";
  const adds = parameters.mode === "add";
  const staleMs = staleAfterMs(handle.scrapeIntervalMs);
  return {
    score(_request, candidates, scores) {
      const { columns } = candidates;
      const credit = adds ? columns.creditSinceScrape : null;
      const values = column(columns);
      if (isUpstream || areAllFresh(candidates, fact, staleMs)) {
        scoreMinMax(candidates, values, credit, minRange, 0, staleMs, scores);
        return;
      }
      scoreMinMax(candidates, values, credit, minRange, fact, staleMs, scores);
      blendUntrusted(candidates, fact, staleMs, scores);
    },
  };
}
