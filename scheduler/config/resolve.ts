/**
 * Document → ResolvedConfig: the load order and defaults of llm-d-router (pkg/epp/config/loader), with declaration order
 * where upstream's depends on chance, and every problem collected instead of the first.
 *
 *   envelope → gates → instances → profiles → handler → pickers, weights → parsers, data layer → default producers → order
 * @module
 */
import type { z } from "zod";
import { DEFAULT_PRODUCERS } from "../data.ts";
import type { Consumption, PluginDefinition, PluginKind } from "../plugin.ts";
import { creationOrder } from "./creation-order.ts";
import { parseParameters } from "./parameters.ts";
import type {
  ConfigProblem,
  OuterPlugin,
  ResolvedConfig,
  ResolvedPlugin,
  ResolvedProfile,
} from "./resolved.ts";
import { type Document, didYouMean, Envelope, LEGACY_API_VERSION, problemsOf } from "./schema.ts";

/** Kinds of plugins that other layers build. */
export type OuterKind = "parser" | "source" | "extractor" | "discovery";

export interface OuterDefinition {
  readonly type: string;
  readonly kind: OuterKind;
  readonly parameters: z.ZodType;
}

export interface PluginRegistry {
  get(type: string): PluginDefinition | undefined;
  replacementOf(type: string): string | undefined;
  types(): readonly string[];
}

export interface OuterRegistry {
  get(type: string): OuterDefinition | undefined;
  types(): readonly string[];
  /** Parsers of an empty `requestHandler.parsers`, in order. */
  readonly defaultParsers: readonly string[];
}

export interface ResolveOptions {
  /** --allow-experimental-plugins */
  readonly allowExperimental: boolean;
}

export type ResolveResult =
  | { readonly ok: true; readonly config: ResolvedConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

const GATES: Readonly<Record<string, boolean>> = {
  flowControl: false,
  haPopulateNonLeaderDatastore: true,
};
const GATE_VALUES: Readonly<Record<string, boolean>> = {
  "1": true,
  t: true,
  true: true,
  "0": false,
  f: false,
  false: false,
};
/** Saturation detector that upstream assumes; it decides nothing while flow control is off. */
const DEFAULT_SATURATION_DETECTOR = "utilization-detector";
const METRICS_SOURCE = "metrics-data-source";
const METRICS_EXTRACTOR = "core-metrics-extractor";

/** One declared or added instance. */
interface Instance {
  readonly name: string;
  readonly path: string;
  readonly definition: PluginDefinition | null;
  readonly outer: OuterDefinition | null;
  readonly parameters: unknown;
}

export function resolveConfig(
  document: unknown,
  registries: { readonly scheduling: PluginRegistry; readonly outer: OuterRegistry },
  options: ResolveOptions,
): ResolveResult {
  const parsed = Envelope.safeParse(document);
  if (!parsed.success) {
    return { ok: false, problems: problemsOf(parsed.error, "", Object.keys(Envelope.shape)) };
  }
  return new Resolver(parsed.data, registries.scheduling, registries.outer, options).resolve();
}

class Resolver {
  readonly #document: Document;
  readonly #scheduling: PluginRegistry;
  readonly #outer: OuterRegistry;
  readonly #options: ResolveOptions;
  readonly #problems: ConfigProblem[] = [];
  readonly #warnings: string[] = [];
  readonly #instances = new Map<string, Instance>();

  constructor(
    document: Document,
    scheduling: PluginRegistry,
    outer: OuterRegistry,
    options: ResolveOptions,
  ) {
    this.#document = document;
    this.#scheduling = scheduling;
    this.#outer = outer;
    this.#options = options;
  }

  resolve(): ResolveResult {
    if (this.#document.apiVersion === LEGACY_API_VERSION) {
      this.#warnings.push(`apiVersion: ${LEGACY_API_VERSION} is deprecated, use llm-d.ai/v1alpha1`);
    }
    const featureGates = this.#resolveGates();
    this.#refuseAbsentFeatures(featureGates);
    this.#declarePlugins();
    const defaultPicker = this.#defaultPicker();
    const profiles = this.#resolveProfiles(defaultPicker);
    const profileHandler = this.#resolveHandler(profiles.length);
    const parsers = this.#resolveParsers();
    const dataLayer = this.#resolveDataLayer();
    this.#addDefaultProducers();
    const plugins = this.#order();
    if (this.#problems.length > 0) return { ok: false, problems: this.#problems };
    return {
      ok: true,
      config: Object.freeze({
        featureGates,
        plugins,
        profiles,
        profileHandler,
        parsers,
        dataLayer,
        warnings: this.#warnings,
      }),
    };
  }

  #problem(path: string, message: string): void {
    this.#problems.push({ path, message });
  }

  #resolveGates(): ReadonlyMap<string, boolean> {
    const gates = new Map(Object.entries(GATES));
    (this.#document.featureGates ?? []).forEach((text, i) => {
      const [name = "", value = "true"] = text.split("=", 2).map((part) => part.trim());
      const isOn = GATE_VALUES[value.toLowerCase()];
      if (!gates.has(name)) {
        this.#problem(
          `featureGates[${i}]`,
          `feature gate "${name}" is unknown or unregistered${didYouMean(name, Object.keys(GATES))}`,
        );
      } else if (isOn === undefined) {
        this.#problem(`featureGates[${i}]`, `"${value}" is not a valid value for gate ${name}`);
      } else gates.set(name, isOn);
    });
    return gates;
  }

  /** What would change behavior but is not in this version is refused, never ignored. */
  #refuseAbsentFeatures(gates: ReadonlyMap<string, boolean>): void {
    const { flowControl, saturationDetector, dataLayer } = this.#document;
    const absent = "is not supported by this version";
    if (gates.get("flowControl") === true) {
      this.#problem("featureGates", `flowControl ${absent}; remove the gate`);
    } else if (flowControl) {
      this.#warnings.push("flowControl: has no effect while the feature gate flowControl is off");
    }
    const detectors = [
      ["saturationDetector", saturationDetector?.pluginRef],
      ["flowControl.saturationDetector", flowControl?.saturationDetector?.pluginRef],
    ] as const;
    for (const [path, ref] of detectors) {
      if (ref === undefined || ref === "") continue;
      if (ref === DEFAULT_SATURATION_DETECTOR) {
        this.#warnings.push(`${path}: has no effect while the feature gate flowControl is off`);
      } else this.#problem(`${path}.pluginRef`, `saturation detector "${ref}" ${absent}`);
    }
    if (dataLayer?.peerDiscovery) this.#problem("dataLayer.peerDiscovery", absent);
    if (dataLayer?.crossReplicaSyncerPluginRef) {
      this.#problem("dataLayer.crossReplicaSyncerPluginRef", absent);
    }
  }

  // ── instances ─────────────────────────────────────────────────────────────────────────────────────────────────

  #declarePlugins(): void {
    (this.#document.plugins ?? []).forEach((plugin, i) => {
      const path = `plugins[${i}]`;
      if (plugin.type === undefined || plugin.type === "") {
        this.#problem(`${path}.type`, "plugin is missing a type");
        return;
      }
      const name = plugin.name === undefined || plugin.name === "" ? plugin.type : plugin.name;
      if (this.#instances.has(name)) {
        this.#problem(`${path}.name`, `duplicate plugin name "${name}"`);
        return;
      }
      this.#declare(name, plugin.type, plugin.parameters, path);
    });
  }

  #declare(
    name: string,
    type: string,
    parameters: Record<string, unknown> | null | undefined,
    path: string,
  ): Instance | null {
    const definition = this.#scheduling.get(type) ?? null;
    const outer = definition === null ? (this.#outer.get(type) ?? null) : null;
    if (definition === null && outer === null) {
      if (type === DEFAULT_SATURATION_DETECTOR) {
        this.#warnings.push(`${path}: ${type} has no effect while flow control is off`);
        return null;
      }
      const known = [...this.#scheduling.types(), ...this.#outer.types()];
      this.#problem(
        `${path}.type`,
        `plugin type "${type}" is not registered${didYouMean(type, known)}`,
      );
      return null;
    }
    const replacement = this.#scheduling.replacementOf(type);
    if (replacement !== undefined) {
      this.#warnings.push(`${path}.type: ${type} is deprecated, use ${replacement}`);
    }
    if (definition?.stability === "alpha" && !this.#options.allowExperimental) {
      this.#problem(
        `${path}.type`,
        `plugin "${name}" of type ${type} is experimental; start with --allow-experimental-plugins`,
      );
    }
    const schema = definition?.parameters ?? outer!.parameters;
    const result = parseParameters(
      schema,
      parameters,
      `${path}.parameters`,
      definition?.ignoresParameters ?? false,
    );
    this.#problems.push(...result.problems);
    this.#warnings.push(...result.warnings);
    const instance = { name, path, definition, outer, parameters: result.value };
    this.#instances.set(name, instance);
    return instance;
  }

  /** An instance of this name; registered under its type when it is not declared. */
  #ensure(type: string): Instance | null {
    return this.#instances.get(type) ?? this.#declare(type, type, undefined, "(default)");
  }

  #hasKind(instance: Instance, kind: PluginKind): boolean {
    return instance.definition?.kinds.includes(kind) ?? false;
  }

  #firstOf(kind: PluginKind): Instance | undefined {
    return [...this.#instances.values()].find((instance) => this.#hasKind(instance, kind));
  }

  // ── profiles ──────────────────────────────────────────────────────────────────────────────────────────────────

  #defaultPicker(): string {
    return this.#firstOf("picker")?.name ?? this.#ensure("max-score-picker")?.name ?? "";
  }

  #resolveProfiles(defaultPicker: string): ResolvedProfile[] {
    const declared = this.#document.schedulingProfiles ?? [];
    if (declared.length === 0) return [this.#profileOfAll(defaultPicker)];
    const names = new Set<string>();
    return declared.map((profile, i) => {
      const path = `schedulingProfiles[${i}]`;
      const name = profile.name ?? "";
      if (name === "") this.#problem(`${path}.name`, `${path} is missing a name`);
      else if (names.has(name))
        this.#problem(`${path}.name`, `${path} has duplicate name "${name}"`);
      names.add(name);
      return this.#resolveProfile(name, profile.plugins ?? [], path, defaultPicker);
    });
  }

  /** Without profiles there is one with everything that fits into one. */
  #profileOfAll(defaultPicker: string): ResolvedProfile {
    const uses = [...this.#instances.values()]
      .filter((instance) =>
        (["filter", "scorer", "picker"] as const).some((kind) => this.#hasKind(instance, kind)),
      )
      .filter((instance) => !this.#hasKind(instance, "picker") || instance.name === defaultPicker)
      .map((instance) => ({ pluginRef: instance.name }));
    return this.#resolveProfile("default", uses, "schedulingProfiles", defaultPicker);
  }

  #resolveProfile(
    name: string,
    uses: readonly { pluginRef?: string | undefined; weight?: number | null | undefined }[],
    path: string,
    defaultPicker: string,
  ): ResolvedProfile {
    const filters: string[] = [];
    const scorers: { plugin: string; weight: number }[] = [];
    let picker = "";
    const seen = new Set<string>();
    uses.forEach((use, i) => {
      const usePath = `${path}.plugins[${i}]`;
      const instance = this.#reference(use.pluginRef, `${usePath}.pluginRef`);
      if (instance === null) return;
      if (seen.has(instance.name)) {
        this.#warnings.push(`${usePath}.pluginRef: "${instance.name}" is used twice`);
      }
      seen.add(instance.name);
      const weight = use.weight ?? 1;
      if (this.#hasKind(instance, "filter")) filters.push(instance.name);
      if (this.#hasKind(instance, "scorer")) {
        if (!(weight >= 0) || weight === Number.POSITIVE_INFINITY) {
          this.#problem(`${usePath}.weight`, `must be a finite number >= 0, got ${weight}`);
        }
        scorers.push({ plugin: instance.name, weight });
      }
      if (this.#hasKind(instance, "picker")) {
        if (picker !== "") {
          this.#problem(
            `${usePath}.pluginRef`,
            `profile "${name}" already has a registered picker, "${picker}"`,
          );
        }
        picker = instance.name;
      }
      const fits = (["filter", "scorer", "picker"] as const).some((kind) =>
        this.#hasKind(instance, kind),
      );
      if (!fits) {
        this.#warnings.push(
          `${usePath}.pluginRef: "${instance.name}" is neither filter, scorer nor picker; it has no effect here`,
        );
      }
    });
    return { name, filters, scorers, picker: picker === "" ? defaultPicker : picker };
  }

  #reference(ref: string | undefined, path: string): Instance | null {
    if (ref === undefined || ref === "") {
      this.#problem(path, "missing a 'pluginRef'");
      return null;
    }
    const instance = this.#instances.get(ref);
    if (instance !== undefined) return instance;
    const names = [...this.#instances.keys()];
    this.#problem(path, `references undefined plugin "${ref}"${didYouMean(ref, names)}`);
    return null;
  }

  #resolveHandler(profileCount: number): string {
    const handlers = [...this.#instances.values()].filter((instance) =>
      this.#hasKind(instance, "profile-handler"),
    );
    if (handlers.length > 1) {
      const names = handlers.map(({ name }) => name).join(", ");
      this.#problem("plugins", `multiple profile handlers found: ${names}; declare one`);
    }
    const [handler] = handlers;
    if (handler === undefined && profileCount === 1) {
      return this.#ensure("single-profile-handler")?.name ?? "";
    }
    if (handler === undefined) {
      this.#problem("plugins", `no profile handler configured for ${profileCount} profiles`);
      return "";
    }
    if (handler.definition!.type === "single-profile-handler" && profileCount > 1) {
      this.#problem(
        handler.path,
        `SingleProfileHandler cannot support multiple scheduling profiles, got ${profileCount}`,
      );
    }
    return handler.name;
  }

  // ── other layers ──────────────────────────────────────────────────────────────────────────────────────────────

  #outerReference(
    ref: string | undefined,
    path: string,
    kind: OuterKind,
    what: string,
    canDefault: boolean,
  ): OuterPlugin | null {
    if (ref === undefined || ref === "") {
      this.#problem(path, "missing a 'pluginRef'");
      return null;
    }
    let instance = this.#instances.get(ref);
    if (instance === undefined && canDefault && this.#outer.get(ref)?.kind === kind) {
      instance = this.#ensure(ref) ?? undefined;
    }
    if (instance === undefined) {
      const names = [...this.#instances.keys()];
      this.#problem(path, `references undefined plugin "${ref}"${didYouMean(ref, names)}`);
      return null;
    }
    if (instance.outer?.kind !== kind) {
      this.#problem(path, `plugin "${ref}" is not a ${what}`);
      return null;
    }
    return {
      name: instance.name,
      type: instance.outer.type,
      parameters: instance.parameters,
      path: instance.path,
    };
  }

  #resolveParsers(): OuterPlugin[] {
    const { requestHandler, parser } = this.#document;
    const declared = requestHandler?.parsers ?? [];
    if (parser) this.#warnings.push("parser: is deprecated, use requestHandler.parsers");
    const chosen =
      declared.length > 0
        ? declared.map(({ pluginRef }, i) => ({ pluginRef, path: `requestHandler.parsers[${i}]` }))
        : parser
          ? [{ pluginRef: parser.pluginRef, path: "parser" }]
          : this.#outer.defaultParsers.map((pluginRef) => ({ pluginRef, path: "(default)" }));
    return chosen.flatMap(({ pluginRef, path }) => {
      const found = this.#outerReference(pluginRef, `${path}.pluginRef`, "parser", "parser", true);
      return found === null ? [] : [found];
    });
  }

  #resolveDataLayer(): ResolvedConfig["dataLayer"] {
    const { dataLayer } = this.#document;
    const declared = dataLayer?.sources ?? [];
    const sources = declared.flatMap((source, i) => {
      const path = `dataLayer.sources[${i}]`;
      const found = this.#outerReference(
        source.pluginRef,
        `${path}.pluginRef`,
        "source",
        "data source",
        false,
      );
      const extractors = (source.extractors ?? []).flatMap(({ pluginRef }, k) => {
        const at = `${path}.extractors[${k}].pluginRef`;
        const extractor = this.#outerReference(pluginRef, at, "extractor", "data extractor", false);
        return extractor === null ? [] : [extractor];
      });
      return found === null ? [] : [{ source: found, extractors }];
    });
    const injects = dataLayer?.injectDefaults ?? true;
    // The test is on the reference's name, as upstream's is: a renamed source gets a second one beside it.
    if (injects && !declared.some(({ pluginRef }) => pluginRef === METRICS_SOURCE)) {
      if (sources.length > 0) {
        this.#warnings.push(
          `dataLayer.sources: a default ${METRICS_SOURCE} is added beside yours; set injectDefaults: false if that is not meant`,
        );
      }
      const source = this.#outerReference(METRICS_SOURCE, "(default)", "source", "source", true);
      const extractor = this.#outerReference(
        METRICS_EXTRACTOR,
        "(default)",
        "extractor",
        "extractor",
        true,
      );
      if (source !== null && extractor !== null) sources.push({ source, extractors: [extractor] });
    }
    const discovery = dataLayer?.discovery
      ? this.#outerReference(
          dataLayer.discovery.pluginRef,
          "dataLayer.discovery.pluginRef",
          "discovery",
          "discovery plugin",
          false,
        )
      : null;
    return { discovery, sources };
  }

  // ── producers and order ───────────────────────────────────────────────────────────────────────────────────────

  #consumptions(instance: Instance): readonly Consumption[] {
    if (instance.definition?.consumes === undefined || instance.parameters === undefined) return [];
    return instance.definition.consumes(instance.parameters);
  }

  /** Creates the default producer of each required datum that has none, until nothing is missing. */
  #addDefaultProducers(): void {
    const queue = [...this.#instances.values()];
    for (let i = 0; i < queue.length; i++) {
      const instance = queue[i]!;
      for (const { type, producer, required } of this.#consumptions(instance)) {
        const found = this.#instances.get(producer);
        if (found !== undefined) {
          if (!(found.definition?.produces ?? []).includes(type)) {
            this.#problem(
              instance.path,
              `"${producer}" does not produce ${type}, which "${instance.name}" consumes`,
            );
          }
          continue;
        }
        if (!required) continue;
        const added = DEFAULT_PRODUCERS[type] === producer ? this.#ensure(producer) : null;
        if (added !== null) queue.push(added);
        else if (DEFAULT_PRODUCERS[type] !== producer) {
          this.#problem(
            instance.path,
            `no default producer for data key ${type}/${producer}, consumed by "${instance.name}"`,
          );
        }
      }
    }
  }

  #order(): ResolvedPlugin[] {
    const plugins = [...this.#instances.values()].filter(({ definition }) => definition !== null);
    const dependencies = new Map<string, readonly string[]>();
    for (const plugin of plugins) {
      const producers = this.#consumptions(plugin)
        .map(({ producer }) => producer)
        .filter((producer) => this.#instances.has(producer));
      dependencies.set(plugin.name, producers);
    }
    const order = creationOrder(
      plugins.map(({ name }) => name),
      dependencies,
    );
    if (order.cycle !== null) {
      this.#problem("plugins", `graph is not a DAG: ${order.cycle.join(" → ")}`);
      return [];
    }
    return order.names.map((name) => {
      const { definition, parameters, path } = this.#instances.get(name)!;
      return { name, definition: definition!, parameters, path };
    });
  }
}
