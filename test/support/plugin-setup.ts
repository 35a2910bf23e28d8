/**
 * What a scheduling plugin is created with, and flights as the scheduler makes them, for tests of single plugins.
 * @module
 */
import { Candidates } from "../../scheduler/candidates.ts";
import { ManualClock } from "../../scheduler/clock.ts";
import type { DataType, DataTypes } from "../../scheduler/data.ts";
import { EndpointPool } from "../../scheduler/endpoints.ts";
import { Flight } from "../../scheduler/flight.ts";
import type { PluginHandle, ProfileResults } from "../../scheduler/plugin.ts";
import type { InferenceRequest } from "../../scheduler/request.ts";

export interface PluginSetup {
  readonly pool: EndpointPool;
  /** All endpoints, slots 0 … n - 1. */
  readonly candidates: Candidates;
  readonly handle: PluginHandle;
  /** Remarks made through the handle. */
  readonly warnings: string[];
  /** Requests for data made through the handle: `type from producer`. */
  readonly consumed: string[];
}

/** Of a request for which no profile has run. */
export const noResults: ProfileResults = { slotOf: () => -1, hostPorts: () => "" };

export function addEndpoint(pool: EndpointPool, index: number): number {
  return pool.upsert({
    id: `default/p${index}`,
    name: `p${index}`,
    namespace: "default",
    address: `10.0.${index >> 8}.${index & 255}`,
    port: 8000,
    labels: new Map(),
    rankIndex: 0,
  });
}

/**
 * @param data  what consumers get, whatever producer they name
 * @param draws what the random source gives, in turn
 */
export function pluginSetup(
  endpoints: number,
  data: Partial<DataTypes> = {},
  draws: readonly number[] = [],
): PluginSetup {
  const pool = new EndpointPool();
  for (let i = 0; i < endpoints; i++) addEndpoint(pool, i);
  const candidates = new Candidates(pool);
  candidates.reset(0);
  const warnings: string[] = [];
  const consumed: string[] = [];
  let drawn = 0;
  const handle: PluginHandle = {
    name: "under-test",
    pool,
    clock: new ManualClock(),
    random: {
      next() {
        const draw = draws[drawn++];
        if (draw === undefined) throw new Error(`draw ${drawn} was not expected`);
        return draw;
      },
    },
    profiles: ["default"],
    consume<K extends DataType>(type: K, producer: string): DataTypes[K] | undefined {
      consumed.push(`${type} from ${producer}`);
      return data[type];
    },
    warn: (message) => warnings.push(message),
  };
  return { pool, candidates, handle, warnings, consumed };
}

/** A flight with one charge per target, the primary's first, before producers have accounted it. */
export function flightOf(
  request: InferenceRequest,
  pool: EndpointPool,
  targets: readonly (readonly [slot: number, profile: string])[],
  pickedAtMs = 0,
): Flight {
  const charges = targets.map(([slot, profile]) => ({
    slot,
    generation: pool.columns.generation[slot]!,
    profile,
    tokens: 0,
    requests: 1,
  }));
  return new Flight(request, pool.hostPort(targets[0]![0]), charges, [], pickedAtMs);
}
