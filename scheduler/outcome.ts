/**
 * What a caller of the scheduler gets: a flight, or a reason why there is none. Reasons know no HTTP; src/errors.ts maps
 * each to its status, text and header.
 * @module
 */
import type { Flight } from "./flight.ts";

export type RejectReason =
  /** The pool is empty, or the subset hint leaves nobody. */
  | "no-candidates"
  /** A label or role filter left nobody: no endpoint of the right kind exists. */
  | "filtered-by-labels"
  /** A load filter left nobody. */
  | "filtered-by-load"
  /** No profile produced a result (an unknown profile was asked for). */
  | "no-profile"
  /** Flow control: the queue is full. */
  | "queue-full"
  /** Flow control: the queue is full and the pool is empty. */
  | "queue-full-no-endpoints"
  /** Flow control: waited as long as it may while the pool had endpoints. */
  | "queue-expired"
  /** Flow control: waited as long as it may while the pool was empty. */
  | "queue-expired-no-endpoints"
  /** Flow control: left the full queue to a request of a higher band. */
  | "displaced"
  /** Whoever asked is gone. */
  | "canceled"
  /** Flow control is closed. */
  | "shutting-down"
  /** Was running, and was ended for a request of a higher band. */
  | "evicted"
  /** Without flow control: sheddable, and the pool is saturated. */
  | "shed"
  /** An admitter plugin refused it. */
  | "not-admitted";

export interface Rejection {
  readonly kind: "rejected";
  readonly reason: RejectReason;
  /** When it is worth to ask again, whole seconds; absent = nobody can tell. */
  readonly retryAfterSeconds?: number;
}

export type Outcome = Flight | Rejection;

/** One frozen object a reason: rejecting allocates nothing. */
export const REJECTIONS: Readonly<Record<RejectReason, Rejection>> = Object.freeze({
  "no-candidates": rejection("no-candidates"),
  "filtered-by-labels": rejection("filtered-by-labels"),
  "filtered-by-load": rejection("filtered-by-load"),
  "no-profile": rejection("no-profile"),
  "queue-full": rejection("queue-full"),
  "queue-full-no-endpoints": rejection("queue-full-no-endpoints"),
  "queue-expired": rejection("queue-expired"),
  "queue-expired-no-endpoints": rejection("queue-expired-no-endpoints"),
  displaced: rejection("displaced"),
  canceled: rejection("canceled"),
  "shutting-down": rejection("shutting-down"),
  evicted: rejection("evicted"),
  shed: rejection("shed"),
  "not-admitted": rejection("not-admitted"),
});

function rejection(reason: RejectReason): Rejection {
  return Object.freeze({ kind: "rejected", reason });
}
