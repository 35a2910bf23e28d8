/**
 * The endpoints still in the running for one request: a list of slots that filters shorten in place, reused from pick
 * to pick.
 * @module
 */
import type { EndpointColumns, EndpointPool } from "./endpoints.ts";

export class Candidates {
  readonly pool: EndpointPool;
  /** Slots; only [0, count) counts. Order is that of the pool (arrival), and filters keep it. */
  slots: Int32Array;
  count = 0;
  /** Clock at the start of the pick, ms: one reading for all plugins. */
  nowMs = 0;
  /** Endpoint that an earlier profile has picked, to which this profile's is to be near; -1 = none. */
  peerSlot = -1;

  constructor(pool: EndpointPool) {
    this.pool = pool;
    this.slots = new Int32Array(pool.columns.capacity);
  }

  /** The pool's columns as they are now. */
  get columns(): EndpointColumns {
    return this.pool.columns;
  }

  /** Starts a pick with every endpoint of the pool. */
  reset(nowMs: number): void {
    const { pool } = this;
    this.#ensure(pool.columns.capacity);
    for (let i = 0; i < pool.liveCount; i++) this.slots[i] = pool.live[i]!;
    this.count = pool.liveCount;
    this.nowMs = nowMs;
    this.peerSlot = -1;
  }

  /** Takes over another list of the same pool. */
  copyFrom(other: Candidates): void {
    this.#ensure(other.slots.length);
    for (let i = 0; i < other.count; i++) this.slots[i] = other.slots[i]!;
    this.count = other.count;
    this.nowMs = other.nowMs;
    this.peerSlot = other.peerSlot;
  }

  #ensure(capacity: number): void {
    if (this.slots.length < capacity) this.slots = new Int32Array(capacity);
  }
}
