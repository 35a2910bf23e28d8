/**
 * An endpoint-picker over servers that have nothing but a metrics page.
 * @module
 */
import {
  type DiscoveredEndpoint,
  type RunningEndpointPicker,
  startEndpointPicker,
} from "../support/endpoint-picker.ts";
import { serveMetricsPages } from "../support/metrics-page.ts";

const FIGURES = { waiting: 1, running: 2, kvCacheUsage: 0.3, adapters: ["a"] };

export interface ScrapingPicker {
  readonly picker: RunningEndpointPicker;
  readonly endpoints: readonly DiscoveredEndpoint[];
  /** SIGKILL, and the pages closed. */
  end(): Promise<void>;
}

/** Starts both, and waits for the first scrapes. */
export async function startScrapingPicker(
  count: number,
  env: Readonly<Record<string, string>> = {},
): Promise<ScrapingPicker> {
  const pages = await serveMetricsPages(
    Array.from({ length: count }, () => ({ address: "127.0.0.1", port: 0, ...FIGURES })),
  );
  const endpoints = pages.ports.map((port, i) => ({ name: `p${i}`, address: "127.0.0.1", port }));
  const picker = await startEndpointPicker({ endpoints, waitForScrapes: true, env });
  return {
    picker,
    endpoints,
    end: async () => {
      await picker.kill();
      await pages.close();
    },
  };
}
