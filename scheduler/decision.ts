/**
 * The record of a decision: what was seen, what each plugin made of it, who won. Kept in a ring of reused records, so that
 * recording costs copies of numbers and leaves no garbage.
 *
 *   ring  [ 41 ][ 42 ][ 39, overwritten next ][ 40 ]
 *             └─ profiles [ default ] ─ filters [ name, remaining ]
 *                                     ─ scorers [ name, weight, scores per candidate ]
 *                                     ─ candidates, ages, totals, picked
 * @module
 */
import type { Candidates } from "./candidates.ts";
import type { Outcome } from "./outcome.ts";
import { tieFloor } from "./pickers/order.ts";
import type { Pick } from "./plugin.ts";
import type { InferenceRequest } from "./request.ts";

/** One profile's part of a decision. */
export interface ProfileDecision {
  readonly profile: string;
  /** Candidates at the start, and after each filter that ran. */
  readonly startCount: number;
  readonly filters: readonly { readonly name: string; readonly remaining: number }[];
  /** `ip:port` of those that reached the scorers, at most 512 of them; the lists below are in the same order. */
  readonly candidates: readonly string[];
  /** Age of each one's newest good scrape, ms; null = never scraped. */
  readonly agesMs: readonly (number | null)[];
  readonly scorers: readonly {
    readonly name: string;
    readonly weight: number;
    /** As the scorer gave them: neither clamped nor weighted. */
    readonly scores: readonly number[];
  }[];
  readonly totals: readonly number[];
  /** Candidates whose total equals the best one's. */
  readonly ties: readonly string[];
  /** Picked endpoints, best first; none when a filter left nobody. */
  readonly picked: readonly string[];
}

/** A decision as people read it. */
export interface Decision {
  /** Rises by one with each decision. */
  readonly sequence: number;
  readonly requestId: string;
  readonly model: string;
  readonly targetModel: string;
  readonly promptTokens: number;
  /** Scheduler's clock at the start of the pick, ms. */
  readonly atMs: number;
  /** Destination, reason of the rejection, or `fault` when the pick did not come to its end. */
  readonly outcome: string;
  readonly profiles: readonly ProfileDecision[];
}

/** Candidates taken down per profile; of a larger pool the first ones. */
const CANDIDATES_MAX = 512;
const FAULT = "fault";

interface ScorerRecord {
  name: string;
  weight: number;
  scores: Float64Array;
}

/** Everything is overwritten by the next decision in its place; counts tell what of the lists is valid. */
class ProfileRecord {
  profile = "";
  startCount = 0;
  nowMs = 0;
  readonly filterNames: string[] = [];
  readonly filterRemaining: number[] = [];
  filterCount = 0;
  readonly scorers: ScorerRecord[] = [];
  scorerCount = 0;
  readonly candidates: string[] = [];
  scrapedAtMs = new Float64Array(0);
  totals = new Float64Array(0);
  count = 0;
  readonly picked: string[] = [];
  pickedCount = 0;
  bestTotal = 0;
}

interface DecisionRecord {
  sequence: number;
  requestId: string;
  model: string;
  targetModel: string;
  promptTokens: number;
  atMs: number;
  outcome: string;
  readonly profiles: ProfileRecord[];
  profileCount: number;
}

export class DecisionRecorder {
  readonly #ring: DecisionRecord[];
  #next = 0;
  #current: DecisionRecord;
  #profile = new ProfileRecord();

  /** @param capacity decisions kept, >= 1 */
  constructor(capacity: number) {
    if (!(capacity >= 1)) throw new RangeError(`capacity must be >= 1, got ${capacity}`);
    this.#ring = Array.from({ length: capacity }, () => ({
      sequence: -1,
      requestId: "",
      model: "",
      targetModel: "",
      promptTokens: 0,
      atMs: 0,
      outcome: FAULT,
      profiles: [],
      profileCount: 0,
    }));
    this.#current = this.#ring[0]!;
  }

  /** Starts a decision. */
  begin(request: InferenceRequest, nowMs: number): void {
    const record = this.#ring[this.#next % this.#ring.length]!;
    record.sequence = this.#next++;
    record.requestId = request.id;
    record.model = request.model;
    record.targetModel = request.targetModel;
    record.promptTokens = request.promptTokens;
    record.atMs = nowMs;
    record.outcome = FAULT;
    record.profileCount = 0;
    this.#current = record;
  }

  /** Starts a profile of the decision. */
  beginProfile(name: string, candidates: Candidates): void {
    const decision = this.#current;
    if (decision.profileCount === decision.profiles.length) {
      decision.profiles.push(new ProfileRecord());
    }
    const record = decision.profiles[decision.profileCount++]!;
    record.profile = name;
    record.startCount = candidates.count;
    record.nowMs = candidates.nowMs;
    record.filterCount = 0;
    record.scorerCount = 0;
    record.count = 0;
    record.pickedCount = 0;
    this.#profile = record;
  }

  /** A filter has run. @param remaining candidates it left */
  filtered(name: string, remaining: number): void {
    const record = this.#profile;
    record.filterNames[record.filterCount] = name;
    record.filterRemaining[record.filterCount++] = remaining;
  }

  /** A scorer has run. @param scores of `count` candidates */
  scored(name: string, weight: number, count: number, scores: Float64Array): void {
    const record = this.#profile;
    const kept = Math.min(count, CANDIDATES_MAX);
    if (record.scorerCount === record.scorers.length) {
      record.scorers.push({ name, weight, scores: new Float64Array(kept) });
    }
    const scorer = record.scorers[record.scorerCount++]!;
    scorer.name = name;
    scorer.weight = weight;
    if (scorer.scores.length < kept) scorer.scores = new Float64Array(kept);
    copy(scores, scorer.scores, kept);
  }

  /** The picker has run. */
  picked(candidates: Candidates, totals: Float64Array, pick: Pick): void {
    const record = this.#profile;
    const { columns, pool, slots } = candidates;
    const { scrapedAtMs } = columns;
    const kept = Math.min(candidates.count, CANDIDATES_MAX);
    if (record.totals.length < kept) {
      record.totals = new Float64Array(kept);
      record.scrapedAtMs = new Float64Array(kept);
    }
    copy(totals, record.totals, kept);
    for (let i = 0; i < kept; i++) {
      const slot = slots[i]!;
      record.candidates[i] = pool.hostPort(slot);
      record.scrapedAtMs[i] = scrapedAtMs[slot]!;
    }
    record.count = kept;
    for (let i = 0; i < pick.count; i++) {
      record.picked[i] = pool.hostPort(slots[pick.indexes[i]!]!);
    }
    record.pickedCount = pick.count;
    record.bestTotal = totals[pick.indexes[0]!]!;
  }

  /** The decision is made. */
  end(outcome: Outcome): void {
    this.#current.outcome = outcome.kind === "picked" ? outcome.destination : outcome.reason;
  }

  /** The newest `limit` decisions, newest first. */
  newest(limit: number): Decision[] {
    const out: Decision[] = [];
    for (
      let sequence = this.#next - 1;
      sequence >= this.#oldest && out.length < limit;
      sequence--
    ) {
      out.push(toDecision(this.#record(sequence)));
    }
    return out;
  }

  /** The decision of this sequence number, or null when it is not in the ring. */
  at(sequence: number): Decision | null {
    const isKept = sequence >= this.#oldest && sequence < this.#next;
    return isKept && Number.isInteger(sequence) ? toDecision(this.#record(sequence)) : null;
  }

  /** Newest decision about a request id, or null when there is none in the ring. */
  find(requestId: string): Decision | null {
    for (let sequence = this.#next - 1; sequence >= this.#oldest; sequence--) {
      const record = this.#record(sequence);
      if (record.requestId === requestId) return toDecision(record);
    }
    return null;
  }

  /** Sequence number of the oldest decision in the ring. */
  get #oldest(): number {
    return Math.max(0, this.#next - this.#ring.length);
  }

  #record(sequence: number): DecisionRecord {
    return this.#ring[sequence % this.#ring.length]!;
  }
}

/** A loop, because `set` would need a view of the part. */
function copy(from: Float64Array, to: Float64Array, count: number): void {
  for (let i = 0; i < count; i++) to[i] = from[i]!;
}

function toDecision({ profileCount, profiles, ...facts }: DecisionRecord): Decision {
  return { ...facts, profiles: profiles.slice(0, profileCount).map(toProfileDecision) };
}

function toProfileDecision(record: ProfileRecord): ProfileDecision {
  const { count, nowMs } = record;
  const candidates = record.candidates.slice(0, count);
  const totals = Array.from(record.totals.subarray(0, count));
  const floor = tieFloor(record.bestTotal);
  return {
    profile: record.profile,
    startCount: record.startCount,
    filters: record.filterNames
      .slice(0, record.filterCount)
      .map((name, i) => ({ name, remaining: record.filterRemaining[i]! })),
    candidates,
    agesMs: Array.from(record.scrapedAtMs.subarray(0, count), (at) =>
      at === 0 ? null : nowMs - at,
    ),
    scorers: record.scorers.slice(0, record.scorerCount).map(({ name, weight, scores }) => ({
      name,
      weight,
      scores: Array.from(scores.subarray(0, count)),
    })),
    totals,
    ties: candidates.filter((_, i) => totals[i]! >= floor),
    picked: record.picked.slice(0, record.pickedCount),
  };
}
