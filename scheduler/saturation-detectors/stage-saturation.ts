/**
 * Saturation of a pool by the stages of disaggregated serving: a request needs every stage there is, so the fuller one
 * counts.
 *
 *   label llm-d.ai/role                                      prefill   decode
 *   prefill, encode-prefill                                     x
 *   decode, empty, no label                                               x
 *   prefill-decode, both, encode-prefill-decode                 x         x
 *   encode, anything else
 *
 * Who is in which stage is decided once for each version of the pool.
 * @module
 */
import { Candidates } from "../candidates.ts";
import type { EndpointPool } from "../endpoints.ts";
import { ROLE_LABEL } from "../filters/role-filter.ts";
import type { SaturationDetector } from "../flow/contracts.ts";

const PREFILL: ReadonlySet<string> = new Set(["prefill", "encode-prefill"]);
const DECODE: ReadonlySet<string> = new Set(["decode", ""]);
const BOTH: ReadonlySet<string> = new Set(["prefill-decode", "both", "encode-prefill-decode"]);

export class StageSaturation {
  /** Of the last measurement; NaN = nobody is in the stage. */
  prefill = Number.NaN;
  decode = Number.NaN;
  effective = Number.NaN;
  readonly #pool: EndpointPool;
  readonly #detector: SaturationDetector;
  readonly #all: Candidates;
  readonly #prefill: Candidates;
  readonly #decode: Candidates;
  #version = -1;

  constructor(pool: EndpointPool, detector: SaturationDetector) {
    this.#pool = pool;
    this.#detector = detector;
    this.#all = new Candidates(pool);
    this.#prefill = new Candidates(pool);
    this.#decode = new Candidates(pool);
  }

  /** @returns the saturation that counts; 1 for an empty pool */
  measure(nowMs: number): number {
    this.#partition();
    this.prefill = this.#of(this.#prefill, nowMs);
    this.decode = this.#of(this.#decode, nowMs);
    if (this.#prefill.count === 0 && this.#decode.count === 0) {
      this.#all.nowMs = nowMs;
      this.effective = this.#detector.saturation(this.#all);
    } else if (this.#prefill.count === 0) this.effective = this.decode;
    else if (this.#decode.count === 0) this.effective = this.prefill;
    else this.effective = Math.max(this.prefill, this.decode);
    return this.effective;
  }

  /** Endpoints whose facts are too old for the detector, over the whole pool. */
  staleEndpoints(nowMs: number): number {
    this.#partition();
    this.#all.nowMs = nowMs;
    return this.#detector.staleEndpoints?.(this.#all) ?? 0;
  }

  #of(stage: Candidates, nowMs: number): number {
    if (stage.count === 0) return Number.NaN;
    stage.nowMs = nowMs;
    return this.#detector.saturation(stage);
  }

  #partition(): void {
    const pool = this.#pool;
    if (pool.version === this.#version) return;
    this.#version = pool.version;
    for (const list of [this.#all, this.#prefill, this.#decode]) list.reset(0);
    this.#prefill.count = 0;
    this.#decode.count = 0;
    for (let i = 0; i < pool.liveCount; i++) {
      const slot = pool.live[i]!;
      const role = pool.metadata(slot).labels.get(ROLE_LABEL) ?? "";
      const isBoth = BOTH.has(role);
      if (isBoth || PREFILL.has(role)) add(this.#prefill, slot);
      if (isBoth || DECODE.has(role)) add(this.#decode, slot);
    }
  }
}

function add(list: Candidates, slot: number): void {
  list.slots[list.count++] = slot;
}
