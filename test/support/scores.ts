/**
 * Scores that a scorer gives to endpoints with certain scraped facts.
 * @module
 */
import {
  InferenceRequest,
  type PluginDefinition,
  type RequestFacts,
} from "../../scheduler/index.ts";
import { pluginSetup } from "./plugin-setup.ts";
import { type ScrapedFacts, START_MS, scrape } from "./scheduler-setup.ts";

/** An endpoint as a scorer sees it. */
export interface ScoredEndpoint extends ScrapedFacts {
  /** Age of the newest good scrape, ms; null = never scraped. */
  readonly ageMs?: number | null;
  /** `Known` bits; all when left out. */
  readonly known?: number;
  readonly credit?: number;
}

export interface ScoringOptions {
  readonly parameters?: object;
  readonly request?: RequestFacts;
  readonly scrapeIntervalMs?: number;
}

/** @returns one score an endpoint, in order, as the scorer wrote it */
export function scoresOf<P>(
  definition: PluginDefinition<P>,
  endpoints: readonly ScoredEndpoint[],
  { parameters = {}, request = {}, scrapeIntervalMs }: ScoringOptions = {},
): number[] {
  const { candidates, handle, pool } = pluginSetup(endpoints.length);
  candidates.reset(START_MS);
  endpoints.forEach(({ ageMs = 0, credit, known, ...facts }, i) => {
    const slot = candidates.slots[i]!;
    if (ageMs !== null) scrape(pool, slot, facts, START_MS - ageMs);
    if (known !== undefined) pool.columns.known[slot] = known;
    pool.columns.creditSinceScrape[slot] = credit ?? 0;
  });
  const { scorer } = definition.create(definition.parameters.parse(parameters), {
    ...handle,
    scrapeIntervalMs,
  });
  const scores = new Float64Array(endpoints.length);
  scorer!.score(new InferenceRequest(request), candidates, scores);
  return [...scores];
}
