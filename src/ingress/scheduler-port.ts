/**
 * The way from ingress to the scheduler: facts in, outcome out, completions after it. In one thread it is a function
 * call; the interface is what a message port would offer, so that streams do not notice where the scheduler lives.
 * @module
 */
import type {
  EndCause,
  EndpointPool,
  Flight,
  HashPlan,
  InferenceRequest,
  Outcome,
  Scheduler,
  SubsetHint,
  TokenUsage,
} from "../../scheduler/index.ts";

/**
 * Receives the outcome of one submission, once: within `submit`, or later in a turn of its own, never from inside another
 * exchange's call.
 */
export interface OutcomeSink {
  onOutcome(outcome: Outcome): void;
  /**
   * The flight is to end for a more important request, unless its answer is complete. In a turn of its own; complete() is
   * to follow, now or at the end of the exchange.
   */
  onEvict(): void;
}

/** A submission whose outcome is to come. */
export interface Waiting {
  /** Nobody waits for it any more. */
  cancel(): void;
}

/** Told of every pick: one at a time, `begin` and `end` in turn. */
export interface PickObserver {
  begin(): void;
  end(request: InferenceRequest, outcome: Outcome): void;
}

export interface SchedulerPort {
  /** Block sizes that prompts are hashed with, in the order of `request.blockHashes`. */
  readonly hashPlans: readonly HashPlan[];
  /** @returns null when the sink has been told already */
  submit(request: InferenceRequest, subset: SubsetHint | null, sink: OutcomeSink): Waiting | null;
  /** First byte of the response was seen. */
  firstToken(flight: Flight): void;
  /**
   * Another endpoint than the picked one may have served the request: its charge moves there.
   *
   * @param hostPort `ip:port`
   * @returns whether it moved
   */
  served(flight: Flight, hostPort: string): boolean;
  /**
   * The exchange is over; idempotent.
   *
   * @param usage what its answer has told; absent or null = nothing
   */
  complete(flight: Flight, cause: EndCause, usage?: TokenUsage | null): void;
  /** Scores of the last pick by `ip:port`; for --emit-endpoint-scores. */
  lastScores(): Record<string, number>;
}

export interface InProcessPortOptions {
  readonly scheduler: Scheduler;
  readonly pool: EndpointPool;
  /** Brings scraped facts up to date; called before each pick. */
  readonly refresh: () => void;
  /** A plugin or the scheduler has thrown: a pick was replaced by a plain one, another call was cut short. */
  readonly onFault: (error: unknown) => void;
  readonly picks?: PickObserver;
}

/** The scheduler's calls, as no plugin's fault can break them. */
export class SafeCalls {
  readonly #options: InProcessPortOptions;

  constructor(options: InProcessPortOptions) {
    this.#options = options;
  }

  /** Takes scraped rows over; then score, pick and account as one step. */
  pick(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    const { onFault, picks, refresh, scheduler } = this.#options;
    picks?.begin();
    let outcome: Outcome;
    try {
      refresh();
      outcome = scheduler.schedule(request, subset);
    } catch (error) {
      // A gateway that has sent body bytes can not fail open: a plain pick is better than an error (01, DBU-21).
      onFault(error);
      outcome = scheduler.scheduleFallback(request, subset);
    }
    picks?.end(request, outcome);
    return outcome;
  }

  /** A pick for which no plugin is asked. */
  plain(request: InferenceRequest, subset: SubsetHint | null): Outcome {
    return this.#options.scheduler.scheduleFallback(request, subset);
  }

  firstToken(flight: Flight): void {
    const { scheduler, onFault } = this.#options;
    try {
      scheduler.firstToken(flight);
    } catch (error) {
      onFault(error);
    }
  }

  served(flight: Flight, hostPort: string): boolean {
    const { scheduler, onFault } = this.#options;
    try {
      return scheduler.served(flight, hostPort);
    } catch (error) {
      onFault(error); // the charge has moved all the same
      return true;
    }
  }

  complete(flight: Flight, cause: EndCause): void {
    const { scheduler, onFault } = this.#options;
    try {
      scheduler.complete(flight, cause);
    } catch (error) {
      onFault(error); // what the flight was charged has been given back all the same
    }
  }

  lastScores(): Record<string, number> {
    const scores: Record<string, number> = Object.create(null);
    this.#options.scheduler.lastScores(scores);
    return scores;
  }
}

/** SchedulerPort as a function call. */
export class InProcessSchedulerPort implements SchedulerPort {
  readonly hashPlans: readonly HashPlan[];
  readonly #calls: SafeCalls;

  constructor(options: InProcessPortOptions) {
    this.hashPlans = options.scheduler.hashPlans;
    this.#calls = new SafeCalls(options);
  }

  submit(request: InferenceRequest, subset: SubsetHint | null, sink: OutcomeSink): null {
    sink.onOutcome(this.#calls.pick(request, subset));
    return null;
  }

  firstToken(flight: Flight): void {
    this.#calls.firstToken(flight);
  }

  served(flight: Flight, hostPort: string): boolean {
    return this.#calls.served(flight, hostPort);
  }

  complete(flight: Flight, cause: EndCause): void {
    this.#calls.complete(flight, cause);
  }

  lastScores(): Record<string, number> {
    return this.#calls.lastScores();
  }
}
