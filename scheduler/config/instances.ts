/**
 * The plugin instances of a document: declared ones in their order, then those that defaulting adds. Keeps count of what is
 * referred to, and of names whose declaration is faulty, so that one fault is not told again at each reference.
 * @module
 */
import type { PluginDefinition, PluginKind } from "../plugin.ts";
import { didYouMean } from "./did-you-mean.ts";
import { PREFIX_PRODUCER, PREFIX_SCORER, takeMovedParameters } from "./old-spellings.ts";
import { parseParameters } from "./parameters.ts";
import type { OuterDefinition, OuterKind, Registries, ResolveOptions } from "./registries.ts";
import { listOf, parsePart, type Report } from "./report.ts";
import type { OuterPlugin } from "./resolved.ts";
import { Plugin } from "./schema.ts";

/** One declared or added instance. */
export interface Instance {
  readonly name: string;
  readonly path: string;
  readonly definition: PluginDefinition | null;
  readonly outer: OuterDefinition | null;
  /** As parsed; undefined when they are faulty. */
  readonly parameters: unknown;
}

/** Path of instances that stand nowhere in the document. */
export const ADDED = "(default)";

const PROFILE_KINDS: readonly PluginKind[] = ["filter", "scorer", "picker"];

/** Kinds that are referred to by a field of their own, in words. */
const KIND_WORDS: Readonly<Partial<Record<PluginKind, string>>> = {
  "ordering-policy": "an ordering policy",
  "fairness-policy": "a fairness policy",
  "usage-limit-policy": "a usage limit policy",
  "saturation-detector": "a saturation detector",
};

const OUTER_WORDS: Readonly<Record<OuterKind, string>> = {
  parser: "parser",
  source: "data source",
  extractor: "data extractor",
  discovery: "discovery plugin",
  response: "response plugin",
};

export function hasKind(instance: Instance, kind: PluginKind): boolean {
  return instance.definition?.kinds.includes(kind) ?? false;
}

export function fitsProfile(instance: Instance): boolean {
  return PROFILE_KINDS.some((kind) => hasKind(instance, kind));
}

export class Instances {
  readonly #registries: Registries;
  readonly #options: ResolveOptions;
  readonly #report: Report;
  readonly #byName = new Map<string, Instance>();
  /** Names that were declared, but wrongly. */
  readonly #faulty = new Set<string>();
  readonly #used = new Set<string>();
  #hasFaulty = false;
  #movedToProducer: { parameters: Readonly<Record<string, unknown>>; path: string } | null = null;

  constructor(registries: Registries, options: ResolveOptions, report: Report) {
    this.#registries = registries;
    this.#options = options;
    this.#report = report;
  }

  /** True when something was declared that can not be looked at: what seems missing may be that. */
  get hasFaulty(): boolean {
    return this.#hasFaulty;
  }

  get(name: string): Instance | undefined {
    return this.#byName.get(name);
  }

  isFaulty(name: string): boolean {
    return this.#faulty.has(name);
  }

  /** In order of declaration; what defaulting added comes after. */
  all(): readonly Instance[] {
    return [...this.#byName.values()];
  }

  /** Plugins of other layers that work by being declared. */
  outerOfKind(kind: OuterKind): readonly OuterPlugin[] {
    return this.all().flatMap((instance) => {
      const { name, outer, parameters, path } = instance;
      if (outer?.kind !== kind) return [];
      this.markUsed(instance);
      return [{ name, type: outer.type, parameters, path }];
    });
  }

  ofKind(kind: PluginKind): readonly Instance[] {
    return this.all().filter((instance) => hasKind(instance, kind));
  }

  hasType(type: string): boolean {
    return this.all().some((instance) => instance.definition?.type === type);
  }

  markUsed(instance: Instance): void {
    this.#used.add(instance.name);
  }

  isUsed(instance: Instance): boolean {
    return this.#used.has(instance.name);
  }

  declareAll(plugins: unknown): void {
    listOf(plugins, "plugins", this.#report).forEach((entry, i) => {
      const path = `plugins[${i}]`;
      const plugin = parsePart(Plugin, entry, path, this.#report);
      if (plugin === null) {
        this.#refuse(nameOf(entry));
        return;
      }
      const { name, parameters, type } = plugin;
      if (!type) {
        this.#report.problem(`${path}.type`, "plugin is missing a type");
        this.#refuse(name || undefined);
      } else if (this.#isTaken(name || type)) {
        this.#report.problem(
          name ? `${path}.name` : path,
          `duplicate plugin name "${name || type}"; give one of them another name`,
        );
      } else this.#declare(name || type, type, parameters, path);
    });
    this.#moveParameters();
  }

  /** The instance of this name; when nobody declared it, one of the type of that name is added. */
  ensure(name: string, parameters: unknown = undefined): Instance | null {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#faulty.has(name)) return null;
    return this.#declare(name, name, parameters, ADDED);
  }

  /** The instance that a document refers to, or null after telling why there is none. */
  reference(ref: string | null | undefined, path: string): Instance | null {
    if (!ref) {
      this.#report.problem(path, "missing a 'pluginRef'");
      return null;
    }
    const instance = this.#byName.get(ref);
    if (instance !== undefined) {
      this.markUsed(instance);
      return instance;
    }
    if (this.#faulty.has(ref)) return null;
    const names = [...this.#byName.keys()];
    this.#report.problem(path, `references undefined plugin "${ref}"${didYouMean(ref, names)}`);
    return null;
  }

  /**
   * The plugin of a kind that a field refers to.
   *
   * @param ref absent or empty = `byDefault`, which is added when nobody declared it
   * @param parameters of one that is added
   * @returns its name, or null after telling why there is none
   */
  kindReference(
    ref: string | null | undefined,
    path: string,
    kind: PluginKind,
    byDefault: string,
    parameters: unknown = undefined,
  ): string | null {
    const name = ref || byDefault;
    const instance =
      name === byDefault ? this.ensure(name, parameters) : this.reference(name, path);
    if (instance === null) return null;
    this.markUsed(instance);
    if (hasKind(instance, kind)) return instance.name;
    this.#report.problem(path, `plugin "${name}" is not ${KIND_WORDS[kind] ?? kind}`);
    return null;
  }

  /**
   * The plugin of another layer that a document refers to.
   *
   * @param isAdded a type that nobody declared is added (as upstream does with parsers)
   */
  outerReference(
    ref: string | null | undefined,
    path: string,
    kind: OuterKind,
    isAdded = false,
  ): OuterPlugin | null {
    if (isAdded && ref && !this.#byName.has(ref)) {
      if (this.#registries.outer.get(ref)?.kind === kind) this.ensure(ref);
    }
    const instance = this.reference(ref, path);
    if (instance === null) return null;
    if (instance.outer?.kind !== kind) {
      this.#report.problem(path, `plugin "${ref}" is not a ${OUTER_WORDS[kind]}`);
      return null;
    }
    const { name, parameters } = instance;
    return { name, type: instance.outer.type, parameters, path: instance.path };
  }

  #isTaken(name: string): boolean {
    return this.#byName.has(name) || this.#faulty.has(name);
  }

  #refuse(name: string | undefined): void {
    this.#hasFaulty = true;
    if (name !== undefined) this.#faulty.add(name);
  }

  #declare(name: string, type: string, parameters: unknown, path: string): Instance | null {
    const definition = this.#registries.scheduling.get(type) ?? null;
    const outer = definition === null ? (this.#registries.outer.get(type) ?? null) : null;
    if (definition === null && outer === null) {
      this.#refuseType(name, type, path);
      return null;
    }
    let given = parameters;
    if (definition?.type === PREFIX_SCORER) {
      const { kept, moved } = takeMovedParameters(parameters, `${path}.parameters`, this.#report);
      given = kept;
      if (moved !== null) this.#movedToProducer ??= { parameters: moved, path };
    }
    const instance: Instance = {
      name,
      path,
      definition,
      outer,
      parameters: parseParameters(
        definition?.parameters ?? outer!.parameters,
        given,
        `${path}.parameters`,
        definition?.ignoresParameters ?? false,
        this.#report,
      ),
    };
    this.#remark(instance, type);
    this.#byName.set(name, instance);
    return instance;
  }

  #refuseType(name: string, type: string, path: string): void {
    const { outer, scheduling } = this.#registries;
    const known = [...scheduling.types(), ...outer.types()];
    this.#report.problem(
      `${path}.type`,
      `plugin type "${type}" is not registered${didYouMean(type, known)}`,
    );
    this.#refuse(name);
  }

  #remark({ definition, name, outer, parameters, path }: Instance, type: string): void {
    const replacement = this.#registries.scheduling.replacementOf(type);
    if (replacement !== undefined) {
      this.#report.warn(`${path}.type`, `${type} is deprecated, use ${replacement}`);
    } else if (definition?.stability === "deprecated") {
      this.#report.warn(`${path}.type`, `${type} is deprecated`);
    }
    const isExperimental = definition?.stability === "alpha" || outer?.isExperimental === true;
    if (isExperimental && !this.#options.allowExperimental) {
      this.#report.problem(
        `${path}.type`,
        `plugin "${name}" of type ${type} is experimental; start with --allow-experimental-plugins`,
      );
    }
    if (parameters === undefined) return;
    for (const remark of outer?.remarks?.(parameters) ?? []) {
      this.#report.warnings.push(`${path}.parameters.${remark}`);
    }
  }

  /** A producer that is declared keeps its own parameters; else it is added with those that scorers still carry. */
  #moveParameters(): void {
    const moved = this.#movedToProducer;
    if (moved === null) return;
    if (!this.#isTaken(PREFIX_PRODUCER)) {
      this.#declare(PREFIX_PRODUCER, PREFIX_PRODUCER, moved.parameters, moved.path);
    } else {
      this.#report.warn(
        `${moved.path}.parameters`,
        `${PREFIX_PRODUCER} is declared: what belongs to it here has no effect`,
      );
    }
  }
}

function nameOf(entry: unknown): string | undefined {
  if (typeof entry !== "object" || entry === null) return undefined;
  const { name, type } = entry as { name?: unknown; type?: unknown };
  if (typeof name === "string" && name !== "") return name;
  return typeof type === "string" && type !== "" ? type : undefined;
}
