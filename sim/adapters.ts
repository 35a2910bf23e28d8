/**
 * LoRA adapters of one engine: a number of slots, a time to load one, idle ones unloaded least recently used first.
 *
 *   absent ──request──▶ loading until t ──▶ loaded (users > 0) ⇄ loaded (idle) ──slot needed──▶ absent
 * @module
 */

interface Slot {
  /** Requests that use it. */
  users: number;
  /** Time at which the load is done, ms. */
  readyAtMs: number;
}

export class Adapters {
  readonly slotsMax: number;
  readonly #loadMs: number;
  /** Loaded and loading adapters, least recently used first. */
  readonly #slots = new Map<string, Slot>();
  /** Loads since the start. */
  loads = 0;

  /** @param slotsMax adapters held at one time, >= 0; @param loadMs time of one load */
  constructor(slotsMax: number, loadMs: number) {
    this.slotsMax = slotsMax;
    this.#loadMs = loadMs;
  }

  /**
   * Takes an adapter for a request; loads it when it is absent and a slot can be had.
   *
   * @returns time from which it can be used, ms; -1 = no slot, nothing taken
   */
  acquire(name: string, nowMs: number): number {
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      if (this.#slots.size >= this.slotsMax && !this.#evictIdle()) return -1;
      slot = { users: 0, readyAtMs: nowMs + this.#loadMs };
      this.loads++;
    }
    this.#slots.delete(name);
    this.#slots.set(name, slot);
    slot.users++;
    return slot.readyAtMs;
  }

  release(name: string): void {
    const slot = this.#slots.get(name);
    if (slot !== undefined) slot.users--;
  }

  /** Removes an idle adapter. @returns false when it is in use or absent */
  unload(name: string): boolean {
    const slot = this.#slots.get(name);
    return slot !== undefined && slot.users === 0 && this.#slots.delete(name);
  }

  /** Adapters with a slot. */
  get loaded(): readonly string[] {
    return [...this.#slots.keys()];
  }

  #evictIdle(): boolean {
    for (const [name, { users }] of this.#slots) {
      if (users > 0) continue;
      this.#slots.delete(name);
      return true;
    }
    return false;
  }
}
