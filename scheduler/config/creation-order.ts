/**
 * Order in which plugins are created: what others need comes first, declaration order otherwise.
 * @module
 */

/** What a plugin needs: `required` must come before it, `optional` should where that makes no loop. */
export interface Dependencies {
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

export interface CreationOrder {
  readonly names: readonly string[];
  /** A loop, first name repeated at the end; null when there is none. */
  readonly cycle: readonly string[] | null;
}

/** @param dependencies names that must come before a name; absent = none */
export function creationOrder(
  names: readonly string[],
  dependencies: ReadonlyMap<string, Dependencies>,
): CreationOrder {
  const all = sort(names, (name) => {
    const { required = [], optional = [] } = dependencies.get(name) ?? {};
    return [...required, ...optional];
  });
  if (all.cycle === null) return all;
  return sort(names, (name) => dependencies.get(name)?.required ?? []);
}

/** Depth first; plugins depend on producers and those on few others, so the depth is that of the plugin catalog. */
function sort(
  names: readonly string[],
  needsOf: (name: string) => readonly string[],
): CreationOrder {
  const out: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  let cycle: readonly string[] | null = null;
  const visit = (name: string): void => {
    if (done.has(name) || cycle !== null) return;
    const at = path.indexOf(name);
    if (at >= 0) {
      cycle = [...path.slice(at), name];
      return;
    }
    path.push(name);
    for (const needed of needsOf(name)) visit(needed);
    path.pop();
    done.add(name);
    out.push(name);
  };
  for (const name of names) visit(name);
  return { names: out, cycle };
}
