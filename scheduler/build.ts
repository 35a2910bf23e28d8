/**
 * Resolved configuration → running scheduler: instances in order of creation, data handed from producers to consumers,
 * profiles with every reference replaced by the instance.
 * @module
 */
import type { Clock } from "./clock.ts";
import type { ConfigProblem, ResolvedConfig } from "./config/resolved.ts";
import type { DataType, DataTypes } from "./data.ts";
import type { DecisionRecorder } from "./decision.ts";
import type { EndpointPool } from "./endpoints.ts";
import { PluginConfigError, type PluginHandle, type PluginInstance } from "./plugin.ts";
import { Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import { type NamedProducer, Scheduler } from "./scheduler.ts";

export interface SchedulerDependencies {
  readonly pool: EndpointPool;
  readonly clock: Clock;
  readonly random: Random;
  readonly recorder?: DecisionRecorder;
  /** Remarks of plugins about their parameters. */
  readonly warn?: (message: string) => void;
}

/** The configuration can not be built; `problems` has each reason with its path. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ path, message }) => `${path}: ${message}`).join("\n"));
    this.problems = problems;
  }
}

/** @throws ConfigError with all problems that plugins found in their parameters */
export function buildScheduler(config: ResolvedConfig, deps: SchedulerDependencies): Scheduler {
  const instances = new Map<string, PluginInstance>();
  const producers: NamedProducer[] = [];
  const problems: ConfigProblem[] = [];
  const profileNames = config.profiles.map(({ name }) => name);
  for (const plugin of config.plugins) {
    const { name, definition, parameters, path } = plugin;
    const handle: PluginHandle = {
      name,
      pool: deps.pool,
      clock: deps.clock,
      random: deps.random,
      profiles: profileNames,
      consume: <K extends DataType>(type: K, producer: string): DataTypes[K] | undefined =>
        instances.get(producer)?.producer?.data[type],
      warn: (message) => deps.warn?.(`${path}: ${message}`),
    };
    try {
      const instance = definition.create(parameters, handle);
      instances.set(name, instance);
      if (instance.producer) {
        producers.push({ name, type: definition.type, producer: instance.producer });
      }
    } catch (error) {
      if (!(error instanceof PluginConfigError)) throw error;
      const field = error.path === "" ? "parameters" : `parameters.${error.path}`;
      problems.push({ path: `${path}.${field}`, message: error.message });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const counters = { nanScores: 0 };
  const profiles = new Map<string, Profile>();
  for (const { name, filters, scorers, picker } of config.profiles) {
    profiles.set(
      name,
      new Profile(
        name,
        deps.pool,
        filters.map((plugin) => ({ name: plugin, filter: instances.get(plugin)!.filter! })),
        scorers.map(({ plugin, weight }) => ({
          name: plugin,
          scorer: instances.get(plugin)!.scorer!,
          weight,
        })),
        instances.get(picker)!.picker!,
        counters,
      ),
    );
  }
  return new Scheduler({
    pool: deps.pool,
    clock: deps.clock,
    profiles,
    handler: instances.get(config.profileHandler)!.profileHandler!,
    producers,
    recorder: deps.recorder ?? null,
    counters,
  });
}
