/**
 * Resolved configuration → running scheduler: instances in order of creation, data handed from producers to consumers,
 * profiles with every reference replaced by the instance.
 * @module
 */
import type { Clock } from "./clock.ts";
import type {
  ConfigProblem,
  ResolvedBand,
  ResolvedConfig,
  ResolvedPlugin,
} from "./config/resolved.ts";
import { type DataType, type DataTypes, DEFAULT_PRODUCERS, type PrefixMatch } from "./data.ts";
import type { DecisionRecorder } from "./decision.ts";
import type { EndpointPool } from "./endpoints.ts";
import type { SaturationDetector } from "./flow/contracts.ts";
import {
  type FlowControlSettings,
  flowDefaults,
  type StaticBandSettings,
} from "./flow/settings.ts";
import {
  type Picker,
  PluginConfigError,
  type PluginHandle,
  type PluginInstance,
  type TokenMac,
} from "./plugin.ts";
import { Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";

export interface SchedulerDependencies {
  readonly pool: EndpointPool;
  readonly clock: Clock;
  readonly random: Random;
  readonly recorder?: DecisionRecorder | undefined;
  /** Time between two scrapes of an endpoint, ms: what is much older counts as stale. */
  readonly scrapeIntervalMs?: number | undefined;
  /** Scalar attributes that are scraped, `attribute/producer`, by their index; absent = none. */
  readonly scalars?: readonly string[] | undefined;
  /** Keyed hashes for plugins (see PluginHandle); absent = plugins that need them are refused. */
  readonly tokenMac?: ((keyFile: string) => TokenMac) | undefined;
  /** Remarks of plugins about their parameters, each starting with the path of the plugin. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** The configuration can not be built; `problems` has each reason with its path. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ path, message }) => `${path}: ${message}`).join("\n"));
    this.problems = problems;
  }
}

/** @throws ConfigError with all problems that plugins found in their parameters */
export function buildScheduler(config: ResolvedConfig, deps: SchedulerDependencies): Scheduler {
  return buildCore(config, deps).scheduler;
}

/** A scheduler, and what flow control in front of it is made of. */
export interface Core {
  readonly scheduler: Scheduler;
  /** null = the gate is off. */
  readonly flowControl: FlowControlSettings | null;
}

/** @throws ConfigError with all problems that plugins found in their parameters */
export function buildCore(config: ResolvedConfig, deps: SchedulerDependencies): Core {
  return new Builder(config, deps).build();
}

class Builder {
  readonly #config: ResolvedConfig;
  readonly #deps: SchedulerDependencies;
  readonly #profileNames: readonly string[];
  readonly #prefillProfile: string | undefined;
  readonly #instances = new Map<string, PluginInstance>();
  readonly #problems: ConfigProblem[] = [];

  constructor(config: ResolvedConfig, deps: SchedulerDependencies) {
    this.#config = config;
    this.#deps = deps;
    this.#profileNames = config.profiles.map(({ name }) => name);
    const handler = config.plugins.find(({ name }) => name === config.profileHandler);
    this.#prefillProfile = handler?.definition.prefillProfile?.(handler.parameters);
  }

  build(): Core {
    const { plugins, profileHandler } = this.#config;
    const { clock, pool, recorder } = this.#deps;
    for (const plugin of plugins) {
      const instance = this.#create(plugin);
      if (instance !== null) this.#instances.set(plugin.name, instance);
    }
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
    const counters = { nanScores: 0 };
    const profiles = this.#config.profiles.map(
      ({ name, filters, scorers, picker }, i) =>
        new Profile({
          name,
          pool,
          filters: filters.map((ref) => ({ name: ref, filter: this.#instances.get(ref)!.filter! })),
          scorers: scorers.map(({ plugin, weight }) => ({
            name: plugin,
            scorer: this.#instances.get(plugin)!.scorer!,
            weight,
          })),
          picker: this.#picker(picker, i),
          counters,
        }),
    );
    const { saturationDetector } = this.#config;
    const detector = this.#instances.get(saturationDetector ?? "")?.saturationDetector ?? null;
    const flowControl = this.#flowControl(detector);
    const scheduler = new Scheduler({
      pool,
      clock,
      profiles: new Map(profiles.map((profile) => [profile.name, profile])),
      handler: this.#instances.get(profileHandler)!.profileHandler!,
      producers: plugins.flatMap(({ name, definition }) => {
        const { producer } = this.#instances.get(name)!;
        return producer === undefined ? [] : [{ name, type: definition.type, producer }];
      }),
      hooks: plugins.flatMap(({ name, definition }) => {
        const { hooks } = this.#instances.get(name)!;
        return hooks === undefined ? [] : [{ name, type: definition.type, hooks }];
      }),
      cacheMatch: this.#cacheMatch(),
      headersRead: distinct(
        plugins.flatMap(({ definition, parameters }) => definition.headersRead?.(parameters) ?? []),
      ),
      fairnessHeaders: distinct(
        plugins.flatMap(
          ({ definition, parameters }) => definition.fairnessHeaders?.(parameters) ?? [],
        ),
      ),
      admitters: plugins.flatMap(({ name }) => this.#instances.get(name)!.admitter ?? []),
      shedding: flowControl === null ? detector : null,
      recorder: recorder ?? null,
      counters,
    });
    return { scheduler, flowControl };
  }

  #flowControl(detector: SaturationDetector | null): FlowControlSettings | null {
    const resolved = this.#config.flowControl;
    if (resolved === null || detector === null) return null;
    const band = ({ fairness, ordering, ...bounds }: ResolvedBand): StaticBandSettings =>
      Object.freeze({
        ...bounds,
        ordering: this.#instances.get(ordering)!.orderingPolicy!,
        fairness: this.#instances.get(fairness)!.fairnessPolicy!,
      });
    return Object.freeze({
      ...resolved,
      bands: resolved.bands.map(band),
      defaultBand: band(resolved.defaultBand),
      negativeBand: band(resolved.negativeBand),
      detector,
      usageLimits: this.#instances.get(resolved.usageLimits)!.usageLimitPolicy!,
      flowIdleMs: flowDefaults.flowIdleMs,
    });
  }

  /** @returns null after taking down what is wrong with the parameters */
  #create({ name, definition, parameters, path }: ResolvedPlugin): PluginInstance | null {
    const { clock, pool, random, scrapeIntervalMs, tokenMac, warn } = this.#deps;
    const handle: PluginHandle = {
      name,
      pool,
      clock,
      random,
      profiles: this.#profileNames,
      prefillProfile: this.#prefillProfile,
      scrapeIntervalMs,
      scalar: (attribute, producer) =>
        this.#deps.scalars?.indexOf(`${attribute}/${producer}`) ?? -1,
      decider: (ref) => this.#instances.get(ref)?.decider,
      ...(tokenMac === undefined ? {} : { tokenMac }),
      consume: <K extends DataType>(type: K, producer: string): DataTypes[K] | undefined =>
        this.#instances.get(producer)?.producer?.data[type],
      warn: (message) => warn?.(`${path}: ${message}`),
    };
    try {
      return definition.create(parameters, handle);
    } catch (error) {
      if (!(error instanceof PluginConfigError)) throw error;
      const field = error.path === "" ? "parameters" : `parameters.${error.path}`;
      this.#problems.push({ path: `${path}.${field}`, message: error.message });
      return null;
    }
  }

  /** The match that the profiles score with, else the default producer's, else any. */
  #cacheMatch(): PrefixMatch | null {
    const { plugins, profiles } = this.#config;
    const scored = profiles.flatMap(({ scorers }) =>
      scorers.flatMap(({ plugin }) => {
        const { definition, parameters } = plugins.find(({ name }) => name === plugin)!;
        const consumed = definition.consumes?.(parameters) ?? [];
        return consumed.filter(({ type }) => type === "prefix-match");
      }),
    );
    const names = [
      ...scored.map(({ producer }) => producer),
      DEFAULT_PRODUCERS["prefix-match"]!,
      ...plugins.map(({ name }) => name),
    ];
    for (const name of names) {
      const match = this.#instances.get(name)?.producer?.data["prefix-match"];
      if (match !== undefined) return match;
    }
    return null;
  }

  /** Picker for profile i: pickers keep turns, so each further profile that names the same one gets its own. */
  #picker(ref: string, i: number): Picker {
    const isShared = this.#config.profiles.slice(0, i).some(({ picker }) => picker === ref);
    const plugin = this.#config.plugins.find(({ name }) => name === ref)!;
    const instance = isShared ? this.#create(plugin)! : this.#instances.get(ref)!;
    return instance.picker!;
  }
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)];
}
