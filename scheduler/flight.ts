/**
 * One dispatched request from its pick to its end: which endpoints were charged with what, so that the same amounts are
 * given back exactly once, whatever ends it (10 §C3, I1–I8).
 *
 *   open ──firstToken──▶ streaming ──close──▶ closed
 *     └──────────────close────────────────────┘        a second close, or firstToken after close, does nothing
 * @module
 */
import type { Ticket } from "./flow/ticket.ts";
import type { InferenceRequest } from "./request.ts";

/** How an exchange ended. */
export type EndCause = "natural" | "error" | "client-disconnect" | "evicted";

/** One endpoint charged by a flight: the first target of one profile. */
export interface Charge {
  slot: number;
  /** Generation of the slot when it was charged; a later one means the endpoint is gone. */
  generation: number;
  /** Name of the profile that picked it. */
  profile: string;
  /** Tokens charged and not yet given back. */
  tokens: number;
  /** 1 while the request counts there, 0 once given back. */
  requests: number;
}

export type FlightState = "open" | "streaming" | "closed";

export class Flight {
  readonly kind = "picked";
  readonly request: InferenceRequest;
  /** `ip:port[,ip:port…]`, primary first. */
  readonly destination: string;
  /** Charges; the first one is the primary endpoint's. */
  readonly charges: readonly Charge[];
  /** Headers to set on the request to the model server (P/D and rank headers), name and value in turn. */
  readonly headers: readonly string[];
  readonly pickedAtMs: number;
  state: FlightState = "open";
  /** Whoever drives flow control keeps its ticket here; null without. */
  ticket: Ticket | null = null;

  constructor(
    request: InferenceRequest,
    destination: string,
    charges: readonly Charge[],
    headers: readonly string[],
    pickedAtMs: number,
  ) {
    this.request = request;
    this.destination = destination;
    this.charges = charges;
    this.headers = headers;
    this.pickedAtMs = pickedAtMs;
  }
}
