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
} from "../../scheduler/index.ts";

/**
 * Receives the outcome of one submission, once: within `submit`, or later in a turn of its own, never from inside another
 * exchange's call.
 */
export interface OutcomeSink {
  onOutcome(outcome: Outcome): void;
}

export interface SchedulerPort {
  /** Block sizes that prompts are hashed with, in the order of `request.blockHashes`. */
  readonly hashPlans: readonly HashPlan[];
  submit(request: InferenceRequest, subset: SubsetHint | null, sink: OutcomeSink): void;
  /** First byte of the response was seen. */
  firstToken(flight: Flight): void;
  /**
   * Another endpoint than the picked one may have served the request: its charge moves there.
   *
   * @param hostPort `ip:port`
   * @returns whether it moved
   */
  served(flight: Flight, hostPort: string): boolean;
  /** The exchange is over; idempotent. */
  complete(flight: Flight, cause: EndCause): void;
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
}

/** SchedulerPort as a function call. */
export class InProcessSchedulerPort implements SchedulerPort {
  readonly #options: InProcessPortOptions;

  constructor(options: InProcessPortOptions) {
    this.#options = options;
  }

  get hashPlans(): readonly HashPlan[] {
    return this.#options.scheduler.hashPlans;
  }

  submit(request: InferenceRequest, subset: SubsetHint | null, sink: OutcomeSink): void {
    const { scheduler, refresh, onFault } = this.#options;
    let outcome: Outcome;
    try {
      refresh();
      outcome = scheduler.schedule(request, subset);
    } catch (error) {
      // A gateway that has sent body bytes can not fail open: a plain pick is better than an error (01, DBU-21).
      onFault(error);
      outcome = scheduler.scheduleFallback(request, subset);
    }
    sink.onOutcome(outcome);
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
