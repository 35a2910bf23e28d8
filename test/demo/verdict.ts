/**
 * What a run must show: no error anywhere, the profile that was announced, and the endpoint picker ahead of round robin.
 * @module
 */
import type { ArmResult } from "./arm.ts";

/** @returns what was not as it must be, in words; nothing when all is well */
export function shortcomings(
  roundRobin: ArmResult,
  picker: ArmResult,
  announcedProfile: string,
): string[] {
  const found: string[] = [];
  for (const [name, { dead, figures }] of [
    ["round robin", roundRobin],
    ["endpoint picker", picker],
  ] as const) {
    if (figures.errors > 0) found.push(`${name}: ${figures.errors} errors`);
    if (figures.finished === 0) found.push(`${name}: no request was answered`);
    for (const process of dead) found.push(`${name}: ${process} ended by itself`);
  }
  if (picker.profile !== announcedProfile) {
    found.push(`the picker ran ${picker.profile ?? "no profile"}, not ${announcedProfile}`);
  }
  if (!(picker.ttftP50Ms < roundRobin.ttftP50Ms)) found.push("TTFT p50 is not below round robin's");
  if (!(picker.ttftP95Ms < roundRobin.ttftP95Ms)) found.push("TTFT p95 is not below round robin's");
  if (!(picker.prefixHits > roundRobin.prefixHits)) {
    found.push("no more prefix tokens in cache than under round robin");
  }
  return found;
}
