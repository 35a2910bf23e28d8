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

/** Which stages of disaggregated serving a flight goes through. */
export interface StagesDecision {
  readonly pluginName: string;
  readonly pluginType: string;
  readonly decision: "decode-only" | "prefill-decode" | "encode-decode" | "encode-prefill-decode";
}

const NO_HEADERS: readonly string[] = [];

export class Flight {
  readonly kind = "picked";
  readonly request: InferenceRequest;
  /** `ip:port[,ip:port…]`, primary first. */
  readonly destination: string;
  /** Charges; the first one is the primary endpoint's. */
  readonly charges: readonly Charge[];
  /** Headers to set on the request to the model server (P/D and rank headers), name and value in turn. */
  headers: readonly string[];
  readonly pickedAtMs: number;
  /** Headers to set on the answer to the client, name (lower case) and value in turn. */
  responseHeaders: readonly string[] = NO_HEADERS;
  state: FlightState = "open";
  /** Whoever drives flow control keeps its ticket here; null without. */
  ticket: Ticket | null = null;
  /** null = serving is not disaggregated. */
  stages: StagesDecision | null = null;

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

  /**
   * Sets a header on the request to the model server; for plugins, within the pick. A name that is there gets the new
   * value.
   *
   * @param name  lower case
   * @param value no control characters: it is written as it is
   */
  setHeader(name: string, value: string): void {
    this.headers = withHeader(this.headers, name, value);
  }

  /**
   * Sets a header on the answer to the client; for plugins, until the answer's headers have come. A name that is there
   * gets the new value.
   *
   * @param name  lower case
   * @param value no control characters: it is written as it is
   */
  setResponseHeader(name: string, value: string): void {
    this.responseHeaders = withHeader(this.responseHeaders, name, value);
  }
}

/** A copy, since lists without a header are shared. */
function withHeader(from: readonly string[], name: string, value: string): readonly string[] {
  const headers = [...from];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) headers.splice(i, 2);
  }
  headers.push(name, value);
  return headers;
}
