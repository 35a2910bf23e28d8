/**
 * Picks for the conformance suite of the Gateway API inference extension, whose tests name the endpoints that they want:
 * candidates in turn, no plugin asked. Behind --conformance-mode alone, since whoever can send the header chooses.
 *
 *   header test-epp-endpoint-selection, else the gateway's subset hint, else the pool ──▶ in turn
 *
 * Source: gateway-api-inference-extension: pkg/lwepp
 * @module
 */
import { HeaderId, headerNames } from "../../proto/index.ts";
import type {
  EndCause,
  Flight,
  HashPlan,
  InferenceRequest,
  Scheduler,
  SubsetHint,
} from "../../scheduler/index.ts";
import type { OutcomeSink, SchedulerPort } from "./scheduler-port.ts";

/** Comma list of `ip`, `ip:port` or `[v6]:port`. */
export const SELECTION_HEADER = headerNames[HeaderId.testEndpointSelection]!;

/** Tells the suite's model servers a header to put into their answer. */
const ECHO_HEADER = "x-echo-set-header";
const SERVED_HEADER = headerNames[HeaderId.conformanceServedEndpoint]!;

/** Nothing is known of prompts here, so nothing has to be hashed. */
const NO_PLANS: readonly HashPlan[] = [];

export class ConformancePort implements SchedulerPort {
  readonly hashPlans = NO_PLANS;
  readonly #port: SchedulerPort;
  readonly #scheduler: Scheduler;

  /** @param port takes what follows a pick */
  constructor(port: SchedulerPort, scheduler: Scheduler) {
    this.#port = port;
    this.#scheduler = scheduler;
  }

  submit(request: InferenceRequest, subset: SubsetHint | null, sink: OutcomeSink): null {
    const selection = request.headers.get(SELECTION_HEADER)?.trim() ?? "";
    const hint = selection === "" ? subset : [selection];
    const outcome = this.#scheduler.scheduleFallback(request, hint);
    if (outcome.kind === "picked") {
      outcome.setHeader(ECHO_HEADER, `${SERVED_HEADER}:${outcome.destination}`);
    }
    sink.onOutcome(outcome);
    return null;
  }

  firstToken(flight: Flight): void {
    this.#port.firstToken(flight);
  }

  served(flight: Flight, hostPort: string): boolean {
    return this.#port.served(flight, hostPort);
  }

  complete(flight: Flight, cause: EndCause): void {
    this.#port.complete(flight, cause);
  }

  lastScores(): Record<string, number> {
    return this.#port.lastScores();
  }
}
