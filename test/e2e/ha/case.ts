/**
 * What all cases share: how they are started, and the load that most of them run under.
 * @module
 */
import type { CaseReport } from "./report.ts";
import { EXCHANGE_MS, type Outcome } from "./request.ts";
import type { Settings } from "./settings.ts";

export interface CaseOptions {
  /** In place of those of the case, to see what one of them buys. */
  readonly settings?: Settings;
  /** Length of the load, where the case has no end of its own. */
  readonly seconds?: number;
  /** Requests a second and bytes of a body, where a case can do with others (kill9, hang). */
  readonly rate?: number;
  readonly bodyBytes?: number;
  /** Less load and shorter waits, for every commit. */
  readonly isShort?: boolean;
}

export type HaCase = (options: CaseOptions) => Promise<CaseReport>;

/** Requests a second. */
export const RATE = 100;
/** Before anything happens. */
export const CALM_MS = 3_000;
const NOISE = 1.5;

/** What one of two replicas has in flight at most. */
export function inFlightBound(rate: number): number {
  return Math.ceil((rate / 2) * (EXCHANGE_MS / 1000) * NOISE);
}

/** How many were open at a moment: on a busy machine, where exchanges take longer, more than the rate says. */
export function openAt(outcomes: readonly Outcome[], atMs: number): number {
  return outcomes.filter(({ endedAtMs, sentAtMs }) => sentAtMs < atMs && endedAtMs >= atMs).length;
}
