/**
 * Plugins of the layers around the scheduler: parsers, data sources, extractors, discovery. Types, parameters and defaults
 * are those of llm-d-router (pkg/epp/framework/plugins).
 * @module
 */
import { z } from "zod";
import type { OuterDefinition, OuterRegistry } from "../../scheduler/index.ts";
import { parseMetricSpec } from "./metric-spec.ts";
import { parseDurationMs } from "./quantity.ts";

/** Go duration as text → milliseconds. */
const durationMs = z.string().transform((text, context) => {
  const ms = parseDurationMs(text);
  if (ms !== null && ms > 0) return ms;
  context.addIssue({
    code: "custom",
    message: `expected a positive duration like "50ms" or "1m30s", got "${text}"`,
  });
  return z.NEVER;
});

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
    path: z.string().startsWith("/").optional(),
    port: z.number().int().min(1).max(65535).optional(),
    interval: durationMs.optional(),
    insecureSkipVerify: z.boolean().default(true),
    caCertPath: z.string().min(1).optional(),
    clientCertPath: z.string().min(1).optional(),
    clientKeyPath: z.string().min(1).optional(),
  })
  .refine((p) => (p.clientCertPath === undefined) === (p.clientKeyPath === undefined), {
    message: "clientCertPath and clientKeyPath go together",
  });

export type MetricsSourceParameters = z.infer<typeof MetricsSource>;

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
});

const Extractor = z.strictObject({
  engineLabelKey: z.string().min(1).optional(),
  defaultEngine: z.string().min(1).optional(),
  engineConfigs: z.array(EngineConfig).default([]),
});

export type ExtractorParameters = z.infer<typeof Extractor>;

const FileDiscovery = z.strictObject({
  path: z.string().min(1),
  watchFile: z.boolean().default(false),
});

const definitions: readonly OuterDefinition[] = [
  { type: "openai-parser", kind: "parser", parameters: z.strictObject({}) },
  { type: "passthrough-parser", kind: "parser", parameters: z.strictObject({}) },
  { type: "metrics-data-source", kind: "source", parameters: MetricsSource },
  { type: "core-metrics-extractor", kind: "extractor", parameters: Extractor },
  { type: "file-discovery", kind: "discovery", parameters: FileDiscovery },
];

const byType = new Map(definitions.map((definition) => [definition.type, definition]));

export const outerRegistry: OuterRegistry = {
  get: (type) => byType.get(type),
  types: () => [...byType.keys()],
  defaultParsers: ["openai-parser", "passthrough-parser"],
};
