/**
 * Saturation of the whole pool: the detector over the endpoints that prefill and over those that decode, the greater one
 * counts. Subset hints play no part. Which endpoint belongs where is worked out once a version of the pool.
 * @module
 */
import { Candidates } from "../candidates.ts";
import type { EndpointPool } from "../endpoints.ts";
import { ROLE_LABEL } from "../filters/role-filter.ts";
import type { SaturationDetector } from "./contracts.ts";

const PREFILL_ROLES: ReadonlySet<string> = new Set([
  "prefill",
  "encode-prefill",
  "prefill-decode",
  "both",
  "encode-prefill-decode",
]);
/** An endpoint without the label, or with an empty one, decodes. */
const DECODE_ROLES: ReadonlySet<string> = new Set([
  "",
  "decode",
  "prefill-decode",
  "both",
  "encode-prefill-decode",
]);

export class PoolSaturation {
  detector: SaturationDetector;
  /** As last measured; NaN = no endpoint of that stage, or never measured. */
  prefill = Number.NaN;
  decode = Number.NaN;
  effective = Number.NaN;
  readonly #pool: EndpointPool;
  readonly #prefill: Candidates;
  readonly #decode: Candidates;
  /** Version of the pool that the two lists belong to. */
  #version = -1;

  constructor(pool: EndpointPool, detector: SaturationDetector) {
    this.#pool = pool;
    this.detector = detector;
    this.#prefill = new Candidates(pool);
    this.#decode = new Candidates(pool);
  }

  /** @returns >= 0, 1 = the set point; 1 for an empty pool */
  measure(nowMs: number): number {
    if (this.#version !== this.#pool.version) this.#partition();
    this.prefill = this.#stage(this.#prefill, nowMs);
    this.decode = this.#stage(this.#decode, nowMs);
    if (Number.isNaN(this.prefill)) {
      this.effective = Number.isNaN(this.decode) ? this.#whole(nowMs) : this.decode;
    } else if (Number.isNaN(this.decode)) this.effective = this.prefill;
    else this.effective = Math.max(this.prefill, this.decode);
    return this.effective;
  }

  #stage(candidates: Candidates, nowMs: number): number {
    if (candidates.count === 0) return Number.NaN;
    candidates.nowMs = nowMs;
    return this.#ask(candidates);
  }

  /** For a pool in which nobody has a role that counts. */
  #whole(nowMs: number): number {
    const candidates = this.#decode;
    candidates.reset(nowMs);
    const saturation = candidates.count === 0 ? 1 : this.#ask(candidates);
    candidates.count = 0;
    return saturation;
  }

  /** What is no number counts as full. */
  #ask(candidates: Candidates): number {
    const saturation = this.detector.saturation(candidates);
    return saturation >= 0 ? saturation : 1;
  }

  #partition(): void {
    const { live, liveCount, version } = this.#pool;
    const prefill = this.#prefill;
    const decode = this.#decode;
    prefill.reset(0);
    decode.reset(0);
    prefill.count = 0;
    decode.count = 0;
    for (let i = 0; i < liveCount; i++) {
      const slot = live[i]!;
      const role = this.#pool.metadata(slot).labels.get(ROLE_LABEL) ?? "";
      if (PREFILL_ROLES.has(role)) prefill.slots[prefill.count++] = slot;
      if (DECODE_ROLES.has(role)) decode.slots[decode.count++] = slot;
    }
    this.#version = version;
  }
}
