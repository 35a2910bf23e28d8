import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  endpointMetadata,
  resolved,
  type SchedulingDocument,
  START_MS,
  scrape,
} from "../test/support/scheduler-setup.ts";
import { buildScheduler, ConfigError, type SchedulerDependencies } from "./build.ts";
import { ManualClock } from "./clock.ts";
import type { ResolvedConfig, ResolvedPlugin } from "./config/resolved.ts";
import { InflightLoad } from "./data.ts";
import { EndpointPool } from "./endpoints.ts";
import { maxScorePicker } from "./pickers/max-score-picker.ts";
import {
  defineProducer,
  defineProfileHandler,
  defineScorer,
  PluginConfigError,
  type PluginDefinition,
} from "./plugin.ts";
import { SeededRandom } from "./random.ts";
import { InferenceRequest } from "./request.ts";
import type { Scheduler } from "./scheduler.ts";

function dependencies(more: Partial<SchedulerDependencies> = {}): SchedulerDependencies {
  return {
    pool: new EndpointPool(),
    clock: new ManualClock(START_MS),
    random: new SeededRandom(1),
    ...more,
  };
}

const about = { stability: "beta", summary: "For a test.", source: "this test" } as const;
const parameters = z.object({});

function plugin(
  name: string,
  definition: PluginDefinition<never>,
  values: unknown = {},
): ResolvedPlugin {
  const path = `plugins[${name}]`;
  return { name, definition: definition as PluginDefinition, parameters: values, path };
}

function configOf(
  plugins: readonly ResolvedPlugin[],
  profiles: ResolvedConfig["profiles"],
  profileHandler: string,
): ResolvedConfig {
  return {
    featureGates: new Map(),
    plugins,
    profiles,
    profileHandler,
    parsers: [],
    dataLayer: { discovery: null, sources: [] },
    saturationDetector: null,
    flowControl: null,
    warnings: [],
  };
}

const refusing = (path: string): PluginDefinition<never> =>
  defineScorer({
    ...about,
    type: "refusing",
    parameters,
    create: () => {
      throw new PluginConfigError(path, "expected something else");
    },
  }) as PluginDefinition<never>;

const runAll = defineProfileHandler({
  ...about,
  type: "run-all",
  parameters,
  create: (_parameters, { profiles }) => ({
    next: (_request, done) => profiles[done.length] ?? null,
    primary: (succeeded) => succeeded[0] ?? null,
  }),
}) as PluginDefinition<never>;

test("all problems that plugins find in their parameters come in one error, each with its path", () => {
  const config = configOf(
    [plugin("a", refusing("scale")), plugin("b", refusing(""))],
    [],
    "handler",
  );
  let caught: unknown;
  try {
    buildScheduler(config, dependencies());
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(ConfigError);
  expect((caught as ConfigError).problems).toEqual([
    { path: "plugins[a].parameters.scale", message: "expected something else" },
    { path: "plugins[b].parameters", message: "expected something else" },
  ]);
  expect((caught as ConfigError).message.split("\n")).toHaveLength(2);
});

test("an error that is no remark about parameters comes through as it is", () => {
  const broken = defineScorer({
    ...about,
    type: "broken",
    parameters,
    create: () => {
      throw new TypeError("a fault");
    },
  }) as PluginDefinition<never>;
  const config = configOf([plugin("a", broken)], [], "handler");
  expect(() => buildScheduler(config, dependencies())).toThrow(TypeError);
});

test("a consumer gets the data object of the producer it names, by instance name", () => {
  const load = new InflightLoad();
  const seen: unknown[] = [];
  const producer = defineProducer({
    ...about,
    type: "producer",
    parameters,
    create: () => ({ data: { "inflight-load": load } }),
  }) as PluginDefinition<never>;
  const consumer = defineScorer({
    ...about,
    type: "consumer",
    parameters,
    create: (_parameters, handle) => {
      seen.push(handle.name);
      seen.push(handle.consume("inflight-load", "mine"));
      seen.push(handle.consume("prefix-match", "mine"));
      seen.push(handle.consume("inflight-load", "nobody"));
      return { score: () => {} };
    },
  }) as PluginDefinition<never>;
  const plugins = [plugin("mine", producer), plugin("reader", consumer), plugin("all", runAll)];
  buildScheduler(configOf(plugins, [], "all"), dependencies());
  expect(seen).toEqual(["reader", load, undefined, undefined]);
});

describe("the built-in configuration", () => {
  test("hashes for the one producer that asks for it", () => {
    const scheduler = buildScheduler(resolved({ plugins: [{ type: "prefix-cache-scorer" }] }), {
      ...dependencies(),
    });
    expect(scheduler.hashPlans).toHaveLength(1);
    expect(scheduler.hashPlans[0]!.blockSizeTokens).toBe(64);
  });

  test("remarks of plugins come with their path", () => {
    const remarks: string[] = [];
    const config = resolved({
      plugins: [{ type: "active-request-scorer", parameters: { maxBusyScore: 7 } }],
    });
    buildScheduler(config, dependencies({ warn: (message) => remarks.push(message) }));
    expect(remarks).toEqual(["plugins[0]: maxBusyScore 7 is outside 0..1: 1 is used"]);
  });
});

test("profiles that name the same picker take turns each by itself", () => {
  const pool = new EndpointPool();
  const picker = maxScorePicker as PluginDefinition<never>;
  const plugins = [
    plugin("picker", picker, maxScorePicker.parameters.parse({})),
    plugin("all", runAll),
  ];
  const profile = (name: string) => ({ name, filters: [], scorers: [], picker: "picker" });
  const config = configOf(plugins, [profile("decode"), profile("prefill")], "all");
  const scheduler = buildScheduler(config, dependencies({ pool }));
  for (let i = 0; i < 4; i++) pool.upsert(endpointMetadata(i));
  const flight = scheduler.schedule(new InferenceRequest({}), null);
  // One picker for both would give the second profile the second turn.
  expect(flight.kind === "picked" && flight.charges.map(({ slot }) => slot)).toEqual([0, 0]);
});

describe("the scrape interval", () => {
  const document: SchedulingDocument = { plugins: [{ type: "queue-scorer" }] };
  const totalsAfter = (scrapeIntervalMs: number | undefined): Record<string, number> => {
    const pool = new EndpointPool();
    const scheduler: Scheduler = buildScheduler(
      resolved(document),
      dependencies({ pool, scrapeIntervalMs }),
    );
    const ages = [0, 0, 12_000];
    ages.forEach((ageMs, waiting) => {
      const slot = pool.upsert(endpointMetadata(waiting));
      scrape(pool, slot, { waiting }, START_MS - ageMs);
    });
    scheduler.schedule(new InferenceRequest({}), null);
    const totals: Record<string, number> = {};
    scheduler.lastScores(totals);
    return totals;
  };

  test("decides when a value counts as old", () => {
    const stale = totalsAfter(undefined);
    expect(stale["10.0.0.2:8000"]).toBe(0.5);
    const fresh = totalsAfter(3000);
    expect(fresh["10.0.0.2:8000"]).toBe(0);
  });
});
