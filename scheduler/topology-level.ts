/**
 * How near two endpoints are: the tightest level of the topology that they share.
 * @module
 */
import type { Topology } from "./data.ts";

/** From near to far. */
export const TOPOLOGY_LEVELS = ["host", "rack", "zone", "region"] as const;

/** Index into TOPOLOGY_LEVELS; NOT_NEAR = they share none. What is not told is shared by nobody. */
export function sharedLevel(topology: Topology, a: number, b: number): number {
  const { hostname, rack, region, zone } = topology;
  if (isShared(hostname, a, b)) return 0;
  if (isShared(rack, a, b)) return 1;
  if (isShared(zone, a, b)) return 2;
  return isShared(region, a, b) ? 3 : NOT_NEAR;
}

export const NOT_NEAR: number = TOPOLOGY_LEVELS.length;

function isShared(names: readonly string[], a: number, b: number): boolean {
  const name = names[a] ?? "";
  return name !== "" && name === names[b];
}
