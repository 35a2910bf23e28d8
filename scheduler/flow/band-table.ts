/**
 * The priority bands: configured ones, band 0, and those that objectives ask for. The last are made from a template, and go
 * when nobody asks for them any more and they are idle.
 * @module
 */
import { limits } from "../limits.ts";
import { Band } from "./band.ts";
import type { BandSettings, FlowControlSettings } from "./settings.ts";

export class BandTable {
  /** Highest priority first. Replaced, never changed, so that a loop over it may go on. */
  sorted: readonly Band[] = [];
  /** Their priorities, in the same order. */
  priorities: readonly number[] = [];
  readonly #byPriority = new Map<number, Band>();
  #settings: FlowControlSettings;
  #wanted: ReadonlySet<number> = new Set();
  /** Told of a band that is gone. */
  readonly #removed: (band: Band) => void;

  constructor(settings: FlowControlSettings, removed: (band: Band) => void) {
    this.#settings = settings;
    this.#removed = removed;
    this.#apply();
  }

  /** Band for a priority; band 0 when there is none. */
  of(priority: number): Band {
    return this.#byPriority.get(priority) ?? this.#byPriority.get(0)!;
  }

  setPriorities(priorities: Iterable<number>): void {
    const wanted = new Set<number>();
    for (const priority of priorities) if (Number.isInteger(priority)) wanted.add(priority + 0);
    this.#wanted = wanted;
    this.#apply();
  }

  reconfigure(settings: FlowControlSettings): void {
    this.#settings = settings;
    this.#apply();
  }

  /** Removes a band that has become idle, unless it is still asked for. */
  release(band: Band): void {
    if (!this.#isKept(band)) this.#apply();
  }

  #isKept(band: Band): boolean {
    return band.isStatic || !band.isIdle || this.#wanted.has(band.priority);
  }

  #apply(): void {
    const { bands } = this.#settings;
    for (const settings of bands) this.#set(settings.priority, settings, true);
    const configured = new Set(bands.map(({ priority }) => priority));
    if (!configured.has(0)) this.#set(0, this.#settings.defaultBand, true);
    for (const [priority, band] of this.#byPriority) {
      if (configured.has(priority) || priority === 0) continue;
      this.#set(priority, this.#template(priority), false);
      if (this.#isKept(band)) continue;
      this.#byPriority.delete(priority);
      this.#removed(band);
    }
    for (const priority of this.#wanted) {
      if (this.#byPriority.size >= limits.bandsMax) break;
      if (!this.#byPriority.has(priority)) this.#set(priority, this.#template(priority), false);
    }
    this.sorted = [...this.#byPriority.values()].sort((a, b) => b.priority - a.priority);
    this.priorities = this.sorted.map(({ priority }) => priority);
  }

  #template(priority: number): BandSettings {
    return priority < 0 ? this.#settings.negativeBand : this.#settings.defaultBand;
  }

  #set(priority: number, settings: BandSettings, isStatic: boolean): void {
    const band = this.#byPriority.get(priority);
    if (band === undefined) {
      this.#byPriority.set(priority, new Band(priority, settings, isStatic));
      return;
    }
    band.isStatic = isStatic;
    band.reconfigure(settings);
  }
}
