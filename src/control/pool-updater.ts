/**
 * Brings the pool and the scrapers in line with a whole list of endpoints: what is new is added, what is gone is removed,
 * what stays keeps its slot, its facts and its reservations.
 * @module
 */
import { type EndpointMetadata, type EndpointPool, limits } from "../../scheduler/index.ts";
import type { ScraperHandle } from "../../scrapers/index.ts";
import type { Logger } from "../log.ts";

export class PoolUpdater {
  readonly #pool: EndpointPool;
  readonly #scrapers: Pick<ScraperHandle, "add" | "remove">;
  readonly #log: Logger;

  constructor(pool: EndpointPool, scrapers: Pick<ScraperHandle, "add" | "remove">, log: Logger) {
    this.#pool = pool;
    this.#scrapers = scrapers;
    this.#log = log;
  }

  apply(endpoints: readonly EndpointMetadata[]): void {
    const pool = this.#pool;
    const wanted = new Set(endpoints.map((endpoint) => endpoint.id));
    for (let i = pool.liveCount - 1; i >= 0; i--) {
      const slot = pool.live[i]!;
      const { id } = pool.metadata(slot);
      if (wanted.has(id)) continue;
      this.#scrapers.remove(slot);
      pool.remove(id);
    }
    let refused = 0;
    for (const endpoint of endpoints) {
      const before = pool.slotOf(endpoint.id);
      const generation = before < 0 ? -1 : pool.columns.generation[before]!;
      const labels = before < 0 ? null : pool.metadata(before).labels;
      const slot = pool.upsert(endpoint);
      if (slot < 0) {
        refused++;
        continue;
      }
      const isKept = slot === before && pool.columns.generation[slot] === generation;
      // Scrapers read the engine from the labels. A row of the same generation goes on where it was.
      if (isKept && areEqual(labels!, endpoint.labels)) continue;
      if (before >= 0) this.#scrapers.remove(before);
      this.#scrapers.add(slot, pool.columns.generation[slot]!, endpoint);
    }
    if (refused > 0) {
      this.#log.error({ refused, endpointsMax: limits.endpointsMax }, "pool is full");
    }
    this.#log.info({ endpoints: pool.liveCount }, "endpoints updated");
  }
}

function areEqual(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    if (b.get(key) !== value) return false;
  }
  return true;
}
