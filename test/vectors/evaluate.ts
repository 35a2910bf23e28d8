/**
 * One vector → nothing when it holds, Mismatch when it does not, NotHere when its plugin is not in this version.
 * @module
 */
import {
  meanLoad,
  type ProbabilisticParameters,
  probabilisticAdmitter,
  refusedShare,
} from "../../scheduler/admitters/probabilistic-admitter.ts";
import { type PluginInstance, pluginRegistry } from "../../scheduler/index.ts";
import { addWeighted } from "../../scheduler/profile.ts";
import {
  checkAll,
  expectEqual,
  expectNumber,
  expectNumbers,
  Mismatch,
  NotHere,
  type Vector,
} from "./format.ts";
import { functionVectors } from "./functions.ts";
import { evaluatePicker } from "./pickers.ts";
import { type Behavior, VectorWorld } from "./world.ts";

type Evaluate = (vector: Vector, behavior: Behavior) => void;

/** @param behavior of plugins where there is a choice; vectors are upstream's */
export function evaluate(vector: Vector, behavior: Behavior = "upstream"): void {
  const { kind, plugin } = vector;
  const byFunction = functionVectors.get(plugin);
  if (byFunction !== undefined) {
    byFunction(vector);
    return;
  }
  if (kind !== "profile" && pluginRegistry.get(plugin) === undefined) throw new NotHere(plugin);
  const byKind = kindVectors.get(kind);
  if (byKind === undefined) throw new Mismatch(`no check for vectors of kind "${kind}"`);
  byKind(vector, behavior);
}

const kindVectors: ReadonlyMap<string, Evaluate> = new Map<string, Evaluate>([
  ["scorer", evaluateScorer],
  ["filter", evaluateFilter],
  ["picker", evaluatePicker],
  ["profile", evaluateProfile],
  ["producer", evaluateProducer],
  ["decider", evaluateDecider],
  ["saturation", evaluateSaturation],
  ["admitter", evaluateAdmitter],
]);

/** What an instance must be to be looked at as this kind. */
function part<K extends keyof PluginInstance>(
  instance: PluginInstance,
  kind: K,
): NonNullable<PluginInstance[K]> {
  const found = instance[kind];
  if (found === undefined) throw new Mismatch(`the plugin is no ${kind}`);
  return found as NonNullable<PluginInstance[K]>;
}

function evaluateScorer(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const scorer = part(world.instance(vector.plugin, vector.parameters), "scorer");
  const { count } = world.candidates;
  const scores = new Float64Array(count);
  scorer.score(world.request, world.candidates, scores);
  const totals = new Float64Array(count);
  addWeighted(totals, scores, 1, count);
  checkAll(vector.expected, {
    scores: (wanted) => expectNumbers(scoredOf(world.byId(scores), wanted), wanted, "scores"),
    clamped: (wanted) => expectNumbers(scoredOf(world.byId(totals), wanted), wanted, "clamped"),
  });
}

/** Upstream leaves endpoints out that it can not score, which adds nothing to their totals: here they score 0. */
function scoredOf(scores: Readonly<Record<string, number>>, wanted: unknown) {
  const isWanted = (id: string) => Object.hasOwn(wanted as object, id);
  return Object.fromEntries(
    Object.entries(scores).filter(([id, score]) => score !== 0 || isWanted(id)),
  );
}

function evaluateFilter(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const filter = part(world.instance(vector.plugin, vector.parameters), "filter");
  filter.filter(world.request, world.candidates);
  const { count, slots } = world.candidates;
  const kept = Array.from(slots.subarray(0, count), (slot) => world.idOf(slot));
  checkAll(vector.expected, { kept: (wanted) => expectEqual(kept, wanted, "kept") });
}

interface ScorerUse {
  readonly plugin: string;
  readonly weight?: number;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

function evaluateProfile(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const { count } = world.candidates;
  const totals = new Float64Array(count);
  const scores = new Float64Array(count);
  const { scorers = [] } = (vector.parameters ?? {}) as { scorers?: readonly ScorerUse[] };
  for (const { parameters, plugin, weight = 1 } of scorers) {
    const scorer = part(world.instance(plugin, parameters), "scorer");
    scorer.score(world.request, world.candidates, scores);
    addWeighted(totals, scores, weight, count);
  }
  checkAll(vector.expected, {
    totals: (wanted) => expectNumbers(world.byId(totals), wanted, "totals"),
  });
}

function evaluateProducer(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const producer = part(world.instance(vector.plugin, vector.parameters), "producer");
  producer.produce?.(world.request, world.candidates);
  checkAll(vector.expected, {
    uncachedRequestTokens: (wanted) => {
      const data = producer.data["uncached-request-tokens"];
      if (data === undefined) throw new Mismatch("no uncached request tokens are produced");
      const tokens = Float64Array.from(
        { length: world.candidates.count },
        (_, i) => data.tokens[world.candidates.slots[i]!]!,
      );
      expectNumbers(world.byId(tokens), wanted, "uncachedRequestTokens");
    },
  });
}

function evaluateDecider(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const decider = part(world.instance(vector.plugin, vector.parameters), "decider");
  const { count, slots } = world.candidates;
  const decides = decider.disaggregate(world.request, count > 0 ? slots[0]! : -1);
  checkAll(vector.expected, {
    disaggregate: (wanted) => expectEqual(decides, wanted, "disaggregate"),
  });
}

function evaluateSaturation(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const detector = part(world.instance(vector.plugin, vector.parameters), "saturationDetector");
  const saturation = detector.saturation(world.candidates);
  checkAll(vector.expected, {
    saturation: (wanted) => expectNumber(saturation, wanted, "saturation"),
  });
}

function evaluateAdmitter(vector: Vector, behavior: Behavior): void {
  const world = new VectorWorld(vector, behavior);
  const admitter = part(world.instance(vector.plugin, vector.parameters), "admitter");
  const isAdmitted = admitter.admit(world.request, world.candidates) === null;
  const parameters = probabilisticAdmitter.parameters.parse({ ...vector.parameters });
  const load = meanLoad(world.candidates, parameters as ProbabilisticParameters);
  checkAll(vector.expected, {
    admit: (wanted) => expectEqual(isAdmitted, wanted, "admit"),
    saturation: (wanted) => expectNumber(load, wanted, "saturation"),
    rejectProbability: (wanted) =>
      expectNumber(
        refusedShare(load, parameters as ProbabilisticParameters),
        wanted,
        "rejectProbability",
      ),
  });
}
