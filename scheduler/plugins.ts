/**
 * The registry: every plugin type this version knows, by kind and then by type. One import and one line each.
 * @module
 */
import { probabilisticAdmitter } from "./admitters/probabilistic-admitter.ts";
import { deficitRoundRobinFairnessPolicy } from "./fairness-policies/deficit-round-robin-fairness-policy.ts";
import { globalStrictFairnessPolicy } from "./fairness-policies/global-strict-fairness-policy.ts";
import { programAwareFairness } from "./fairness-policies/program-aware-fairness.ts";
import { roundRobinFairnessPolicy } from "./fairness-policies/round-robin-fairness-policy.ts";
import { byLabel } from "./filters/by-label.ts";
import { decodeFilter } from "./filters/decode-filter.ts";
import { encodeFilter } from "./filters/encode-filter.ts";
import { labelSelectorFilter } from "./filters/label-selector-filter.ts";
import { prefillFilter } from "./filters/prefill-filter.ts";
import { prefixCacheAffinityFilter } from "./filters/prefix-cache-affinity-filter.ts";
import { edfOrderingPolicy } from "./ordering-policies/edf-ordering-policy.ts";
import { fcfsOrderingPolicy } from "./ordering-policies/fcfs-ordering-policy.ts";
import { sloDeadlineOrderingPolicy } from "./ordering-policies/slo-deadline-ordering-policy.ts";
import { maxScorePicker } from "./pickers/max-score-picker.ts";
import { randomPicker } from "./pickers/random-picker.ts";
import { weightedRandomPicker } from "./pickers/weighted-random-picker.ts";
import type { PluginDefinition } from "./plugin.ts";
import { approxPrefixCacheProducer } from "./producers/approx-prefix-cache-producer.ts";
import { inflightLoadProducer } from "./producers/inflight-load-producer.ts";
import { tokenProducer } from "./producers/token-producer.ts";
import { singleProfileHandler } from "./profile-handlers/single-profile-handler.ts";
import { concurrencyDetector } from "./saturation-detectors/concurrency-detector.ts";
import { utilizationDetector } from "./saturation-detectors/utilization-detector.ts";
import { activeRequestScorer } from "./scorers/active-request-scorer.ts";
import { kvCacheUtilizationScorer } from "./scorers/kv-cache-utilization-scorer.ts";
import { loraAffinityScorer } from "./scorers/lora-affinity-scorer.ts";
import { prefixCacheScorer } from "./scorers/prefix-cache-scorer.ts";
import { queueScorer } from "./scorers/queue-scorer.ts";
import { runningRequestsSizeScorer } from "./scorers/running-requests-size-scorer.ts";
import { tokenLoadScorer } from "./scorers/token-load-scorer.ts";
import { priorityHoldbackPolicy } from "./usage-limit-policies/priority-holdback-policy.ts";
import { softReflectiveCeilingPolicy } from "./usage-limit-policies/soft-reflective-ceiling-policy.ts";
import { staticUsageLimitPolicy } from "./usage-limit-policies/static-usage-limit-policy.ts";

/** Definitions with parameters of different types live in one list; each checks its own. */
export const definitions: readonly PluginDefinition[] = [
  probabilisticAdmitter,
  deficitRoundRobinFairnessPolicy,
  globalStrictFairnessPolicy,
  programAwareFairness,
  roundRobinFairnessPolicy,
  byLabel,
  decodeFilter,
  encodeFilter,
  labelSelectorFilter,
  prefillFilter,
  prefixCacheAffinityFilter,
  edfOrderingPolicy,
  fcfsOrderingPolicy,
  sloDeadlineOrderingPolicy,
  maxScorePicker,
  randomPicker,
  weightedRandomPicker,
  approxPrefixCacheProducer,
  inflightLoadProducer,
  tokenProducer,
  singleProfileHandler,
  concurrencyDetector,
  utilizationDetector,
  activeRequestScorer,
  kvCacheUtilizationScorer,
  loraAffinityScorer,
  prefixCacheScorer,
  queueScorer,
  runningRequestsSizeScorer,
  tokenLoadScorer,
  priorityHoldbackPolicy,
  softReflectiveCeilingPolicy,
  staticUsageLimitPolicy,
] as PluginDefinition[];

const byType = new Map(definitions.map((definition) => [definition.type, definition]));

/** Old spellings that are still accepted → the type they stand for. */
const aliases: ReadonlyMap<string, string> = new Map([
  ["by-label-selector", "label-selector-filter"],
  ["tokenizer", "token-producer"],
]);

/** Lookup by the type string of the YAML. */
export const pluginRegistry = {
  get(type: string): PluginDefinition | undefined {
    return byType.get(aliases.get(type) ?? type);
  },
  /** The type that an old spelling stands for, or undefined when the spelling is current. */
  replacementOf(type: string): string | undefined {
    return aliases.get(type);
  },
  /** Every type and old spelling. */
  types(): readonly string[] {
    return [...byType.keys(), ...aliases.keys()];
  },
};
