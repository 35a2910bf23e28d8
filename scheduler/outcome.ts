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
  /** No profile produced a result. */
  | "no-profile"
  /** The request names a profile that is not configured. */
  | "unknown-profile"
  /** The request wants an endpoint that holds some of its prompt, and the best one holds none. */
  | "not-cached";

export interface Rejection {
  readonly kind: "rejected";
  readonly reason: RejectReason;
  /** More about it for the client; absent = nothing. */
  readonly detail?: string;
}

export type Outcome = Flight | Rejection;

/** One frozen object a reason: rejecting allocates nothing. */
export const REJECTIONS: Readonly<Record<RejectReason, Rejection>> = Object.freeze({
  "no-candidates": Object.freeze({ kind: "rejected", reason: "no-candidates" }),
  "filtered-by-labels": Object.freeze({ kind: "rejected", reason: "filtered-by-labels" }),
  "filtered-by-load": Object.freeze({ kind: "rejected", reason: "filtered-by-load" }),
  "no-profile": Object.freeze({ kind: "rejected", reason: "no-profile" }),
  "unknown-profile": Object.freeze({ kind: "rejected", reason: "unknown-profile" }),
  "not-cached": Object.freeze({ kind: "rejected", reason: "not-cached" }),
});
