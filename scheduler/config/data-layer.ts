/**
 * Parsers, data sources with their extractors, and discovery: plugins that other layers build, here checked for being
 * there and of the right kind.
 * @module
 */
import { ADDED, type Instances } from "./instances.ts";
import { parsePart, type Report } from "./report.ts";
import type { OuterPlugin, ResolvedConfig } from "./resolved.ts";
import { DataLayer, type Envelope, Reference, RequestHandler } from "./schema.ts";

const METRICS_SOURCE = "metrics-data-source";
const METRICS_EXTRACTOR = "core-metrics-extractor";

/** Scheduling plugins that are blind without engine metrics; upstream refuses them when nothing extracts those. */
const METRICS_READERS: ReadonlySet<string> = new Set([
  "queue-scorer",
  "running-requests-size-scorer",
  "kv-cache-utilization-scorer",
  "lora-affinity-scorer",
]);

/** Saturation detector of which the same is true. */
const METRICS_DETECTOR = "utilization-detector";

type ResolvedDataLayer = ResolvedConfig["dataLayer"];
type ResolvedSource = ResolvedDataLayer["sources"][number];

export function resolveParsers(
  envelope: Envelope,
  defaultParsers: readonly string[],
  instances: Instances,
  report: Report,
): OuterPlugin[] {
  const { parser, requestHandler } = envelope;
  let chosen = defaultParsers.map((pluginRef) => ({
    pluginRef: pluginRef as string | null | undefined,
    path: ADDED,
  }));
  if (parser !== undefined && parser !== null) {
    report.warn("parser", "is deprecated, use requestHandler.parsers");
    const reference = parsePart(Reference, parser, "parser", report);
    chosen = reference === null ? [] : [{ pluginRef: reference.pluginRef, path: "parser" }];
  }
  const declared =
    requestHandler === undefined || requestHandler === null
      ? null
      : parsePart(RequestHandler, requestHandler, "requestHandler", report);
  if (declared?.parsers?.length) {
    chosen = declared.parsers.map(({ pluginRef }, i) => ({
      pluginRef,
      path: `requestHandler.parsers[${i}]`,
    }));
  }
  return chosen.flatMap(({ pluginRef, path }) => {
    const found = instances.outerReference(pluginRef, `${path}.pluginRef`, "parser", true);
    return found === null ? [] : [found];
  });
}

export function resolveDataLayer(
  value: unknown,
  instances: Instances,
  report: Report,
): ResolvedDataLayer {
  const given = value ?? {};
  const layer = parsePart(DataLayer, given, "dataLayer", report);
  if (layer === null) return { discovery: null, sources: [] };
  refuseReplication(layer, report);
  const sources = resolveSources(layer, instances, report);
  if (layer.injectDefaults ?? true) injectDefaultSource(layer, sources, instances, report);
  checkMetricsReaders(sources, instances, report);
  const discovery = layer.discovery
    ? instances.outerReference(
        layer.discovery.pluginRef,
        "dataLayer.discovery.pluginRef",
        "discovery",
      )
    : null;
  return { discovery, sources };
}

/** State that replicas would share: silently not sharing it would change what every replica decides. */
function refuseReplication(layer: DataLayer, report: Report): void {
  if (layer.peerDiscovery) {
    report.problem("dataLayer.peerDiscovery", "is not supported by this version");
  }
  if (layer.crossReplicaSyncerPluginRef) {
    report.problem("dataLayer.crossReplicaSyncerPluginRef", "is not supported by this version");
  } else if (layer.crossReplicaSyncInterval) {
    report.warn("dataLayer.crossReplicaSyncInterval", "has no effect without a syncer");
  }
}

function resolveSources(layer: DataLayer, instances: Instances, report: Report): ResolvedSource[] {
  return (layer.sources ?? []).flatMap((entry, i) => {
    const path = `dataLayer.sources[${i}]`;
    const source = instances.outerReference(entry.pluginRef, `${path}.pluginRef`, "source");
    const types = new Set<string>();
    const extractors = (entry.extractors ?? []).flatMap(({ pluginRef }, k) => {
      const at = `${path}.extractors[${k}].pluginRef`;
      const extractor = instances.outerReference(pluginRef, at, "extractor");
      if (extractor === null) return [];
      if (types.has(extractor.type)) {
        report.problem(at, `the source has an extractor of type ${extractor.type} already`);
      }
      types.add(extractor.type);
      return [extractor];
    });
    return source === null ? [] : [{ source, extractors }];
  });
}

/** The test is on the reference's name, as upstream's is: a renamed source gets a second one beside it. */
function injectDefaultSource(
  layer: DataLayer,
  sources: ResolvedSource[],
  instances: Instances,
  report: Report,
): void {
  if (layer.sources?.some(({ pluginRef }) => pluginRef === METRICS_SOURCE)) return;
  if (sources.length > 0) {
    report.warn(
      "dataLayer.sources",
      `a default ${METRICS_SOURCE} is added behind yours; set injectDefaults: false if that is not meant`,
    );
  }
  const source = instances.outerReference(METRICS_SOURCE, ADDED, "source", true);
  const extractor = instances.outerReference(METRICS_EXTRACTOR, ADDED, "extractor", true);
  if (source !== null && extractor !== null) sources.push({ source, extractors: [extractor] });
}

/** Without engine metrics every endpoint is full for it: with flow control on, nothing would ever be dispatched. */
export function remarkOnBlindDetector(
  { sources }: ResolvedDataLayer,
  detector: string | null,
  instances: Instances,
  report: Report,
): void {
  const instance = instances.get(detector ?? "");
  if (instance?.definition?.type !== METRICS_DETECTOR || readsEngineMetrics(sources)) return;
  report.warn(
    "flowControl.saturationDetector",
    `"${instance.name}" reads engine metrics, but no data source has a ${METRICS_EXTRACTOR}: every endpoint counts as full`,
  );
}

function readsEngineMetrics(sources: readonly ResolvedSource[]): boolean {
  return sources.some(({ extractors }) =>
    extractors.some(({ type }) => type === METRICS_EXTRACTOR),
  );
}

function checkMetricsReaders(
  sources: readonly ResolvedSource[],
  instances: Instances,
  report: Report,
): void {
  if (readsEngineMetrics(sources) || instances.hasFaulty) return;
  for (const { definition, name, path } of instances.all()) {
    if (definition === null || !METRICS_READERS.has(definition.type)) continue;
    report.problem(
      path,
      `"${name}" reads engine metrics, but no data source has a ${METRICS_EXTRACTOR}`,
    );
  }
}
