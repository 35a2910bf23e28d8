/**
 * Plugins of the layers around the scheduler: parsers, data sources, extractors, discovery, answers. Types, parameters and defaults
 * are those of llm-d-router (pkg/epp/framework/plugins).
 * @module
 */
import { z } from "zod";
import type { OuterDefinition, OuterRegistry } from "../../scheduler/index.ts";
import { SCRAPE_INTERVAL_MS_MAX, SCRAPE_INTERVAL_MS_MIN } from "../../scrapers/index.ts";
import { defaultParserTypes, parserTypes } from "../request/parsers/registry.ts";
import { AttributeReporterParameters } from "../response/attribute-reporter.ts";
import { parseMetricSpec } from "./metric-spec.ts";
import { parseDurationMs } from "./quantity.ts";

/** Go duration as text → milliseconds. */
const scrapeIntervalMs = z.string().transform((text, context) => {
  const ms = parseDurationMs(text);
  if (ms !== null && ms > 0 && ms <= SCRAPE_INTERVAL_MS_MAX) return ms;
  context.addIssue({
    code: "custom",
    message:
      ms !== null && ms > 0
        ? `must be at most ${SCRAPE_INTERVAL_MS_MAX / 3_600_000}h, got "${text}"`
        : `expected a positive duration like "50ms" or "1m30s", got "${text}"`,
  });
  return z.NEVER;
});

/** Bytes that a request target may have: printable ASCII but the blank. */
const REQUEST_PATH = /^\/[\x21-\x7e]*$/;

/** A parameter of upstream whose feature is not here: saying so is better than "unknown field". */
const notSupported = (why: string) =>
  z
    .unknown()
    .refine((value) => value === undefined || (Array.isArray(value) && value.length === 0), {
      message: `is not supported by this version: ${why}`,
    })
    .optional();

/** Empty text = not read. */
const metricSpec = z.string().transform((text, context) => {
  if (text === "") return undefined;
  const spec = parseMetricSpec(text);
  if (typeof spec !== "string") return spec;
  context.addIssue({ code: "custom", message: spec });
  return z.NEVER;
});

const MetricsSource = z
  .strictObject({
    scheme: z.enum(["http", "https"]).default("http"),
    path: z
      .string()
      .refine((path) => REQUEST_PATH.test(path), {
        error: ({ input }) => `must begin with / and have no blanks, got ${JSON.stringify(input)}`,
      })
      .optional(),
    port: z.number().int().min(1).max(65535).optional(),
    interval: scrapeIntervalMs.optional(),
    /** Absent: as ScrapeTls has it, so that a CA that is given is used. */
    insecureSkipVerify: z.boolean().optional(),
    caCertPath: z.string().min(1).optional(),
    clientCertPath: z.string().min(1).optional(),
    clientKeyPath: z.string().min(1).optional(),
  })
  .refine((p) => (p.clientCertPath === undefined) === (p.clientKeyPath === undefined), {
    message: "clientCertPath and clientKeyPath go together",
  });

export type MetricsSourceParameters = z.infer<typeof MetricsSource>;

function remarksOnSource(source: MetricsSourceParameters): readonly string[] {
  const remarks: string[] = [];
  const { caCertPath, insecureSkipVerify, interval, scheme } = source;
  if (interval !== undefined && interval < SCRAPE_INTERVAL_MS_MIN) {
    remarks.push(`interval: is raised to ${SCRAPE_INTERVAL_MS_MIN}ms`);
  }
  for (const key of ["caCertPath", "clientCertPath"] as const) {
    if (source[key] !== undefined && scheme === "http") {
      remarks.push(`${key}: has no effect with scheme http`);
    }
  }
  if (caCertPath !== undefined && scheme === "https" && insecureSkipVerify === true) {
    remarks.push("caCertPath: has no effect with insecureSkipVerify: true");
  }
  return remarks;
}

const EngineConfig = z.strictObject({
  name: z
    .string()
    .min(1)
    .refine((name) => name !== "default", 'must not be "default"'),
  queuedRequestsSpec: metricSpec.optional(),
  runningRequestsSpec: metricSpec.optional(),
  kvUsageSpec: metricSpec.optional(),
  loraSpec: metricSpec.optional(),
  cacheInfoSpec: metricSpec.optional(),
  cacheBlockSizeLabelName: z.string().optional(),
  cacheNumBlocksLabelName: z.string().optional(),
  cacheBlockSizeSpec: metricSpec.optional(),
  cacheNumBlocksSpec: metricSpec.optional(),
  customMetrics: z
    .array(
      z.strictObject({
        attributeKey: z
          .string()
          .min(1)
          .refine((key) => !key.includes("/"), "must not have a / in it"),
        metricSpec,
      }),
    )
    .superRefine((metrics, context) => {
      const keys = metrics.map(({ attributeKey }) => attributeKey);
      keys.forEach((key, i) => {
        if (keys.indexOf(key) === i) return;
        const path = [i, "attributeKey"];
        context.addIssue({ code: "custom", path, message: `"${key}" stands twice` });
      });
    })
    .optional(),
});

const Extractor = z.strictObject({
  engineLabelKey: z.string().min(1).optional(),
  defaultEngine: z.string().min(1).optional(),
  engineConfigs: z
    .array(EngineConfig)
    .superRefine((configs, context) => {
      const names = configs.map(({ name }) => name);
      names.forEach((name, i) => {
        if (names.indexOf(name) === i) return;
        context.addIssue({ code: "custom", path: [i, "name"], message: `"${name}" stands twice` });
      });
    })
    .default([]),
});

export type ExtractorParameters = z.infer<typeof Extractor>;

const MulticlusterExtractor = z.strictObject({
  queueSizeMetric: metricSpec.prefault("llm_d_epp_average_queue_size"),
  kvCacheUtilizationMetric: metricSpec.prefault("llm_d_epp_average_kv_cache_utilization"),
});

export type MulticlusterExtractorParameters = z.infer<typeof MulticlusterExtractor>;

const FileDiscovery = z.strictObject({
  path: z.string().min(1),
  watchFile: z.boolean().default(false),
  manifestsPath: notSupported("InferenceObjective and InferenceModelRewrite are not read"),
});

export type FileDiscoveryParameters = z.infer<typeof FileDiscovery>;

const definitions: readonly OuterDefinition[] = [
  ...parserTypes.map(
    (type): OuterDefinition => ({ type, kind: "parser", parameters: z.strictObject({}) }),
  ),
  {
    type: "metrics-data-source",
    kind: "source",
    parameters: MetricsSource,
    remarks: (parameters) => remarksOnSource(parameters as MetricsSourceParameters),
  },
  { type: "core-metrics-extractor", kind: "extractor", parameters: Extractor },
  // Endpoints that come and go are told without it; configurations hang extractors to it.
  { type: "endpoint-notification-source", kind: "source", parameters: z.strictObject({}) },
  {
    type: "multicluster-metrics-extractor",
    kind: "extractor",
    parameters: MulticlusterExtractor,
    isExperimental: true,
  },
  { type: "file-discovery", kind: "discovery", parameters: FileDiscovery },
  {
    type: "request-attribute-reporter",
    kind: "response",
    parameters: AttributeReporterParameters,
  },
  {
    type: "destination-endpoint-served-verifier",
    kind: "response",
    parameters: z.strictObject({}),
  },
];

const byType = new Map(definitions.map((definition) => [definition.type, definition]));

export const outerRegistry: OuterRegistry = {
  get: (type) => byType.get(type),
  types: () => [...byType.keys()],
  defaultParsers: defaultParserTypes,
};
