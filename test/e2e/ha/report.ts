/**
 * What a case found: counts of what was sent and how it failed, and each figure with its bound.
 * @module
 */
import type { Outcome } from "./request.ts";
import { describeSettings, type Settings } from "./settings.ts";

/** A figure and what it must be. */
export interface Check {
  readonly figure: number | string | null;
  readonly atMost?: number;
  readonly atLeast?: number;
  readonly ok: boolean;
}

export interface CaseReport {
  readonly case: string;
  readonly settings: string;
  readonly sent: number;
  /** Requests that failed, by how. */
  readonly failed: Readonly<Record<string, number>>;
  readonly checks: Readonly<Record<string, Check>>;
  /** Figures without a bound. */
  readonly figures: Readonly<Record<string, number>>;
  readonly ok: boolean;
}

export function atMost(figure: number, bound: number): Check {
  return { figure, atMost: bound, ok: figure <= bound };
}

export function atLeast(figure: number, bound: number): Check {
  return { figure, atLeast: bound, ok: figure >= bound };
}

/** An exact value, for what is not counted. */
export function holds(figure: number | string | null, ok: boolean): Check {
  return { figure, ok };
}

export function failuresOf(outcomes: readonly Outcome[]): readonly Outcome[] {
  return outcomes.filter(({ end }) => end !== "ok");
}

export function caseReport(
  name: string,
  settings: Settings,
  outcomes: readonly Outcome[],
  checks: Readonly<Record<string, Check>>,
  figures: Readonly<Record<string, number>> = {},
): CaseReport {
  const failed: Record<string, number> = {};
  for (const { end } of failuresOf(outcomes)) failed[end] = (failed[end] ?? 0) + 1;
  return {
    case: name,
    settings: describeSettings(settings),
    sent: outcomes.length,
    failed,
    checks,
    figures,
    ok: Object.values(checks).every(({ ok }) => ok),
  };
}
