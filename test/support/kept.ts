/**
 * Endpoints that a label filter keeps.
 * @module
 */
import { Candidates } from "../../scheduler/candidates.ts";
import { EndpointPool } from "../../scheduler/endpoints.ts";
import { InferenceRequest, type PluginDefinition } from "../../scheduler/index.ts";
import { pluginSetup } from "./plugin-setup.ts";
import { endpointMetadata } from "./scheduler-setup.ts";

/** @param labels one set an endpoint. @returns indexes of those that are kept, in the order they are left in */
export function keptBy<P>(
  definition: PluginDefinition<P>,
  labels: readonly Readonly<Record<string, string>>[],
  parameters: object = {},
): number[] {
  const pool = new EndpointPool();
  labels.forEach((set, i) => {
    pool.upsert(endpointMetadata(i, set));
  });
  const candidates = new Candidates(pool);
  candidates.reset(0);
  const { handle } = pluginSetup(0);
  const { filter } = definition.create(definition.parameters.parse(parameters), {
    ...handle,
    pool,
  });
  filter!.filter(new InferenceRequest({}), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}
