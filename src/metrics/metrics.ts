/**
 * All families of this process, with the hooks that fill gauges when somebody scrapes.
 * @module
 */
import { collectDefaultMetrics, Registry } from "prom-client";
import { catalog, type FamilyDefinition, type FamilyName } from "./catalog.ts";
import { Family } from "./registry.ts";

/** A sample is a wake-up of the main thread: at the library's 10 ms they are half of what an idle process costs. */
const EVENT_LOOP_SAMPLE_MS = 100;

export class Metrics {
  readonly families: Readonly<Record<FamilyName, Family>>;
  readonly #process = new Registry();
  readonly #collectors: (() => void)[] = [];

  constructor() {
    const families = {} as Record<FamilyName, Family>;
    for (const [key, definition] of Object.entries(catalog)) {
      families[key as FamilyName] = new Family(definition as FamilyDefinition);
    }
    this.families = families;
    collectDefaultMetrics({
      register: this.#process,
      eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS,
    });
  }

  /** Registers a function that brings gauges up to date before each exposition. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** The page in text format 0.0.4. */
  async render(): Promise<string> {
    for (const collect of this.#collectors) collect();
    const out: string[] = [];
    const sorted = Object.values(this.families).sort((a, b) =>
      a.definition.name < b.definition.name ? -1 : 1,
    );
    for (const family of sorted) family.render(out);
    out.push(await this.#process.metrics());
    return out.join("");
  }
}
