/**
 * The registry: every plugin type this version knows, by kind and then by type. One import and one line each.
 * @module
 */
import { probabilisticAdmitter } from "./admitters/probabilistic-admitter.ts";
import { alwaysDisaggMultimodalDecider } from "./deciders/always-disagg-multimodal-decider.ts";
import { alwaysDisaggPdDecider } from "./deciders/always-disagg-pd-decider.ts";
import { prefixBasedPdDecider } from "./deciders/prefix-based-pd-decider.ts";
import { deficitRoundRobinFairnessPolicy } from "./fairness-policies/deficit-round-robin-fairness-policy.ts";
import { globalStrictFairnessPolicy } from "./fairness-policies/global-strict-fairness-policy.ts";
import { programAwareFairness } from "./fairness-policies/program-aware-fairness.ts";
import { roundRobinFairnessPolicy } from "./fairness-policies/round-robin-fairness-policy.ts";
import { byLabel } from "./filters/by-label.ts";
import { contextLengthAware } from "./filters/context-length-aware.ts";
import { decodeFilter } from "./filters/decode-filter.ts";
import { encodeFilter } from "./filters/encode-filter.ts";
import { endpointAttributeFilter } from "./filters/endpoint-attribute-filter.ts";
import { headerBasedTestingFilter } from "./filters/header-based-testing-filter.ts";
import { labelSelectorFilter } from "./filters/label-selector-filter.ts";
import { multiclusterSessionAffinityFilter } from "./filters/multicluster-session-affinity-filter.ts";
import { prefillFilter } from "./filters/prefill-filter.ts";
import { prefixCacheAffinityFilter } from "./filters/prefix-cache-affinity-filter.ts";
import { sessionAffinityFilter } from "./filters/session-affinity-filter.ts";
import { topologyAffinityFilter } from "./filters/topology-affinity-filter.ts";
import { utilizationFilter } from "./filters/utilization-filter.ts";
import { disaggHeadersHandler } from "./hooks/disagg-headers-handler.ts";
import { prefillHeaderHandler } from "./hooks/prefill-header-handler.ts";
import { edfOrderingPolicy } from "./ordering-policies/edf-ordering-policy.ts";
import { fcfsOrderingPolicy } from "./ordering-policies/fcfs-ordering-policy.ts";
import { sloDeadlineOrderingPolicy } from "./ordering-policies/slo-deadline-ordering-policy.ts";
import { maxScorePicker } from "./pickers/max-score-picker.ts";
import { randomPicker } from "./pickers/random-picker.ts";
import { weightedRandomPicker } from "./pickers/weighted-random-picker.ts";
import type { PluginDefinition } from "./plugin.ts";
import { agentIdentity } from "./producers/agent-identity.ts";
import { approxPrefixCacheProducer } from "./producers/approx-prefix-cache-producer.ts";
import { inflightLoadProducer } from "./producers/inflight-load-producer.ts";
import { sessionIdProducer } from "./producers/session-id-producer.ts";
import { tokenProducer } from "./producers/token-producer.ts";
import { topologyExtractor } from "./producers/topology-extractor.ts";
import { dataParallelProfileHandler } from "./profile-handlers/data-parallel-profile-handler.ts";
import { disaggProfileHandler } from "./profile-handlers/disagg-profile-handler.ts";
import { headerProfileHandler } from "./profile-handlers/header-profile-handler.ts";
import { pdProfileHandler } from "./profile-handlers/pd-profile-handler.ts";
import { singleProfileHandler } from "./profile-handlers/single-profile-handler.ts";
import { concurrencyDetector } from "./saturation-detectors/concurrency-detector.ts";
import { utilizationDetector } from "./saturation-detectors/utilization-detector.ts";
import { activeRequestScorer } from "./scorers/active-request-scorer.ts";
import { endpointAttributeScorer } from "./scorers/endpoint-attribute-scorer.ts";
import { headerLabelAffinityScorer } from "./scorers/header-label-affinity-scorer.ts";
import { kvCacheUtilizationScorer } from "./scorers/kv-cache-utilization-scorer.ts";
import { loadAwareScorer } from "./scorers/load-aware-scorer.ts";
import { loraAffinityScorer } from "./scorers/lora-affinity-scorer.ts";
import { multiclusterKvCacheUtilizationScorer } from "./scorers/multicluster-kv-cache-utilization-scorer.ts";
import { multiclusterQueueScorer } from "./scorers/multicluster-queue-scorer.ts";
import { noHitLruScorer } from "./scorers/no-hit-lru-scorer.ts";
import { prefixCacheScorer } from "./scorers/prefix-cache-scorer.ts";
import { queueScorer } from "./scorers/queue-scorer.ts";
import { runningRequestsSizeScorer } from "./scorers/running-requests-size-scorer.ts";
import { sessionAffinityScorer } from "./scorers/session-affinity-scorer.ts";
import { tokenLoadScorer } from "./scorers/token-load-scorer.ts";
import { topologyAffinityScorer } from "./scorers/topology-affinity-scorer.ts";
import { priorityHoldbackPolicy } from "./usage-limit-policies/priority-holdback-policy.ts";
import { softReflectiveCeilingPolicy } from "./usage-limit-policies/soft-reflective-ceiling-policy.ts";
import { staticUsageLimitPolicy } from "./usage-limit-policies/static-usage-limit-policy.ts";

/** Definitions with parameters of different types live in one list; each checks its own. */
export const definitions: readonly PluginDefinition[] = [
  probabilisticAdmitter,
  alwaysDisaggMultimodalDecider,
  alwaysDisaggPdDecider,
  prefixBasedPdDecider,
  deficitRoundRobinFairnessPolicy,
  globalStrictFairnessPolicy,
  programAwareFairness,
  roundRobinFairnessPolicy,
  byLabel,
  contextLengthAware,
  decodeFilter,
  encodeFilter,
  endpointAttributeFilter,
  headerBasedTestingFilter,
  labelSelectorFilter,
  multiclusterSessionAffinityFilter,
  prefillFilter,
  prefixCacheAffinityFilter,
  sessionAffinityFilter,
  topologyAffinityFilter,
  utilizationFilter,
  disaggHeadersHandler,
  prefillHeaderHandler,
  edfOrderingPolicy,
  fcfsOrderingPolicy,
  sloDeadlineOrderingPolicy,
  maxScorePicker,
  randomPicker,
  weightedRandomPicker,
  agentIdentity,
  approxPrefixCacheProducer,
  inflightLoadProducer,
  sessionIdProducer,
  tokenProducer,
  topologyExtractor,
  dataParallelProfileHandler,
  disaggProfileHandler,
  headerProfileHandler,
  pdProfileHandler,
  singleProfileHandler,
  concurrencyDetector,
  utilizationDetector,
  activeRequestScorer,
  endpointAttributeScorer,
  headerLabelAffinityScorer,
  kvCacheUtilizationScorer,
  loadAwareScorer,
  loraAffinityScorer,
  multiclusterKvCacheUtilizationScorer,
  multiclusterQueueScorer,
  noHitLruScorer,
  prefixCacheScorer,
  queueScorer,
  runningRequestsSizeScorer,
  sessionAffinityScorer,
  tokenLoadScorer,
  topologyAffinityScorer,
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
