/**
 * The real endpoint-picker process for tests and the demo: its config and discovery file in a temporary folder, its
 * ports free ones, ready when its health port says SERVING.
 * @module
 */
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningChild, startChild } from "./child.ts";
import { until, within } from "./deadline.ts";
import { type Labels, parseExposition, sumOf } from "./exposition.ts";
import { HealthClient } from "./health-client.ts";
import { inPackage } from "./paths.ts";
import { freePorts } from "./ports.ts";

/** From the start of the process to SERVING, the first scrapes included. */
const START_TIMEOUT_MS = 20_000;
/** A port picked as free can be taken before the process binds it; then another start is tried. */
const START_ATTEMPTS = 3;

/** One entry of the discovery file. */
export interface DiscoveredEndpoint {
  readonly name: string;
  /** IPv4 literal. */
  readonly address: string;
  readonly port: number;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** The one file in the folder of manifests. */
const MANIFEST_FILE = "resources.yaml";

/** A discovery plugin entry that follows the endpoints file of the process. */
const DISCOVERY_NAME = "file-discovery";

export interface EndpointPickerOptions {
  /**
   * EndpointPickerConfig as an object; file-discovery over the endpoints below is added to it. Without it the process
   * runs its built-in plugins and profile, plus file-discovery.
   */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly endpoints: readonly DiscoveredEndpoint[];
  /** Resources in the folder of manifests that the process reads; no such folder unless given. */
  readonly manifests?: readonly object[];
  /** Pool name; "pool" unless given. */
  readonly poolName?: string;
  /** More flags, `--name=value`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Waits after SERVING until the metrics of all endpoints are fresh. */
  readonly waitForScrapes?: boolean;
  /** Free ones unless given; given ones let a process come back where a gateway expects it. */
  readonly ports?: PickerPorts;
  /** Starts the process; as a child of this one unless given. */
  readonly launch?: Launch;
}

export interface PickerPorts {
  readonly grpc: number;
  readonly health: number;
  readonly metrics: number;
}

export type Launch = (
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string> },
) => RunningChild | Promise<RunningChild>;

export interface RunningEndpointPicker {
  readonly ports: PickerPorts;
  /** `host:port` of ext_proc. */
  readonly address: string;
  readonly pid: number;
  /** Folder of its files; gone after stop and kill. */
  readonly folder: string;
  readonly exited: RunningChild["exited"];
  alive(): boolean;
  /** Its log so far, the last 64 KiB. */
  output(): string;
  /** The exposition page. */
  metrics(): Promise<string>;
  /** Replaces the discovery file in one step, as an editor or a mounted ConfigMap does. */
  setEndpoints(endpoints: readonly DiscoveredEndpoint[]): Promise<void>;
  /** Replaces the text of the manifests in one step; only where there were some at the start. */
  setManifests(text: string): Promise<void>;
  /** Waits until the samples of a name with these labels, perhaps among others, add up to a value. */
  waitForMetric(name: string, labels: Labels, value: number, timeoutMs?: number): Promise<void>;
  /** SIGTERM and wait. */
  stop(): Promise<void>;
  /** SIGKILL and wait. */
  kill(): Promise<void>;
}

function endpointsDocument(endpoints: readonly DiscoveredEndpoint[]): string {
  // JSON is YAML; ports are strings in this format.
  return JSON.stringify({
    endpoints: endpoints.map((endpoint) => ({
      name: endpoint.name,
      ...(endpoint.namespace === undefined ? {} : { namespace: endpoint.namespace }),
      address: endpoint.address,
      port: String(endpoint.port),
      ...(endpoint.labels === undefined ? {} : { labels: endpoint.labels }),
    })),
  });
}

/** The three scorers of the built-in default profile with their weights, as a document. */
export const DEFAULT_PROFILE_CONFIG = {
  apiVersion: "llm-d.ai/v1alpha1",
  kind: "EndpointPickerConfig",
  plugins: [
    { type: "queue-scorer" },
    { type: "kv-cache-utilization-scorer" },
    { type: "prefix-cache-scorer" },
  ],
  schedulingProfiles: [
    {
      name: "default",
      plugins: [
        { pluginRef: "queue-scorer", weight: 2 },
        { pluginRef: "kv-cache-utilization-scorer", weight: 2 },
        { pluginRef: "prefix-cache-scorer", weight: 3 },
      ],
    },
  ],
} as const;

/** Several documents in one text; JSON is YAML. */
function manifestText(resources: readonly object[]): string {
  return resources.map((resource) => `${JSON.stringify(resource)}\n`).join("---\n");
}

/** A config document with file-discovery over `endpointsPath`, and perhaps manifests, added. */
export function withFileDiscovery(
  config: Readonly<Record<string, unknown>>,
  endpointsPath: string,
  manifestsPath?: string,
): Record<string, unknown> {
  const plugins = Array.isArray(config["plugins"]) ? config["plugins"] : [];
  const dataLayer = (config["dataLayer"] ?? {}) as Record<string, unknown>;
  return {
    ...config,
    plugins: [
      ...plugins,
      {
        name: DISCOVERY_NAME,
        type: "file-discovery",
        parameters: {
          path: endpointsPath,
          watchFile: true,
          ...(manifestsPath === undefined ? {} : { manifestsPath }),
        },
      },
    ],
    dataLayer: { ...dataLayer, discovery: { pluginRef: DISCOVERY_NAME } },
  };
}

/** Ports that are free now. */
export async function freePickerPorts(): Promise<PickerPorts> {
  const [grpc, health, metrics] = (await freePorts(3)) as [number, number, number];
  return { grpc, health, metrics };
}

async function startOnce(options: EndpointPickerOptions): Promise<RunningEndpointPicker> {
  const folder = await mkdtemp(join(tmpdir(), "endpoint-picker-"));
  const endpointsPath = join(folder, "endpoints.yaml");
  const configPath = join(folder, "config.yaml");
  await writeFile(endpointsPath, endpointsDocument(options.endpoints));
  const manifestsPath = options.manifests === undefined ? undefined : join(folder, "manifests");
  if (manifestsPath !== undefined) {
    await mkdir(manifestsPath);
    await writeFile(join(manifestsPath, MANIFEST_FILE), manifestText(options.manifests!));
  }
  const config = options.config ?? DEFAULT_PROFILE_CONFIG;
  await writeFile(
    configPath,
    JSON.stringify(withFileDiscovery(config, endpointsPath, manifestsPath)),
  );
  const { grpc, health, metrics } = options.ports ?? (await freePickerPorts());
  const child = await (options.launch ?? startChild)(
    process.execPath,
    [
      inPackage("bin", "endpoint-picker"),
      `--pool-name=${options.poolName ?? "pool"}`,
      "--pool-namespace=default",
      `--config-file=${configPath}`,
      `--grpc-port=${grpc}`,
      `--grpc-health-port=${health}`,
      `--metrics-port=${metrics}`,
      "--secure-serving=false",
      ...(options.flags ?? []),
    ],
    options.env === undefined ? {} : { env: options.env },
  );

  const page = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${metrics}/metrics`, {
      signal: AbortSignal.timeout(5_000),
    });
    if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
    return await response.text();
  };
  const cleanUp = (): Promise<void> => rm(folder, { recursive: true, force: true });
  let version = 0;
  const running: RunningEndpointPicker = {
    ports: { grpc, health, metrics },
    address: `127.0.0.1:${grpc}`,
    pid: child.pid,
    folder,
    exited: child.exited,
    alive: child.alive,
    output: child.output,
    metrics: page,
    setEndpoints: async (endpoints) => {
      const next = `${endpointsPath}.${++version}`;
      await writeFile(next, endpointsDocument(endpoints));
      await rename(next, endpointsPath);
    },
    setManifests: async (text) => {
      const next = join(folder, `manifests.${++version}`);
      await writeFile(next, text);
      await rename(next, join(manifestsPath!, MANIFEST_FILE));
    },
    waitForMetric: async (name, labels, value, timeoutMs = START_TIMEOUT_MS) => {
      let last: number | null = null;
      await until(
        async () => {
          if (!child.alive()) throw new Error(`endpoint-picker ended:\n${child.output()}`);
          last = sumOf(parseExposition(await page().catch(() => "")), name, labels);
          return last === value ? true : null;
        },
        timeoutMs,
        `metric ${name} ${JSON.stringify(labels)} = ${value}`,
      ).catch((error: Error) => {
        throw new Error(`${error.message} (last value ${last})`);
      });
    },
    stop: async () => {
      await child.stop();
      await cleanUp();
    },
    kill: async () => {
      await child.kill();
      await cleanUp();
    },
  };

  const healthClient = new HealthClient(`127.0.0.1:${health}`);
  try {
    await within(
      healthClient.waitServing(START_TIMEOUT_MS, "", child.alive),
      START_TIMEOUT_MS,
      "start of endpoint-picker",
    );
    if (options.waitForScrapes === true) {
      await running.waitForMetric("llm_d_epp_ready_endpoints", {}, options.endpoints.length);
    }
  } catch (error) {
    await running.kill();
    throw new Error(`endpoint-picker: ${(error as Error).message}\n${child.output()}`);
  } finally {
    healthClient.close();
  }
  return running;
}

/** Starts bin/endpoint-picker (compiled code) and waits until it is SERVING. */
export async function startEndpointPicker(
  options: EndpointPickerOptions,
): Promise<RunningEndpointPicker> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      const portTaken = (error as Error).message.includes("EADDRINUSE");
      if (!portTaken || attempt === START_ATTEMPTS) throw error;
    }
  }
}
