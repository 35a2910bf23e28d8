/**
 * The data layer's configuration as the scrapers take it.
 * @module
 */
import { readFileSync } from "node:fs";
import type { OuterPlugin, ResolvedConfig } from "../../scheduler/index.ts";
import {
  type EngineConfig,
  type MetricSpec,
  SCRAPE_INTERVAL_MS_MIN,
  type ScalarSpec,
  type ScraperOptions,
} from "../../scrapers/index.ts";
import type { ExtractorParameters, MetricsSourceParameters } from "./outer-plugins.ts";
import { scalarAttributes } from "./scalar-attributes.ts";

const SOURCE = "metrics-data-source";
const EXTRACTOR = "core-metrics-extractor";
const MULTICLUSTER_EXTRACTOR = "multicluster-metrics-extractor";
/** Path of plugins that stand nowhere in the document (ResolvedPlugin.path). */
const ADDED_BY_DEFAULT = "(default)";

export interface ScraperFlags {
  readonly refreshMetricsIntervalMs: number;
  readonly threads: number;
}

/**
 * What the scrapers are to read; null = nothing, since no source has an extractor for it.
 *
 * @throws Error that names the field and the file when a certificate can not be read, or the sources when there are two
 */
export function scraperOptions(config: ResolvedConfig, flags: ScraperFlags): ScraperOptions | null {
  const readers = config.dataLayer.sources.filter(
    ({ source, extractors }) => source.type === SOURCE && extractors.some(readsPages),
  );
  const entry = readers[0];
  if (entry === undefined) return null;
  // The one that defaulting puts behind a renamed source reads the same pages over again.
  const second = readers.slice(1).find(({ source }) => source.path !== ADDED_BY_DEFAULT);
  if (second !== undefined) {
    throw new Error(
      `dataLayer.sources: "${entry.source.name}" and "${second.source.name}" both read engine metrics; ` +
        "this version reads them from one source",
    );
  }
  const source = entry.source.parameters as MetricsSourceParameters;
  const extractor = (entry.extractors.find(isCoreExtractor)?.parameters ?? {
    engineConfigs: [],
  }) as ExtractorParameters;
  const scalars = scalarAttributes(config);
  const { insecureSkipVerify } = source;
  return {
    threads: flags.threads,
    intervalMs: Math.max(source.interval ?? flags.refreshMetricsIntervalMs, SCRAPE_INTERVAL_MS_MIN),
    scheme: source.scheme,
    ...(source.path === undefined ? {} : { path: source.path }),
    ...(source.port === undefined ? {} : { port: source.port }),
    tls: {
      ...(insecureSkipVerify === undefined ? {} : { insecureSkipVerify }),
      ...readPem("ca", "caCertPath", entry.source),
      ...readPem("cert", "clientCertPath", entry.source),
      ...readPem("key", "clientKeyPath", entry.source),
    },
    ...(extractor.engineLabelKey === undefined ? {} : { engineLabelKey: extractor.engineLabelKey }),
    ...(extractor.defaultEngine === undefined ? {} : { defaultEngine: extractor.defaultEngine }),
    engineConfigs: extractor.engineConfigs.map((engine) => ({
      ...toEngineConfig(engine),
      ...scalarsOption(scalars.byEngine.get(engine.name)),
    })),
    ...scalarsOption(scalars.common),
  };
}

function scalarsOption(scalars: readonly ScalarSpec[] = []): { scalars?: readonly ScalarSpec[] } {
  return scalars.length === 0 ? {} : { scalars };
}

function readsPages({ type }: OuterPlugin): boolean {
  return type === EXTRACTOR || type === MULTICLUSTER_EXTRACTOR;
}

function isCoreExtractor({ type }: OuterPlugin): boolean {
  return type === EXTRACTOR;
}

function readPem(
  key: "ca" | "cert" | "key",
  parameter: "caCertPath" | "clientCertPath" | "clientKeyPath",
  source: OuterPlugin,
): Record<string, string> {
  const path = (source.parameters as MetricsSourceParameters)[parameter];
  if (path === undefined) return {};
  try {
    return { [key]: readFileSync(path, "utf8") };
  } catch (cause) {
    throw new Error(
      `${source.path}.parameters.${parameter}: can not read ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
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
