/**
 * One scheduling profile: filters in order, weighted scorers, a picker. Everything that the configuration decides is
 * decided when it is made; a run is three straight loops over arrays that are kept from run to run.
 * @module
 */
import { Candidates } from "./candidates.ts";
import type { DecisionRecorder } from "./decision.ts";
import type { EndpointPool } from "./endpoints.ts";
import { limits } from "./limits.ts";
import type { RejectReason } from "./outcome.ts";
import { type Filter, Pick, type Picker, type Scorer } from "./plugin.ts";
import type { InferenceRequest } from "./request.ts";

export interface ProfileFilter {
  readonly name: string;
  readonly filter: Filter;
}

export interface ProfileScorer {
  readonly name: string;
  readonly scorer: Scorer;
  /** Finite; a scorer of weight 0 does not run. */
  readonly weight: number;
}

/** Counts of what a well-behaved plugin never does. */
export interface ProfileCounters {
  /** Scores that were no finite number, taken as 0. */
  nanScores: number;
}

export interface ProfileParts {
  readonly name: string;
  readonly pool: EndpointPool;
  readonly filters: readonly ProfileFilter[];
  readonly scorers: readonly ProfileScorer[];
  /** This profile's own: it may keep state from pick to pick. */
  readonly picker: Picker;
  readonly counters: ProfileCounters;
}

export class Profile {
  readonly name: string;
  /** Those of the last run that passed the filters. */
  readonly candidates: Candidates;
  /** The picked candidates of the last run, best first, as indexes into `candidates`. */
  readonly pick = new Pick(limits.endpointsPerPickMax);
  /** Total scores of the last run, one a candidate. */
  totals: Float64Array;
  readonly #filters: readonly ProfileFilter[];
  readonly #scorers: readonly ProfileScorer[];
  readonly #picker: Picker;
  readonly #counters: ProfileCounters;
  #scores: Float64Array;

  constructor({ name, pool, filters, scorers, picker, counters }: ProfileParts) {
    this.name = name;
    this.candidates = new Candidates(pool);
    this.#filters = filters;
    this.#scorers = scorers.filter(({ weight }) => weight !== 0);
    this.#picker = picker;
    this.#counters = counters;
    this.totals = new Float64Array(pool.columns.capacity);
    this.#scores = new Float64Array(pool.columns.capacity);
  }

  /** Slot of the i-th picked endpoint of the last run. */
  slot(i: number): number {
    return this.candidates.slots[this.pick.indexes[i]!]!;
  }

  /**
   * @param from candidates to start with, count >= 1; not changed
   * @returns null when endpoints were picked, else why not
   */
  run(
    request: InferenceRequest,
    from: Candidates,
    recorder: DecisionRecorder | null,
  ): RejectReason | null {
    const { candidates } = this;
    candidates.copyFrom(from);
    recorder?.beginProfile(this.name, candidates);
    for (const { name, filter } of this.#filters) {
      filter.filter(request, candidates);
      recorder?.filtered(name, candidates.count);
      if (candidates.count === 0) return filter.rejects;
    }
    this.#score(request, recorder);
    this.#picker.pick(request, candidates, this.totals, this.pick);
    recorder?.picked(candidates, this.totals, this.pick);
    return null;
  }

  #score(request: InferenceRequest, recorder: DecisionRecorder | null): void {
    const { candidates } = this;
    const { count } = candidates;
    if (this.totals.length < candidates.slots.length) {
      this.totals = new Float64Array(candidates.slots.length);
      this.#scores = new Float64Array(candidates.slots.length);
    }
    const { totals } = this;
    const scores = this.#scores;
    totals.fill(0, 0, count);
    for (const { name, scorer, weight } of this.#scorers) {
      scorer.score(request, candidates, scores);
      recorder?.scored(name, weight, candidates.count, scores);
      this.#counters.nanScores += addWeighted(totals, scores, weight, count);
    }
  }
}

/**
 * totals += clamp(scores, 0, 1) × weight over [0, count); what is no finite number counts as 0.
 *
 * @returns how many scores were no finite number
 */
export function addWeighted(
  totals: Float64Array,
  scores: Float64Array,
  weight: number,
  count: number,
): number {
  let refused = 0;
  for (let i = 0; i < count; i++) {
    const score = scores[i]!;
    if (score > 0 && score <= 1) totals[i] = totals[i]! + score * weight;
    else if (!Number.isFinite(score)) refused++;
    else if (score > 1) totals[i] = totals[i]! + weight;
  }
  return refused;
}
