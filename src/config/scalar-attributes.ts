/**
 * Scalar attributes that the extractors of a configuration take from metrics pages, numbered: scrapers write them by
 * number, plugins ask for the number by name.
 *
 *   core-metrics-extractor          engineConfigs[].customMetrics[]   `<attributeKey>/<name of the extractor>`
 *   multicluster-metrics-extractor  two metrics                       `llm-d.ai/multicluster-…/`, without a producer
 * @module
 */
import { limits, type OuterPlugin, type ResolvedConfig } from "../../scheduler/index.ts";
import type { MetricSpec, ScalarSpec } from "../../scrapers/index.ts";
import type { ExtractorParameters, MulticlusterExtractorParameters } from "./outer-plugins.ts";

export interface ScalarAttributes {
  /** `attribute/producer`, by number. */
  readonly keys: readonly string[];
  /** Read from every page. */
  readonly common: readonly ScalarSpec[];
  /** Read from pages of an engine, by its name. */
  readonly byEngine: ReadonlyMap<string, readonly ScalarSpec[]>;
}

/** @throws Error that names the extractor when there are more than the table has room for */
export function scalarAttributes(config: ResolvedConfig): ScalarAttributes {
  const keys: string[] = [];
  const common: ScalarSpec[] = [];
  const byEngine = new Map<string, ScalarSpec[]>();
  const specOf = (key: string, metric: MetricSpec, { path }: OuterPlugin): ScalarSpec => {
    if (!keys.includes(key)) keys.push(key);
    if (keys.length > limits.scalarsPerEndpointMax) {
      throw new Error(
        `${path}: more than ${limits.scalarsPerEndpointMax} attributes are read from metrics pages`,
      );
    }
    return { index: keys.indexOf(key), metric };
  };
  for (const { extractors } of config.dataLayer.sources) {
    for (const extractor of extractors) {
      if (extractor.type === "core-metrics-extractor") {
        const { engineConfigs } = extractor.parameters as ExtractorParameters;
        for (const { customMetrics = [], name } of engineConfigs) {
          const specs = customMetrics.flatMap(({ attributeKey, metricSpec }) =>
            metricSpec === undefined
              ? []
              : [specOf(`${attributeKey}/${extractor.name}`, metricSpec, extractor)],
          );
          byEngine.set(name, [...(byEngine.get(name) ?? []), ...specs]);
        }
      } else if (extractor.type === "multicluster-metrics-extractor") {
        const { kvCacheUtilizationMetric, queueSizeMetric } =
          extractor.parameters as MulticlusterExtractorParameters;
        if (queueSizeMetric !== undefined) {
          common.push(specOf("llm-d.ai/multicluster-queue-size/", queueSizeMetric, extractor));
        }
        if (kvCacheUtilizationMetric !== undefined) {
          const key = "llm-d.ai/multicluster-kv-cache-utilization/";
          common.push(specOf(key, kvCacheUtilizationMetric, extractor));
        }
      }
    }
  }
  return { keys, common, byEngine };
}
