/**
 * Min-max score over one integer column: smallest 1, largest 0, linear between. Shared by the scorers whose formula it is.
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { EndpointColumns } from "../endpoints.ts";
import type { Scorer } from "../plugin.ts";
import { blendUntrusted, trustOf } from "../staleness.ts";

/** Upstream reads no parameters here; these are ours. */
export const minMaxParameters = z.object({
  /** `upstream`: an endpoint that was never scraped counts as idle. */
  compat: z.literal("upstream").optional(),
  /** `add`: own dispatches since the last scrape count on top of the scraped value. */
  mode: z.enum(["raw", "add"]).default("raw"),
});

export type MinMaxParameters = z.infer<typeof minMaxParameters>;

/**
 * Scores `values` relative to the candidates.
 *
 * @param values per slot, >= 0
 * @param credit per slot, added to the value (floor 0); null = none
 * @param known bit of `Known` an endpoint must have to take part; 0 = all do
 * @param scores [0, count) is overwritten with values in [0, 1]; all equal gives all 1
 */
export function scoreMinMax(
  candidates: Candidates,
  values: Int32Array,
  credit: Int32Array | null,
  known: number,
  scores: Float64Array,
): void {
  const { columns, count, nowMs, slots } = candidates;
  let min = Number.POSITIVE_INFINITY;
  let max = 0;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const value = credit === null ? values[slot]! : Math.max(0, values[slot]! + credit[slot]!);
    scores[i] = value;
    if (known !== 0) {
      const isKnown = (columns.known[slot]! & known) !== 0;
      if (trustOf(columns.scrapedAtMs[slot]!, isKnown, nowMs) === 0) continue;
    }
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const span = max - min;
  for (let i = 0; i < count; i++) scores[i] = span > 0 ? (max - scores[i]!) / span : 1;
}

/** Scorer over a column of scraped integers. */
export function createMinMaxScorer(
  parameters: MinMaxParameters,
  column: (columns: EndpointColumns) => Int32Array,
  known: number,
): Scorer {
  const isUpstream = parameters.compat === "upstream";
  const adds = parameters.mode === "add";
  return {
    score(_request, candidates, scores) {
      const { columns } = candidates;
      const credit = adds ? columns.creditSinceScrape : null;
      scoreMinMax(candidates, column(columns), credit, isUpstream ? 0 : known, scores);
      if (!isUpstream) blendUntrusted(candidates, known, scores);
    },
  };
}
