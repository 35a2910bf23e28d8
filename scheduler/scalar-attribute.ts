/**
 * Scalar attributes of endpoints as plugins read them: numbers that extractors take from metrics pages.
 * @module
 */
import type { Candidates } from "./candidates.ts";
import { limits } from "./limits.ts";
import { PluginConfigError, type PluginHandle } from "./plugin.ts";

const DEFAULT_PRODUCER = "core-metrics-extractor";

/** Reads an attribute; NaN = the endpoint does not supply it. */
export type ScalarReader = (candidates: Candidates, slot: number) => number;

/**
 * @param field    parameter that names the attribute, for messages
 * @param producer undefined = the default one; "" = the attribute has none
 * @throws PluginConfigError when nothing supplies the attribute
 */
export function scalarReader(
  handle: PluginHandle,
  field: string,
  attribute: string,
  producer: string | undefined,
): ScalarReader {
  const [name, from] = keyOf(handle, field, attribute, producer);
  const index = handle.scalar?.(name, from) ?? -1;
  if (index < 0) {
    const by = from === "" ? "" : ` of "${from}"`;
    throw new PluginConfigError(field, `no extractor gives the attribute "${name}"${by}`);
  }
  const { scalarsPerEndpointMax } = limits;
  return ({ columns }, slot) => columns.scalars[slot * scalarsPerEndpointMax + index]!;
}

/** Older documents have `attribute/producer` in one. */
function keyOf(
  handle: PluginHandle,
  field: string,
  attribute: string,
  producer: string | undefined,
): readonly [attribute: string, producer: string] {
  if (producer !== undefined) return [attribute, producer];
  const slash = attribute.lastIndexOf("/");
  if (slash < 0) return [attribute, DEFAULT_PRODUCER];
  handle.warn(`${field}: "${attribute}" is read as an attribute and its producer; write both`);
  return [attribute.slice(0, slash), attribute.slice(slash + 1)];
}
