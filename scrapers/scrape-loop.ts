/**
 * The loop of one scraper thread: starts what is due, gives up what is late. Each endpoint has one request under way at
 * most and its own connection, so a slow one delays nobody.
 *
 * One timer serves all endpoints. Scrapes that start together cost half of as many wake-ups, so those due within a tick
 * share one; a tick is as long as SCRAPES_PER_TICK take to come due, within bounds: up to eight endpoints are scraped
 * together at the shortest interval. A pass looks at each endpoint; with 4,096 of them that is 10 us.
 * @module
 */
import type { Clock } from "../scheduler/index.ts";
import { SentNames } from "./adapter-names.ts";
import { EndpointTable } from "./endpoint-table.ts";
import {
  createCounters,
  type FromScraper,
  type ScrapeConfig,
  type ScrapeCounters,
  type ScraperInit,
  type ScrapeTarget,
  type WarningKind,
} from "./messages.ts";
import { PageBuffers } from "./page-buffer.ts";
import type { AdapterList } from "./page-facts.ts";
import { type ScrapeContext, ScrapeEndpoint } from "./scrape-endpoint.ts";
import { scrapeSettings } from "./scrape-settings.ts";

const TICK_MS_MIN = 5;
/** The shortest interval: a row's age stays below two of them, and a new endpoint is not kept waiting. */
const TICK_MS_MAX = 50;
const SCRAPES_PER_TICK = 8;

export class ScrapeLoop {
  readonly counters: ScrapeCounters = createCounters();
  readonly #clock: Clock;
  readonly #context: ScrapeContext;
  readonly #post: (message: FromScraper) => void;
  readonly #sentNames = new SentNames();
  readonly #bySlot = new Map<number, ScrapeEndpoint>();
  #timer: NodeJS.Timeout | undefined;
  /** Clock at which the timer fires; Infinity = it is not set. */
  #wakeMs = Number.POSITIVE_INFINITY;

  /** @param random uniform in [0, 1) */
  constructor(
    init: ScraperInit,
    clock: Clock,
    random: () => number,
    post: (message: FromScraper) => void,
  ) {
    this.#clock = clock;
    this.#post = post;
    this.#context = {
      table: EndpointTable.attach(init.table),
      clock,
      random,
      counters: this.counters,
      buffers: new PageBuffers(),
      settings: scrapeSettings(init.config),
      namesSeen: (adapters) => this.#sendNames(adapters),
      warn: (target, kind, detail) => this.#warn(target, kind, detail),
    };
  }

  /** Scrapes an endpoint from now on; one that has the slot is replaced. */
  add(target: ScrapeTarget): void {
    this.remove(target.slot);
    const endpoint = new ScrapeEndpoint(target, this.#context);
    this.#bySlot.set(target.slot, endpoint);
    this.counters.endpoints = this.#bySlot.size;
    this.#wakeAt(endpoint.due.dueMs, this.#clock.nowMs());
  }

  /** Ends the scrapes of a slot; its row stays as it is. */
  remove(slot: number): void {
    this.#bySlot.get(slot)?.stop();
    this.#bySlot.delete(slot);
    this.counters.endpoints = this.#bySlot.size;
  }

  /** Replaces the configuration; connections are made anew. */
  configure(config: ScrapeConfig): void {
    this.#context.settings = scrapeSettings(config);
    for (const endpoint of this.#bySlot.values()) endpoint.configured();
  }

  /** Closes all sockets. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#wakeMs = Number.POSITIVE_INFINITY;
    for (const slot of this.#bySlot.keys()) this.remove(slot);
  }

  readonly #tick = (): void => {
    const nowMs = this.#clock.nowMs();
    const dueByMs = nowMs + this.#tickMs;
    this.#wakeMs = Number.POSITIVE_INFINITY;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const endpoint of this.#bySlot.values()) {
      if (nowMs >= endpoint.deadlineMs) endpoint.timeOut();
      if (dueByMs >= endpoint.due.dueMs) {
        if (endpoint.isFetching) {
          this.counters.scrapesSkipped++;
          endpoint.due.advance(nowMs);
        } else endpoint.start(nowMs);
      }
      nextMs = Math.min(nextMs, endpoint.due.dueMs, endpoint.deadlineMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#wakeAt(nextMs, nowMs);
  };

  get #tickMs(): number {
    const { intervalMs } = this.#context.settings;
    const tickMs = (intervalMs * SCRAPES_PER_TICK) / this.#bySlot.size;
    return Math.max(TICK_MS_MIN, Math.min(tickMs, TICK_MS_MAX));
  }

  #wakeAt(dueMs: number, nowMs: number): void {
    const wakeMs = Math.max(dueMs, nowMs + this.#tickMs);
    if (wakeMs >= this.#wakeMs) return;
    clearTimeout(this.#timer);
    this.#wakeMs = wakeMs;
    this.#timer = setTimeout(this.#tick, wakeMs - nowMs);
  }

  #sendNames(adapters: AdapterList): void {
    this.#sentNames.each(adapters, this.#sendName);
  }

  readonly #sendName = (lo: number, hi: number, name: string): void => {
    this.#post({ type: "adapter", lo, hi, name });
  };

  #warn({ slot, generation }: ScrapeTarget, kind: WarningKind, detail: string): void {
    this.#post({ type: "warning", warning: { kind, slot, generation, detail } });
  }
}
