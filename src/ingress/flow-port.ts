/**
 * The way to the scheduler through flow control: drives the controller by events, and tells outcomes in turns of their own.
 *
 *   submit, firstToken, complete, cancel ─▶ controller ─▶ outcomes of this call's own request: at once
 *   rows or endpoints moved, timer ───────▶     │         of others: `#ready` ──next turn, a slice at a time──▶ streams
 *                                               └ hasMore: resume() in the next turn
 *
 * While something is queued it is told of rows that scrapers write and of endpoints that come and go, and has one timer, at
 * the controller's own time. With nothing queued nothing wakes.
 * @module
 */
import {
  Candidates,
  type Clock,
  type EndCause,
  type Flight,
  FlowController,
  type FlowControlSettings,
  type FlowControlStats,
  type FlowObserver,
  type FlowSink,
  type HashPlan,
  type InferenceRequest,
  type Outcome,
  type SubsetHint,
  type Ticket,
  type TokenUsage,
} from "../../scheduler/index.ts";
import {
  type InProcessPortOptions,
  type OutcomeSink,
  SafeCalls,
  type SchedulerPort,
  type Waiting,
} from "./scheduler-port.ts";

export const flowPortLimits = {
  /** Outcomes told in one turn of the event loop. */
  outcomesPerTurn: 64,
  /** Time between two looks whether all metrics are stale, ms. */
  staleLookIntervalMs: 1000,
} as const;

/** Timers of the event loop, or a test's. */
export interface FlowTimers {
  /** Calls once after `ms`. @returns what clear() takes */
  after(ms: number, callback: () => void): unknown;
  clear(timer: unknown): void;
  /** Calls once in a later turn. */
  soon(callback: () => void): void;
}

export const systemTimers: FlowTimers = {
  after: (ms, callback) => setTimeout(callback, ms).unref(),
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout),
  soon: (callback) => setImmediate(callback),
};

/** Told of what flow control does, beside what the controller tells. */
export interface FlowMeter extends FlowObserver {
  /** A request was taken in, or refused; `ms` is what that took. */
  submitted(ticket: Ticket, ms: number): void;
  /** The controller has looked at what is queued; `ms` is what that took. */
  cycle(ms: number): void;
}

export interface FlowPortOptions extends InProcessPortOptions {
  readonly settings: FlowControlSettings;
  readonly clock: Clock;
  /** @returns rows that have moved */
  readonly refresh: () => number;
  /** Calls once, in a turn of its own, when a row has moved since the last `refresh`. */
  readonly whenMoved: (callback: () => void) => void;
  /** Scores of a pick are kept until its outcome is told (--emit-endpoint-scores). */
  readonly keepsScores: boolean;
  readonly meter?: FlowMeter;
  /** Milliseconds, monotonic, for the durations of the meter. */
  readonly now?: () => number;
  readonly timers?: FlowTimers;
  /** Requests wait, and the metrics of every endpoint are stale. */
  readonly onAllStale?: (endpoints: number) => void;
  /** Hashes which clients share queues beyond the bound of flows; random, so that nobody can choose. */
  readonly seed?: number;
}

type Scores = Record<string, number>;

/** A request in flow control, between its stream and the controller. */
class FlowExchange implements FlowSink, Waiting {
  readonly sink: OutcomeSink;
  ticket: Ticket | null = null;
  /** Known, but not told yet. */
  outcome: Outcome | null = null;
  isToBeEvicted = false;
  /** The sink has been told, or wants to know no more. */
  isOver = false;
  readonly #port: FlowPort;

  constructor(port: FlowPort, sink: OutcomeSink) {
    this.#port = port;
    this.sink = sink;
  }

  onOutcome(outcome: Outcome): void {
    this.outcome = outcome;
    this.#port.tell(this);
  }

  onEvict(): void {
    this.isToBeEvicted = true;
    this.#port.tell(this);
  }

  cancel(): void {
    this.#port.cancel(this);
  }
}

export class FlowPort implements SchedulerPort {
  readonly #options: FlowPortOptions;
  readonly #flow: FlowController;
  readonly #calls: SafeCalls;
  readonly #timers: FlowTimers;
  readonly #now: () => number;
  /** Requests that wait. */
  readonly #waiting = new Set<FlowExchange>();
  /** What is to be told, in order; from `#readyAt` on. */
  #ready: FlowExchange[] = [];
  #readyAt = 0;
  #isTurnDue = false;
  #timer: unknown = null;
  #timerAtMs = Number.POSITIVE_INFINITY;
  /** Rows have moved since the controller was woken. */
  #hasMoved = false;
  /** A call is to come when rows move, and when endpoints have. */
  #isWatching = false;
  #isPoolTurnDue = false;
  #poolVersion: number;
  #staleLookAtMs = 0;
  readonly #everybody: Candidates;
  readonly #keptScores = new Map<Flight, Scores>();
  #scores: Scores | null = null;

  constructor(options: FlowPortOptions) {
    this.#options = options;
    const { clock, meter, pool, seed, settings } = options;
    this.#timers = options.timers ?? systemTimers;
    this.#now = options.now ?? (() => performance.now());
    this.#calls = new SafeCalls({ ...options, refresh: () => this.#refresh() });
    this.#everybody = new Candidates(pool);
    this.#poolVersion = pool.version;
    pool.observe({
      endpointAdded: () => this.#onPoolChanged(),
      endpointRemoved: () => this.#onPoolChanged(),
    });
    this.#flow = new FlowController({
      settings,
      clock,
      pool,
      schedule: options.keepsScores
        ? (request, subset) => this.#pickWithScores(request, subset)
        : (request, subset) => this.#calls.pick(request, subset),
      ...(meter === undefined ? {} : { observer: meter }),
      ...(seed === undefined ? {} : { seed }),
    });
  }

  get hashPlans(): readonly HashPlan[] {
    return this.#options.scheduler.hashPlans;
  }

  /** Requests that wait. */
  get queued(): number {
    return this.#flow.queued;
  }

  submit(request: InferenceRequest, subset: SubsetHint | null, sink: OutcomeSink): Waiting | null {
    const { meter, onFault } = this.#options;
    const exchange = new FlowExchange(this, sink);
    let ticket: Ticket;
    try {
      this.#wakeIfMoved();
      const startMs = this.#now();
      ticket = this.#flow.submit(request, subset, exchange);
      meter?.submitted(ticket, this.#now() - startMs);
    } catch (error) {
      onFault(error);
      exchange.isOver = true;
      sink.onOutcome(this.#calls.plain(request, subset));
      return null;
    }
    const { outcome } = ticket;
    exchange.ticket = ticket;
    if (outcome === null) this.#waiting.add(exchange);
    this.#settle();
    if (outcome === null) return exchange;
    this.#hand(exchange, outcome);
    return null;
  }

  firstToken(flight: Flight): void {
    this.#calls.firstToken(flight);
    const { ticket } = flight;
    if (ticket === null || this.#flow.queued === 0) return; // it has no effect then
    this.#call(() => this.#flow.firstToken(ticket));
  }

  served(flight: Flight, hostPort: string): boolean {
    return this.#calls.served(flight, hostPort);
  }

  complete(flight: Flight, cause: EndCause, usage: TokenUsage | null = null): void {
    this.#calls.complete(flight, cause);
    const { ticket } = flight;
    if (ticket === null) return;
    flight.ticket = null;
    if (this.#flow.queued > 0) {
      this.#call(() => this.#flow.complete(ticket, usage));
      return;
    }
    try {
      this.#flow.complete(ticket, usage);
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  lastScores(): Scores {
    return this.#scores ?? this.#calls.lastScores();
  }

  /** Priorities that objectives give: bands that are to be there, besides those of the configuration. */
  setPriorities(priorities: readonly number[]): void {
    this.#call(() => this.#flow.setPriorities(priorities));
  }

  /** Refuses all that waits, and all that comes later. */
  close(): void {
    this.#call(() => this.#flow.close());
  }

  stats(): FlowControlStats {
    return this.#flow.stats();
  }

  /** Requests that wait, with their tickets. */
  *tickets(): Generator<Ticket> {
    for (const { ticket } of this.#waiting) if (ticket?.state === "queued") yield ticket;
  }

  /** Endpoints whose metrics are too old for the detector. */
  staleEndpoints(): number {
    const { clock, settings } = this.#options;
    this.#everybody.reset(clock.nowMs());
    return settings.detector.staleEndpoints?.(this.#everybody) ?? 0;
  }

  /** From the controller: something is to be told, outside of this call. */
  tell(exchange: FlowExchange): void {
    this.#ready.push(exchange);
  }

  /** From the stream: whoever waited is gone. */
  cancel(exchange: FlowExchange): void {
    const { ticket } = exchange;
    if (ticket === null || !this.#waiting.delete(exchange)) return;
    exchange.isOver = true;
    this.#call(() => this.#flow.cancel(ticket));
  }

  #pickWithScores(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    const outcome = this.#calls.pick(request, subset);
    if (outcome.kind === "picked") {
      this.#keptScores.set(outcome, this.#calls.lastScores());
    }
    return outcome;
  }

  /** Gives an outcome to its stream. */
  #hand(exchange: FlowExchange, outcome: Outcome): void {
    exchange.isOver = true;
    if (outcome.kind === "picked") {
      outcome.ticket = exchange.ticket;
      if (this.#options.keepsScores) {
        this.#scores = this.#keptScores.get(outcome) ?? null;
        this.#keptScores.delete(outcome);
      }
    }
    exchange.sink.onOutcome(outcome);
    this.#scores = null;
  }

  #refresh(): void {
    if (this.#options.refresh() > 0) this.#hasMoved = true;
  }

  #wakeIfMoved(): void {
    this.#refresh();
    if (this.#flow.queued === 0) this.#hasMoved = false;
    else if (this.#hasMoved || this.#options.pool.version !== this.#poolVersion) this.#wake();
  }

  #wake(): void {
    this.#hasMoved = false;
    this.#poolVersion = this.#options.pool.version;
    this.#flow.wake();
  }

  /** A call of the controller that may dispatch what is queued. */
  #call(call: () => void): void {
    const { meter, onFault } = this.#options;
    const startMs = this.#now();
    try {
      call();
    } catch (error) {
      onFault(error);
    }
    meter?.cycle(this.#now() - startMs);
    this.#settle();
  }

  /** After each call: the next turn when something is left to do, and the timer. */
  #settle(): void {
    const isMore = this.#flow.hasMore || this.#readyAt < this.#ready.length;
    if (isMore && !this.#isTurnDue) {
      this.#isTurnDue = true;
      this.#timers.soon(this.#onTurn);
    }
    this.#arm();
    this.#watch();
  }

  readonly #onTurn = (): void => {
    this.#isTurnDue = false;
    const { outcomesPerTurn } = flowPortLimits;
    const end = Math.min(this.#ready.length, this.#readyAt + outcomesPerTurn);
    while (this.#readyAt < end) this.#tellOne(this.#ready[this.#readyAt++]!);
    if (this.#readyAt === this.#ready.length) {
      this.#ready = [];
      this.#readyAt = 0;
    }
    if (this.#flow.hasMore) this.#call(() => this.#flow.resume());
    else this.#settle();
  };

  #tellOne(exchange: FlowExchange): void {
    const { outcome, sink } = exchange;
    try {
      if (outcome !== null) {
        exchange.outcome = null;
        this.#waiting.delete(exchange);
        if (!exchange.isOver) this.#hand(exchange, outcome);
        else if (outcome.kind === "picked") this.#giveBack(exchange, outcome);
      } else if (exchange.isToBeEvicted) {
        exchange.isToBeEvicted = false;
        sink.onEvict();
      }
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  /** A flight for a request that nobody waits for any more. */
  #giveBack({ ticket }: FlowExchange, flight: Flight): void {
    this.#keptScores.delete(flight);
    flight.ticket = ticket;
    this.complete(flight, "client-disconnect");
  }

  #arm(): void {
    if (this.#flow.queued === 0) {
      if (this.#timer !== null) this.#timers.clear(this.#timer);
      this.#timer = null;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      return;
    }
    const nowMs = this.#options.clock.nowMs();
    const looksForStale = this.#options.onAllStale !== undefined;
    const lookAtMs = looksForStale ? this.#staleLookAtMs : Number.POSITIVE_INFINITY;
    const atMs = Math.max(nowMs, Math.min(this.#flow.wakeAtMs, lookAtMs));
    if (this.#timer !== null) {
      if (this.#timerAtMs <= atMs) return;
      this.#timers.clear(this.#timer);
      this.#timer = null;
    }
    this.#timerAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#timers.after(atMs - nowMs, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#options.clock.nowMs();
    const isDue = nowMs >= this.#flow.wakeAtMs;
    this.#look(isDue, () => this.#lookForStale(nowMs));
  };

  /** Asks to be told of rows that move, as long as something is queued. */
  #watch(): void {
    if (this.#isWatching || this.#flow.queued === 0) return;
    this.#isWatching = true;
    this.#options.whenMoved(this.#onRowsMoved);
  }

  readonly #onRowsMoved = (): void => {
    this.#isWatching = false;
    if (this.#flow.queued > 0) this.#look(false);
  };

  /** Endpoints come and go several at a time: one look for all of a turn. */
  #onPoolChanged(): void {
    if (this.#isPoolTurnDue || this.#flow.queued === 0) return;
    this.#isPoolTurnDue = true;
    this.#timers.soon(() => {
      this.#isPoolTurnDue = false;
      if (this.#flow.queued > 0) this.#look(false);
    });
  }

  /** Takes over what has moved, and wakes the controller when there is reason to. */
  #look(isDue: boolean, also: () => void = () => {}): void {
    try {
      this.#refresh();
      also();
    } catch (error) {
      this.#options.onFault(error);
    }
    if (isDue || this.#hasMoved || this.#options.pool.version !== this.#poolVersion) {
      this.#call(() => this.#wake());
    } else {
      this.#settle();
    }
  }

  #lookForStale(nowMs: number): void {
    const { onAllStale, pool } = this.#options;
    if (onAllStale === undefined || nowMs < this.#staleLookAtMs) return;
    this.#staleLookAtMs = nowMs + flowPortLimits.staleLookIntervalMs;
    const stale = this.staleEndpoints();
    if (stale > 0 && stale === pool.liveCount) onAllStale(stale);
  }
}
