/**
 * LoRA adapters of one engine: a number of slots, a time to load one, idle ones unloaded least recently used first.
 *
 *   absent ──acquire──▶ loading until t ──▶ loaded (users > 0) ⇄ loaded (idle) ──slot needed──▶ absent
 * @module
 */

interface Slot {
  /** Requests that use it. */
  users: number;
  /** Time at which the load is done, ms. */
  readonly readyAtMs: number;
}

/** No slot can be had. */
export const NO_SLOT = Number.POSITIVE_INFINITY;

export class Adapters {
  readonly slotsMax: number;
  readonly #loadMs: number;
  /** Loaded and loading adapters, least recently used first. */
  readonly #slots = new Map<string, Slot>();
  /** Loads since the start. */
  loads = 0;

  /** @param slotsMax adapters held at one time, >= 0; @param loadMs time of one load, >= 0 */
  constructor(slotsMax: number, loadMs: number) {
    this.slotsMax = slotsMax;
    this.#loadMs = loadMs;
  }

  /** Time from which an adapter could be used if it were taken now, ms; NO_SLOT when all slots are in use. Changes nothing. */
  readyAtMs(name: string, nowMs: number): number {
    const slot = this.#slots.get(name);
    if (slot !== undefined) return slot.readyAtMs;
    const hasRoom = this.#slots.size < this.slotsMax || this.#oldestIdle() !== undefined;
    return hasRoom ? nowMs + this.#loadMs : NO_SLOT;
  }

  /**
   * Takes an adapter for a request; loads it when it is absent and a slot can be had.
   *
   * @returns time from which it can be used, ms; NO_SLOT, and nothing taken, when all slots are in use
   */
  acquire(name: string, nowMs: number): number {
    const readyAtMs = this.readyAtMs(name, nowMs);
    if (readyAtMs === NO_SLOT) return NO_SLOT;
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      if (this.#slots.size >= this.slotsMax) this.#slots.delete(this.#oldestIdle()!);
      slot = { users: 0, readyAtMs };
      this.loads++;
    }
    slot.users++;
    this.#touch(name, slot);
    return readyAtMs;
  }

  release(name: string): void {
    const slot = this.#slots.get(name)!;
    slot.users--;
    this.#touch(name, slot);
  }

  /** Removes an idle adapter. @returns false when it is in use or absent */
  unload(name: string): boolean {
    return this.#slots.get(name)?.users === 0 && this.#slots.delete(name);
  }

  /** Adapters with a slot, least recently used first. */
  get loaded(): readonly string[] {
    return [...this.#slots.keys()];
  }

  #touch(name: string, slot: Slot): void {
    this.#slots.delete(name);
    this.#slots.set(name, slot);
  }

  #oldestIdle(): string | undefined {
    for (const [name, { users }] of this.#slots) if (users === 0) return name;
    return undefined;
  }
}
