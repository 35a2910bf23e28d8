/**
 * Remembers for each endpoint whether its labels pass, so that a pick compares numbers instead of strings.
 * @module
 */
import type { EndpointPool } from "../endpoints.ts";
import type { Filter } from "../plugin.ts";

export type LabelPredicate = (labels: ReadonlyMap<string, string>) => boolean;

/** Filter that keeps endpoints whose labels pass; labels are looked at again only when the pool has changed. */
export function createLabelFilter(pool: EndpointPool, passes: LabelPredicate): Filter {
  /** 1 = passes, by slot; holds for `version` of the pool. */
  let verdicts = new Uint8Array(0);
  let version = -1;
  const refresh = (): void => {
    const { capacity } = pool.columns;
    if (verdicts.length < capacity) verdicts = new Uint8Array(capacity);
    for (let i = 0; i < pool.liveCount; i++) {
      const slot = pool.live[i]!;
      verdicts[slot] = passes(pool.metadata(slot).labels) ? 1 : 0;
    }
    version = pool.version;
  };
  return {
    rejects: "filtered-by-labels",
    filter(_request, candidates) {
      if (version !== pool.version) refresh();
      const { count, slots } = candidates;
      let kept = 0;
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!;
        if (verdicts[slot] === 1) slots[kept++] = slot;
      }
      candidates.count = kept;
    },
  };
}
