/**
 * The record of a decision: what was seen, what each plugin made of it, who won. Kept in a ring of reused records, so that
 * recording costs copies of numbers and no garbage that grows.
 * @module
 */
import type { Candidates } from "./candidates.ts";
import type { Outcome } from "./outcome.ts";
import type { Pick } from "./plugin.ts";
import type { InferenceRequest } from "./request.ts";

/** One profile's part of a record. */
export interface ProfileDecision {
  readonly profile: string;
  /** `ip:port` of the candidates that reached the scorers. */
  readonly candidates: readonly string[];
  /** Candidates at the start, and after each filter. */
  readonly startCount: number;
  readonly filters: readonly { readonly name: string; readonly remaining: number }[];
  readonly scorers: readonly {
    readonly name: string;
    readonly weight: number;
    /** Raw score of each candidate. */
    readonly scores: readonly number[];
  }[];
  readonly totals: readonly number[];
  /** Picked endpoints, best first. */
  readonly picked: readonly string[];
  /** Candidates whose total equals the best. */
  readonly ties: number;
}

/** A decision as people read it. */
export interface Decision {
  readonly sequence: number;
  readonly requestId: string;
  readonly model: string;
  readonly targetModel: string;
  readonly promptTokens: number;
  readonly atMs: number;
  readonly outcome: string;
  readonly profiles: readonly ProfileDecision[];
}

/** Endpoints recorded per profile; a larger pool is recorded up to here. */
const ENDPOINTS_RECORDED_MAX = 128;

interface ProfileRecord {
  profile: string;
  startCount: number;
  filters: { name: string; remaining: number }[];
  scorers: { name: string; weight: number; scores: Float64Array; count: number }[];
  scorerCount: number;
  candidates: string[];
  totals: Float64Array;
  count: number;
  picked: string[];
  ties: number;
}

interface Slot {
  sequence: number;
  request: InferenceRequest | null;
  atMs: number;
  outcome: string;
  profiles: ProfileRecord[];
  profileCount: number;
}

export class DecisionRecorder {
  readonly #ring: Slot[];
  #next = 0;
  #current: Slot;

  /** @param capacity records kept, >= 1 */
  constructor(capacity: number) {
    this.#ring = Array.from({ length: capacity }, () => ({
      sequence: -1,
      request: null,
      atMs: 0,
      outcome: "",
      profiles: [],
      profileCount: 0,
    }));
    this.#current = this.#ring[0]!;
  }

  begin(request: InferenceRequest, nowMs: number): void {
    const slot = this.#ring[this.#next % this.#ring.length]!;
    slot.sequence = this.#next++;
    slot.request = request;
    slot.atMs = nowMs;
    slot.outcome = "";
    slot.profileCount = 0;
    this.#current = slot;
  }

  beginProfile(name: string, candidates: Candidates): void {
    const slot = this.#current;
    let record = slot.profiles[slot.profileCount];
    if (record === undefined) {
      record = createProfileRecord();
      slot.profiles.push(record);
    }
    slot.profileCount++;
    record.profile = name;
    record.startCount = candidates.count;
    record.filters.length = 0;
    record.scorerCount = 0;
    record.count = 0;
    record.candidates.length = 0;
    record.picked.length = 0;
    record.ties = 0;
  }

  filtered(name: string, remaining: number): void {
    this.#profile().filters.push({ name, remaining });
  }

  scored(name: string, weight: number, candidates: Candidates, scores: Float64Array): void {
    const record = this.#profile();
    let scorer = record.scorers[record.scorerCount];
    if (scorer === undefined) {
      scorer = { name, weight, scores: new Float64Array(ENDPOINTS_RECORDED_MAX), count: 0 };
      record.scorers.push(scorer);
    }
    record.scorerCount++;
    scorer.name = name;
    scorer.weight = weight;
    scorer.count = Math.min(candidates.count, ENDPOINTS_RECORDED_MAX);
    for (let i = 0; i < scorer.count; i++) scorer.scores[i] = scores[i]!;
  }

  picked(candidates: Candidates, totals: Float64Array, pick: Pick): void {
    const record = this.#profile();
    const { pool, slots } = candidates;
    record.count = Math.min(candidates.count, ENDPOINTS_RECORDED_MAX);
    const best = totals[pick.indexes[0]!]!;
    for (let i = 0; i < record.count; i++) {
      record.totals[i] = totals[i]!;
      record.candidates.push(pool.hostPort(slots[i]!));
      if (totals[i] === best) record.ties++;
    }
    for (let i = 0; i < pick.count; i++) {
      record.picked.push(pool.hostPort(slots[pick.indexes[i]!]!));
    }
  }

  end(outcome: Outcome): void {
    this.#current.outcome = outcome.kind === "picked" ? outcome.destination : outcome.reason;
  }

  /** The newest `limit` records, newest first. */
  newest(limit: number): Decision[] {
    const out: Decision[] = [];
    for (let back = 1; back <= Math.min(limit, this.#ring.length, this.#next); back++) {
      out.push(toDecision(this.#ring[(this.#next - back) % this.#ring.length]!));
    }
    return out;
  }

  /** Newest record of a request id, or null when it is not in the ring. */
  find(requestId: string): Decision | null {
    for (let back = 1; back <= Math.min(this.#ring.length, this.#next); back++) {
      const slot = this.#ring[(this.#next - back) % this.#ring.length]!;
      if (slot.request?.id === requestId) return toDecision(slot);
    }
    return null;
  }

  #profile(): ProfileRecord {
    return this.#current.profiles[this.#current.profileCount - 1]!;
  }
}

function createProfileRecord(): ProfileRecord {
  return {
    profile: "",
    startCount: 0,
    filters: [],
    scorers: [],
    scorerCount: 0,
    candidates: [],
    totals: new Float64Array(ENDPOINTS_RECORDED_MAX),
    count: 0,
    picked: [],
    ties: 0,
  };
}

function toDecision(slot: Slot): Decision {
  const request = slot.request!;
  return {
    sequence: slot.sequence,
    requestId: request.id,
    model: request.model,
    targetModel: request.targetModel,
    promptTokens: request.promptTokens,
    atMs: slot.atMs,
    outcome: slot.outcome,
    profiles: slot.profiles.slice(0, slot.profileCount).map((record) => ({
      profile: record.profile,
      candidates: [...record.candidates],
      startCount: record.startCount,
      filters: record.filters.map((filter) => ({ ...filter })),
      scorers: record.scorers
        .slice(0, record.scorerCount)
        .map(({ name, weight, scores, count }) => ({
          name,
          weight,
          scores: Array.from(scores.subarray(0, count)),
        })),
      totals: Array.from(record.totals.subarray(0, record.count)),
      picked: [...record.picked],
      ties: record.ties,
    })),
  };
}
