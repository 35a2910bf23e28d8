/**
 * Keeps scrapers running: gives each endpoint to one of them, watches their beats, and starts anew what has died or
 * hangs. Rows of the table keep their last value meanwhile.
 *
 *            spawn                     exit, or no beat: kill → exit
 *   waiting ───────▶ running ──────────────────────────────────────▶ waiting (100 ms, 200 ms, … 5 s)
 *                       └── stop() ──▶ stopping ── exit ──▶ gone
 *
 * A slot belongs to scraper `slot % count` for life, through removals and restarts, and a scraper is started anew only
 * after its exit: so each row of the table has one writer at any time.
 * @module
 */
import {
  BEAT_INTERVAL_MS,
  createCounters,
  FAILURE_REASONS,
  type FromScraper,
  type ScrapeConfig,
  type ScrapeCounters,
  type ScraperInit,
  type ScrapeTarget,
} from "./messages.ts";
import type { Scraper, SpawnScraper } from "./spawn.ts";

/** Beats in a row that may be missing (2 s): beyond, the thread hangs. */
const BEATS_MISSED_MAX = 8;
/** The same until the first beat (10 s): loading the modules takes long on a busy machine. */
const FIRST_BEAT_MISSED_MAX = 40;

export const RESTART_FIRST_MS = 100;
export const RESTART_LAST_MS = 5000;

/** Beats (10 s) after which a restarted thread counts as sound and the delay begins anew. */
const BEATS_TO_SOUND = 40;

/** A thread that is told to stop and does not is killed. */
const STOP_WITHIN_MS = 1000;

export interface SupervisorEvents {
  message(message: Exclude<FromScraper, { type: "beat" }>): void;
  /** A scraper ended unasked; it is started anew in `restartMs`. */
  died(index: number, cause: string, restartMs: number): void;
}

export class ScraperSupervisor {
  /** Scrapers started anew. */
  restarts = 0;
  readonly #seats: Seat[] = [];
  readonly #watch: NodeJS.Timeout;
  #config: ScrapeConfig;

  /** @throws {Error} when a scraper can not be started at all */
  constructor(count: number, init: ScraperInit, spawn: SpawnScraper, events: SupervisorEvents) {
    this.#config = init.config;
    for (let index = 0; index < count; index++) {
      const seat = new Seat(index, {
        spawn: (scraperEvents) => spawn(index, { ...init, config: this.#config }, scraperEvents),
        message: (message) => events.message(message),
        died: (cause, restartMs) => events.died(index, cause, restartMs),
        restarted: () => this.restarts++,
      });
      this.#seats.push(seat);
      seat.start();
    }
    this.#watch = setInterval(() => this.#checkBeats(), BEAT_INTERVAL_MS);
    this.#watch.unref();
  }

  add(target: ScrapeTarget): void {
    this.#seatOf(target.slot).add(target);
  }

  remove(slot: number): void {
    this.#seatOf(slot).remove(slot);
  }

  configure(config: ScrapeConfig): void {
    this.#config = config;
    for (const seat of this.#seats) seat.scraper?.post({ type: "configure", config });
  }

  kill(index: number): void {
    this.#seats[index]?.scraper?.kill();
  }

  /** Scrapers that have shown a beat since they started. */
  get up(): number {
    return this.#seats.filter((seat) => seat.isUp).length;
  }

  /** Sum over scrapers, former ones included; at most a beat old. */
  counters(): ScrapeCounters {
    const sum = createCounters();
    for (const seat of this.#seats) {
      addCounters(sum, seat.past);
      addCounters(sum, seat.counters);
      sum.endpoints += seat.targetCount;
    }
    return sum;
  }

  /** Ends all scrapers. */
  async stop(): Promise<void> {
    clearInterval(this.#watch);
    await Promise.all(this.#seats.map((seat) => seat.stop()));
  }

  #seatOf(slot: number): Seat {
    return this.#seats[slot % this.#seats.length]!;
  }

  #checkBeats(): void {
    for (const seat of this.#seats) seat.checkBeat();
  }
}

interface SeatHooks {
  spawn(events: { message(message: FromScraper): void; exit(cause: string): void }): Scraper;
  message(message: Exclude<FromScraper, { type: "beat" }>): void;
  died(cause: string, restartMs: number): void;
  restarted(): void;
}

/** Place of one scraper: the endpoints that are its, and the scraper that has them just now. */
class Seat {
  readonly index: number;
  /** Counters of former scrapers of this seat. */
  readonly past = createCounters();
  counters = createCounters();
  scraper: Scraper | null = null;
  readonly #hooks: SeatHooks;
  readonly #targets = new Map<number, ScrapeTarget>();
  #beats = 0;
  /** Checks since the last beat. Counted, not timed: after a stall of this thread beats are read before the next check. */
  #missed = 0;
  #restartMs = RESTART_FIRST_MS;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopped: (() => void) | null = null;

  constructor(index: number, hooks: SeatHooks) {
    this.index = index;
    this.#hooks = hooks;
  }

  get isUp(): boolean {
    return this.scraper !== null && this.#beats > 0;
  }

  get targetCount(): number {
    return this.#targets.size;
  }

  add(target: ScrapeTarget): void {
    this.#targets.set(target.slot, target);
    this.scraper?.post({ type: "add", target });
  }

  remove(slot: number): void {
    this.#targets.delete(slot);
    this.scraper?.post({ type: "remove", slot });
  }

  start(): void {
    this.#beats = 0;
    this.#missed = 0;
    this.counters = createCounters();
    this.scraper = this.#hooks.spawn({
      message: (message) => this.#onMessage(message),
      exit: (cause) => this.#onExit(cause),
    });
    for (const target of this.#targets.values()) this.scraper.post({ type: "add", target });
  }

  checkBeat(): void {
    if (this.scraper === null) return;
    const missedMax = this.#beats === 0 ? FIRST_BEAT_MISSED_MAX : BEATS_MISSED_MAX;
    if (this.#missed++ >= missedMax) this.scraper.kill();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#restartTimer);
    const scraper = this.scraper;
    if (scraper === null) return;
    const gone = new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
    const deadline = setTimeout(() => scraper.kill(), STOP_WITHIN_MS);
    scraper.post({ type: "stop" });
    await gone;
    clearTimeout(deadline);
  }

  #onMessage(message: FromScraper): void {
    if (message.type !== "beat") {
      this.#hooks.message(message);
      return;
    }
    this.counters = message.counters;
    this.#missed = 0;
    if (++this.#beats === BEATS_TO_SOUND) this.#restartMs = RESTART_FIRST_MS;
  }

  #onExit(cause: string): void {
    this.scraper = null;
    addCounters(this.past, this.counters);
    this.counters = createCounters();
    if (this.#stopped === null) this.#scheduleRestart(cause);
    else this.#stopped();
  }

  #scheduleRestart(cause: string): void {
    const restartMs = this.#restartMs;
    this.#restartMs = Math.min(2 * restartMs, RESTART_LAST_MS);
    this.#hooks.died(cause, restartMs);
    this.#restartTimer = setTimeout(() => this.#restart(), restartMs);
  }

  #restart(): void {
    this.#hooks.restarted();
    try {
      this.start();
    } catch (error) {
      this.#scheduleRestart(error instanceof Error ? error.message : String(error));
    }
  }
}

/** Adds all but the number of endpoints, which is no count of events. */
function addCounters(sum: ScrapeCounters, part: ScrapeCounters): void {
  sum.scrapesOk += part.scrapesOk;
  sum.scrapesSkipped += part.scrapesSkipped;
  sum.pageBytes += part.pageBytes;
  for (const reason of FAILURE_REASONS) sum.scrapesFailed[reason] += part.scrapesFailed[reason];
}
