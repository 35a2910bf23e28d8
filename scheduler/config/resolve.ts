/**
 * Document → ResolvedConfig: the load order and defaults of llm-d-router (pkg/epp/config/loader), with declaration order
 * where upstream's depends on chance, and every problem collected instead of the first.
 *
 *   envelope → gates → instances → profiles → handler → parsers, data layer → flow control → default producers → order
 * @module
 */
import { remarkOnBlindDetector, resolveDataLayer, resolveParsers } from "./data-layer.ts";
import { addDefaultProducers, orderPlugins } from "./default-producers.ts";
import { FLOW_CONTROL, resolveGates } from "./feature-gates.ts";
import { resolveFlowControl } from "./flow-control.ts";
import { fitsProfile, Instances } from "./instances.ts";
import { resolveHandler, resolveProfiles } from "./profiles.ts";
import type { Registries, ResolveOptions } from "./registries.ts";
import { parsePart, Report } from "./report.ts";
import type { ConfigProblem, ResolvedConfig } from "./resolved.ts";
import { API_VERSION, ApiVersion, Envelope, Kind, LEGACY_API_VERSION } from "./schema.ts";

export type {
  OuterDefinition,
  OuterKind,
  OuterRegistry,
  PluginRegistry,
  Registries,
  ResolveOptions,
} from "./registries.ts";

export type ResolveResult =
  | { readonly ok: true; readonly config: ResolvedConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/**
 * Works a document through.
 *
 * @param document the parsed YAML or JSON: plain values without loops
 * @returns the configuration with nothing optional left, or every problem found, each with the path of its field
 */
export function resolveConfig(
  document: unknown,
  registries: Registries,
  options: ResolveOptions,
): ResolveResult {
  const report = new Report();
  const envelope = parsePart(Envelope, document, "", report);
  if (envelope === null) return { ok: false, problems: report.problems };
  checkVersion(envelope, report);
  const featureGates = resolveGates(envelope.featureGates, report);
  const instances = new Instances(registries, options, report);
  instances.declareAll(envelope.plugins);
  const profiles = resolveProfiles(envelope.schedulingProfiles, instances, report);
  const profileHandler = resolveHandler(profiles.length, instances, report);
  const { defaultParsers } = registries.outer;
  const parsers = resolveParsers(envelope, defaultParsers, instances, report);
  const dataLayer = resolveDataLayer(envelope.dataLayer, instances, report);
  const isFlowControlOn = featureGates.get(FLOW_CONTROL) === true;
  const flow = resolveFlowControl(envelope, isFlowControlOn, instances, report);
  if (isFlowControlOn) {
    remarkOnBlindDetector(dataLayer, flow.saturationDetector, instances, report);
  }
  addDefaultProducers(instances, report);
  const plugins = orderPlugins(instances, report);
  remarkOnUnused(instances, report);
  if (report.problems.length > 0) return { ok: false, problems: report.problems };
  return {
    ok: true,
    config: Object.freeze({
      featureGates,
      plugins,
      profiles,
      profileHandler,
      parsers,
      dataLayer,
      ...flow,
      warnings: report.warnings,
    }),
  };
}

function checkVersion({ apiVersion, kind }: Envelope, report: Report): void {
  if (parsePart(ApiVersion, apiVersion, "apiVersion", report) === LEGACY_API_VERSION) {
    report.warn("apiVersion", `${LEGACY_API_VERSION} is deprecated, use ${API_VERSION}`);
  }
  parsePart(Kind, kind, "kind", report);
}

/** What only works where something refers to it, and nothing does. */
function remarkOnUnused(instances: Instances, report: Report): void {
  for (const instance of instances.all()) {
    const { definition, name, outer, path } = instance;
    if (!path.startsWith("plugins[") || instances.isUsed(instance)) continue;
    const onlyByReference =
      outer !== null ||
      (fitsProfile(instance) &&
        !definition!.kinds.some((kind) => kind === "producer" || kind === "profile-handler"));
    if (onlyByReference) report.warn(path, `"${name}" is declared, but nothing refers to it`);
  }
}
