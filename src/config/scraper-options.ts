/**
 * The data layer's configuration as the scrapers take it.
 * @module
 */
import { readFileSync } from "node:fs";
import type { ResolvedConfig } from "../../scheduler/index.ts";
import {
  type EngineConfig,
  type MetricSpec,
  SCRAPE_INTERVAL_MS_MIN,
  type ScraperOptions,
} from "../../scrapers/index.ts";
import type { ExtractorParameters, MetricsSourceParameters } from "./outer-plugins.ts";

export interface ScraperFlags {
  readonly refreshMetricsIntervalMs: number;
  readonly threads: number;
}

/**
 * @throws Error that names the file when a certificate can not be read
 */
export function scraperOptions(config: ResolvedConfig, flags: ScraperFlags): ScraperOptions {
  const entry = config.dataLayer.sources.find(
    ({ source, extractors }) =>
      source.type === "metrics-data-source" &&
      extractors.some(({ type }) => type === "core-metrics-extractor"),
  );
  if (entry === undefined) return { threads: flags.threads };
  const source = entry.source.parameters as MetricsSourceParameters;
  const extractor = entry.extractors.find(({ type }) => type === "core-metrics-extractor")!
    .parameters as ExtractorParameters;
  return {
    threads: flags.threads,
    intervalMs: Math.max(source.interval ?? flags.refreshMetricsIntervalMs, SCRAPE_INTERVAL_MS_MIN),
    scheme: source.scheme,
    ...(source.path === undefined ? {} : { path: source.path }),
    ...(source.port === undefined ? {} : { port: source.port }),
    tls: {
      insecureSkipVerify: source.insecureSkipVerify,
      ...readPem("ca", source.caCertPath),
      ...readPem("cert", source.clientCertPath),
      ...readPem("key", source.clientKeyPath),
    },
    ...(extractor.engineLabelKey === undefined ? {} : { engineLabelKey: extractor.engineLabelKey }),
    ...(extractor.defaultEngine === undefined ? {} : { defaultEngine: extractor.defaultEngine }),
    engineConfigs: extractor.engineConfigs.map(toEngineConfig),
  };
}

function readPem(key: "ca" | "cert" | "key", path: string | undefined): Record<string, string> {
  return path === undefined ? {} : { [key]: readFileSync(path, "utf8") };
}

function toEngineConfig(config: ExtractorParameters["engineConfigs"][number]): EngineConfig {
  const specs: Record<string, MetricSpec | string | undefined> = {
    queuedRequests: config.queuedRequestsSpec,
    runningRequests: config.runningRequestsSpec,
    kvUsage: config.kvUsageSpec,
    lora: config.loraSpec,
    cacheInfo: config.cacheInfoSpec,
    cacheBlockSize: config.cacheBlockSizeSpec,
    cacheNumBlocks: config.cacheNumBlocksSpec,
    cacheBlockSizeLabelName: config.cacheBlockSizeLabelName,
    cacheNumBlocksLabelName: config.cacheNumBlocksLabelName,
  };
  const present = Object.entries(specs).filter(([, value]) => value !== undefined);
  return { name: config.name, ...Object.fromEntries(present) };
}
