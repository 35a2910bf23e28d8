/**
 * Sheds a share of what is sheddable (priority below 0) that grows with the load, before the pool is full.
 *
 *   load  = mean over endpoints of max(queue / queueDepthThreshold, KV / kvCacheUtilThreshold), 1 where nothing is known
 *   share = min(load ^ power × k, 1)
 * @module
 */
import { z } from "zod";
import type { Candidates } from "../candidates.ts";
import type { Admitter } from "../flow/contracts.ts";
import type { RejectReason } from "../outcome.ts";
import { defineAdmitter } from "../plugin.ts";
import type { Random } from "../random.ts";
import type { InferenceRequest } from "../request.ts";
import { utilization } from "../saturation-detectors/utilization-detector.ts";

const Parameters = z.strictObject({
  queueDepthThreshold: z.number().gt(0).default(5).meta({
    description: "Waiting requests of an endpoint that count as full.",
    unit: "requests",
  }),
  kvCacheUtilThreshold: z.number().gt(0).default(0.8).meta({
    description: "KV-cache utilization of an endpoint that counts as full.",
    unit: "ratio",
  }),
  power: z.number().gt(0).default(5).meta({ description: "How suddenly shedding sets in." }),
  k: z.number().gt(0).default(300).meta({
    description: "How early shedding sets in: all is shed from a load of (1/k)^(1/power).",
  }),
});

export type ProbabilisticParameters = z.output<typeof Parameters>;

/** Share of sheddable requests to refuse, 0 … 1. @param load >= 0 */
export function refusedShare(load: number, { k, power }: ProbabilisticParameters): number {
  return Math.min(load ** power * k, 1);
}

/** Mean load of the candidates, count >= 1; one without a scrape counts 1, a stale one what it said last. */
export function meanLoad(
  { columns, count, slots }: Candidates,
  { kvCacheUtilThreshold, queueDepthThreshold }: ProbabilisticParameters,
): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    if (columns.scrapedAtMs[slot] === 0) sum += 1;
    else {
      const waiting = columns.waiting[slot]!;
      const kv = columns.kvUtilization[slot]!;
      sum += utilization(waiting, kv, queueDepthThreshold, kvCacheUtilThreshold);
    }
  }
  return sum / count;
}

class ProbabilisticAdmitter implements Admitter {
  readonly #parameters: ProbabilisticParameters;
  readonly #random: Random;

  constructor(parameters: ProbabilisticParameters, random: Random) {
    this.#parameters = parameters;
    this.#random = random;
  }

  admit({ priority }: InferenceRequest, candidates: Candidates): RejectReason | null {
    if (priority >= 0 || candidates.count === 0) return null;
    const share = refusedShare(meanLoad(candidates, this.#parameters), this.#parameters);
    return this.#random.next() < share ? "not-admitted" : null;
  }
}

export const probabilisticAdmitter = defineAdmitter({
  type: "probabilistic-admitter",
  stability: "beta",
  summary: "Refuses a share of the requests of negative priority that grows with the load.",
  source: "llm-d-router: pkg/epp/framework/plugins/requestcontrol/admitter/probabilistic",
  parameters: Parameters,
  create: (parameters, { random }) => new ProbabilisticAdmitter(parameters, random),
});
