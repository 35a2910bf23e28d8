/**
 * All families of this process, with the hooks that fill gauges when somebody scrapes.
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { collectDefaultMetrics, Registry } from "prom-client";
import { catalog, type FamilyDefinition, type FamilyName } from "./catalog.ts";
import { ExpositionBlock, Family } from "./registry.ts";

/** A sample is a wake-up of the main thread: at the library's 10 ms they are half of what an idle process costs. */
const EVENT_LOOP_SAMPLE_MS = 100;

/** Series written in one turn of the event loop, some 30 us each. */
const PARTS_PER_TURN = 64;

export class Metrics {
  readonly families: Readonly<Record<FamilyName, Family>>;
  readonly #process = new Registry();
  readonly #collectors: (() => void)[] = [];

  /** @param options.collectsProcess false = without the families of process and runtime, which watch them all along */
  constructor({ collectsProcess = true } = {}) {
    const families = {} as Record<FamilyName, Family>;
    for (const [key, definition] of Object.entries(catalog)) {
      families[key as FamilyName] = new Family(definition as FamilyDefinition);
    }
    this.families = families;
    if (!collectsProcess) return;
    collectDefaultMetrics({
      register: this.#process,
      eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS,
    });
  }

  /** Registers a function that brings gauges up to date before each exposition. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /**
   * The page in text format 0.0.4, families sorted by name. Written in turns: with all label sets in use it is tens of
   * megabytes and takes a second, in which picks must go on.
   */
  async render(): Promise<string> {
    for (const collect of this.#collectors) collect();
    const blocks = Object.values(this.families).flatMap((family) => family.blocks());
    for (const { name } of this.#process.getMetricsAsArray()) {
      const text = `${await this.#process.getSingleMetricAsString(name)}\n`;
      blocks.push(new ExpositionBlock(name, () => [text]));
    }
    blocks.sort((a, b) => (a.name < b.name ? -1 : 1));
    const out: string[] = [];
    for (const block of blocks) {
      for (const part of block.parts()) {
        out.push(part);
        if (out.length % PARTS_PER_TURN === 0) await setImmediate();
      }
    }
    return out.join("");
  }
}
