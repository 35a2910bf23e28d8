/**
 * One endpoint-picker process for one case: the case's configuration in file-discovery form, the file's resources as
 * manifests, a metrics page on each pod's address, and a client.
 * @module
 */
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import {
  type RunningEndpointPicker,
  startEndpointPicker,
  withFileDiscovery,
} from "../support/endpoint-picker.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { serveMetricsPages } from "../support/metrics-page.ts";
import type { Pod } from "./case-file.ts";

/** The plugin type that the metrics pages stand in for. */
const MOCK_SOURCE = "mock-metrics-source";

type Document = Record<string, unknown>;

interface DataLayer {
  sources?: { pluginRef?: string }[];
  [key: string]: unknown;
}

/** A case's configuration without the mock source, so that the default source scrapes the pages. */
export function withoutMockSource(yaml: string): Document {
  const document = parse(yaml) as Document;
  const plugins = (document["plugins"] ?? []) as { type?: string }[];
  const dataLayer = { ...((document["dataLayer"] ?? {}) as DataLayer) };
  const sources = (dataLayer.sources ?? []).filter(({ pluginRef }) => pluginRef !== MOCK_SOURCE);
  if (sources.length > 0) dataLayer.sources = sources;
  else delete dataLayer.sources;
  return { ...document, plugins: plugins.filter(({ type }) => type !== MOCK_SOURCE), dataLayer };
}

/**
 * Why a configuration can not run in this version: the plugin types that it has no code for. Null when it can, or when
 * it is wrong for another reason, which the start of the process then shows.
 */
export async function missingPlugins(document: Document): Promise<string | null> {
  const loaded = await loadConfig({
    file: "",
    text: JSON.stringify(withFileDiscovery(document, "/dev/null")),
    allowExperimental: true,
  });
  if (loaded.ok) return null;
  const types = loaded.problems.flatMap(({ message }) => {
    const match = /^plugin type "([^"]*)" is not registered/.exec(message);
    return match === null ? [] : [match[1]!];
  });
  return types.length === 0 ? null : `plugin types not in this version: ${types.join(", ")}`;
}

export interface PickerUnderTest {
  readonly picker: RunningEndpointPicker;
  readonly client: ExtProcClient;
}

/** Starts everything, runs `use`, and takes everything down again. */
export async function withPicker<T>(
  config: Document,
  pods: readonly Pod[],
  poolName: string,
  use: (running: PickerUnderTest) => Promise<T>,
  resources: readonly object[] = [],
): Promise<T> {
  const pages = await serveMetricsPages(
    pods.map((pod) => ({
      address: pod.ip,
      port: pod.port,
      waiting: pod.waitingQueue,
      running: 0,
      kvCacheUsage: pod.kvCacheUsage,
      adapters: pod.loadedAdapters,
    })),
  );
  try {
    const picker = await startEndpointPicker({
      config,
      poolName,
      manifests: resources,
      endpoints: pods.map((pod) => ({
        name: `${pod.name}-rank-0`,
        namespace: "default",
        address: pod.ip,
        port: pod.port,
        labels: { app: poolName, ...pod.labels },
      })),
      flags: [
        "--refresh-prometheus-metrics-interval=500ms",
        "--warm-up=false",
        "--allow-experimental-plugins",
      ],
      waitForScrapes: true,
    });
    const client = new ExtProcClient(picker.address);
    try {
      return await use({ picker, client });
    } finally {
      client.close();
      await picker.kill();
    }
  } finally {
    await pages.close();
  }
}
