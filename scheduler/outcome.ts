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
  | "no-profile";

export interface Rejection {
  readonly kind: "rejected";
  readonly reason: RejectReason;
}

export type Outcome = Flight | Rejection;

/** One frozen object a reason: rejecting allocates nothing. */
export const REJECTIONS: Readonly<Record<RejectReason, Rejection>> = Object.freeze({
  "no-candidates": Object.freeze({ kind: "rejected", reason: "no-candidates" }),
  "filtered-by-labels": Object.freeze({ kind: "rejected", reason: "filtered-by-labels" }),
  "filtered-by-load": Object.freeze({ kind: "rejected", reason: "filtered-by-load" }),
  "no-profile": Object.freeze({ kind: "rejected", reason: "no-profile" }),
});
