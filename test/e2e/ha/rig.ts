/**
 * Echo servers, picker replicas at fixed addresses, and Envoy with the shipped bootstrap or a part of its settings.
 * @module
 */
import { until } from "../../support/deadline.ts";
import {
  freePickerPorts,
  type PickerPorts,
  type RunningEndpointPicker,
  startEndpointPicker,
} from "../../support/endpoint-picker.ts";
import {
  findEnvoy,
  NO_ENVOY_REASON,
  type RunningEnvoy,
  startEnvoyWith,
} from "../../support/envoy.ts";
import { type EchoServer, startEchoServer } from "../rig.ts";
import { PICKERS_CLUSTER } from "./manifest.ts";
import { haBootstrap, type Settings } from "./settings.ts";

/** From the start of a replica to its second in Envoy's eyes: an interval of the health check, on a busy machine. */
const HEALTHY_MS = 10_000;

export interface HaRigOptions {
  readonly settings: Settings;
  /** 2 unless given. */
  readonly replicas?: number;
  /** 2 unless given: one takes some 200 requests a second. */
  readonly servers?: number;
  /** Of each replica. */
  readonly flags?: readonly string[];
}

export interface HaRig {
  readonly url: string;
  /** Running replicas, by place; a restart replaces an entry. */
  readonly replicas: RunningEndpointPicker[];
  /** Starts a replica that has ended anew, at the same address. */
  restart(place: number): Promise<void>;
  /** A counter or gauge of the pickers' cluster. */
  stat(name: string): Promise<number>;
  /** Waits until Envoy sends to this many replicas. */
  waitHealthy(count: number): Promise<void>;
  stop(): Promise<void>;
}

async function clusterStat(envoy: RunningEnvoy, name: string): Promise<number> {
  const full = `cluster.${PICKERS_CLUSTER}.${name}`;
  const value = (await envoy.stats(new RegExp(`^${full.replaceAll(".", "\\.")}$`))).get(full);
  if (value === undefined) throw new Error(`Envoy has no statistic ${full}`);
  return value;
}

export async function startHaRig(options: HaRigOptions): Promise<HaRig> {
  const { settings, replicas: count = 2, servers: serverCount = 2, flags = [] } = options;
  const binary = findEnvoy();
  if (binary === null) throw new Error(NO_ENVOY_REASON);
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const starting: Promise<EchoServer>[] = [];
    while (starting.length < serverCount)
      starting.push(startEchoServer(`server-${starting.length}`));
    const servers = await Promise.all(starting);
    for (const { child } of servers) stops.push(() => child.kill());
    const endpoints = servers.map(({ endpoint }) => endpoint);
    const start = (ports: PickerPorts): Promise<RunningEndpointPicker> =>
      startEndpointPicker({ endpoints, flags, ports, waitForScrapes: true });

    const places: PickerPorts[] = [];
    while (places.length < count) places.push(await freePickerPorts());
    const replicas = await Promise.all(places.map(start));
    stops.push(async () => {
      for (const replica of replicas) await replica.kill();
    });
    const envoy = await startEnvoyWith(binary, haBootstrap(settings, places));
    stops.push(() => envoy.stop());
    const waitHealthy = async (healthy: number): Promise<void> => {
      await until(
        async () => ((await clusterStat(envoy, "membership_healthy")) === healthy ? true : null),
        HEALTHY_MS,
        `${healthy} healthy replicas`,
      );
    };
    await waitHealthy(count);
    return {
      url: envoy.url,
      replicas,
      restart: async (place) => {
        await replicas[place]!.kill(); // removes its files
        replicas[place] = await start(places[place]!);
      },
      stat: (name) => clusterStat(envoy, name),
      waitHealthy,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs on a rig that is taken down whatever happens. */
export async function onHaRig<T>(
  options: HaRigOptions,
  run: (rig: HaRig) => Promise<T>,
): Promise<T> {
  const rig = await startHaRig(options);
  try {
    return await run(rig);
  } finally {
    await rig.stop();
  }
}
