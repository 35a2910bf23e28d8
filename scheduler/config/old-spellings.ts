/**
 * Spellings of earlier releases that still mean something: feature gates that are gone, and parameters that moved from
 * prefix-cache-scorer to its producer.
 * @module
 */
import { formatPath, type Report, showValue } from "./report.ts";

/** Gates whose features became part of the product or were dropped; naming one changes nothing. */
export const REMOVED_GATES: ReadonlySet<string> = new Set([
  "dataLayer",
  "prepareDataPlugins",
  "enableLegacyMetrics",
]);

export const PREFIX_SCORER = "prefix-cache-scorer";
export const PREFIX_PRODUCER = "approx-prefix-cache-producer";

/** Block sizes of the old scorer counted characters. */
const CHARS_PER_TOKEN = 4;

/** Lower-case old key → parameter of the producer. */
const MOVED: ReadonlyMap<string, string> = new Map([
  ["hashblocksize", "blockSizeTokens"],
  ["blocksize", "blockSizeTokens"],
  ["maxprefixblockstomatch", "maxPrefixBlocksToMatch"],
  ["lrucapacityperserver", "lruCapacityPerServer"],
  ["autotune", "autoTune"],
]);

export interface MovedParameters {
  /** What the scorer still reads. */
  readonly kept: unknown;
  /** Parameters for the producer, in its spelling; null = there were none. */
  readonly moved: Readonly<Record<string, unknown>> | null;
}

/** Takes the producer's parameters out of those of a prefix-cache-scorer. */
export function takeMovedParameters(
  parameters: unknown,
  path: string,
  report: Report,
): MovedParameters {
  if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) {
    return { kept: parameters, moved: null };
  }
  const kept: [string, unknown][] = [];
  const moved: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(parameters)) {
    const target = MOVED.get(key.toLowerCase());
    if (target === undefined) {
      kept.push([key, value]);
      continue;
    }
    const at = formatPath([key], path);
    report.warn(at, `belongs to ${PREFIX_PRODUCER} now, as ${target}`);
    if (value === null) continue;
    if (target !== "blockSizeTokens") {
      moved[target] = value;
      // Only then does the producer read its cap in blocks.
      if (target === "maxPrefixBlocksToMatch") moved["maxPrefixTokensToMatch"] = 0;
    } else if (Number.isSafeInteger(value) && (value as number) > 0) {
      moved[target] = Math.ceil((value as number) / CHARS_PER_TOKEN);
    } else report.problem(at, `expected integer >= 1, got ${showValue(value)}`);
  }
  if (kept.length === Object.keys(parameters).length) return { kept: parameters, moved: null };
  return { kept: Object.fromEntries(kept), moved };
}
