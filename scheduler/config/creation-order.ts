/**
 * Order in which plugins are created: dependencies first, declaration order otherwise.
 * @module
 */

export interface CreationOrder {
  readonly names: readonly string[];
  /** A loop, first name repeated at the end; null when there is none. */
  readonly cycle: readonly string[] | null;
}

/** @param dependencies names that must come before a name; absent = none */
export function creationOrder(
  names: readonly string[],
  dependencies: ReadonlyMap<string, readonly string[]>,
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
    for (const dependency of dependencies.get(name) ?? []) visit(dependency);
    path.pop();
    done.add(name);
    out.push(name);
  };
  for (const name of names) visit(name);
  return { names: out, cycle };
}
