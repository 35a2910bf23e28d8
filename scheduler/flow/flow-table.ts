/**
 * The flows of all bands: found by id, bounded in number, forgotten when idle. Clients choose the ids, so neither memory nor
 * share may grow with how many of them there are: beyond the bound an idle flow gives way, and when none is idle the id gets
 * one of a few shared queues.
 *
 *   id ──▶ its own flow │ the place of the flow that has been idle longest │ shared queue by hash
 * @module
 */
import { limits } from "../limits.ts";
import type { Band } from "./band.ts";
import { Flow } from "./flow.ts";

export class FlowTable {
  maxFlows: number;
  idleMs: number;
  readonly #seed: number;
  /** Flows of one id each. */
  #count = 0;
  /** Idle flows, longest first; the list is why nothing has to be polled. */
  #firstIdle: Flow | null = null;
  #lastIdle: Flow | null = null;

  /** @param seed of the hash that shares queues out, so that nobody can choose whose queue to share */
  constructor(maxFlows: number, idleMs: number, seed: number) {
    this.maxFlows = maxFlows;
    this.idleMs = idleMs;
    this.#seed = seed;
  }

  get count(): number {
    return this.#count;
  }

  /** The flow for an id; the caller tells by note() whether it has become busy. */
  find(band: Band, fairnessId: string, nowMs: number): Flow {
    const id = shorten(fairnessId);
    const known = band.flows.get(id);
    if (known !== undefined) return known;
    this.collect(nowMs);
    if (this.#count >= this.maxFlows && !this.#forgetOneOfItsOwn()) return this.#shared(band, id);
    const flow = new Flow(id, band);
    band.flows.set(id, flow);
    this.#count++;
    return flow;
  }

  #shared(band: Band, id: string): Flow {
    const bucket = hashWithSeed(id, this.#seed) % limits.overflowFlowsPerBand;
    const known = band.overflow.get(bucket);
    if (known !== undefined) return known;
    const flow = new Flow(`overflow-${bucket}`, band, bucket);
    band.overflow.set(bucket, flow);
    return flow;
  }

  /** Takes down whether a flow is idle, after its numbers have changed. */
  note(flow: Flow, nowMs: number): void {
    const isIdle = flow.requests === 0 && flow.running === 0;
    if (isIdle === flow.idleSinceMs >= 0) return;
    if (isIdle) this.#append(flow, nowMs);
    else this.#unlink(flow);
  }

  /** Forgets the flows that have been idle long enough; O(those). */
  collect(nowMs: number): void {
    while (this.#firstIdle !== null && nowMs - this.#firstIdle.idleSinceMs >= this.idleMs) {
      this.#forget(this.#firstIdle);
    }
  }

  /** Forgets all flows of an idle band. */
  forgetBand(band: Band): void {
    for (const flow of [...band.allFlows()]) this.#forget(flow);
  }

  /** Makes room for one flow. @returns false when none is idle */
  #forgetOneOfItsOwn(): boolean {
    for (let flow = this.#firstIdle; flow !== null; flow = flow.nextIdle) {
      if (flow.bucket >= 0) continue; // at most overflowFlowsPerBand a band
      this.#forget(flow);
      return true;
    }
    return false;
  }

  #forget(flow: Flow): void {
    const { band, bucket } = flow;
    if (flow.idleSinceMs >= 0) this.#unlink(flow);
    band.fairness.forget(flow);
    if (bucket >= 0) band.overflow.delete(bucket);
    else {
      band.flows.delete(flow.fairnessId);
      this.#count--;
    }
  }

  #append(flow: Flow, nowMs: number): void {
    flow.idleSinceMs = nowMs;
    flow.previousIdle = this.#lastIdle;
    if (this.#lastIdle === null) this.#firstIdle = flow;
    else this.#lastIdle.nextIdle = flow;
    this.#lastIdle = flow;
  }

  #unlink(flow: Flow): void {
    const { nextIdle, previousIdle } = flow;
    if (previousIdle === null) this.#firstIdle = nextIdle;
    else previousIdle.nextIdle = nextIdle;
    if (nextIdle === null) this.#lastIdle = previousIdle;
    else nextIdle.previousIdle = previousIdle;
    flow.previousIdle = null;
    flow.nextIdle = null;
    flow.idleSinceMs = -1;
  }
}

/** An id as it is kept: long ones are cut, and told apart by a hash of what was cut off. */
function shorten(id: string): string {
  if (id.length <= limits.fairnessIdCharsMax) return id;
  const rest = hashWithSeed(id, 0).toString(16);
  return `${id.slice(0, limits.fairnessIdCharsMax - rest.length - 1)}~${rest}`;
}

/** FNV-1a over UTF-16 code units, finished so that the low bits depend on all. @returns u32 */
function hashWithSeed(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
