/**
 * Remembers for each endpoint whether its labels pass, so that a pick compares numbers instead of strings.
 * @module
 */
import type { Candidates } from "../candidates.ts";
import type { EndpointPool } from "../endpoints.ts";
import type { Filter } from "../plugin.ts";

export type LabelPredicate = (labels: ReadonlyMap<string, string>) => boolean;

/** Filter that keeps endpoints whose labels pass; labels are looked at again only when the pool has changed. */
export function createLabelFilter(pool: EndpointPool, passes: LabelPredicate): Filter {
  let verdicts = new Uint8Array(0);
  let version = -1;
  const refresh = (): void => {
    if (verdicts.length < pool.columns.capacity) verdicts = new Uint8Array(pool.columns.capacity);
    for (let i = 0; i < pool.liveCount; i++) {
      const slot = pool.live[i]!;
      verdicts[slot] = passes(pool.metadata(slot).labels) ? 1 : 0;
    }
    version = pool.version;
  };
  return {
    rejects: "filtered-by-labels",
    filter(_request, candidates: Candidates) {
      if (version !== pool.version) refresh();
      const { slots } = candidates;
      let kept = 0;
      for (let i = 0; i < candidates.count; i++) {
        if (verdicts[slots[i]!] === 1) slots[kept++] = slots[i]!;
      }
      candidates.count = kept;
    },
  };
}
