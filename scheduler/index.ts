/**
 * API boundary of the core: what ingress, scrapers, simulator and tests may use.
 * @module
 */
export { buildScheduler, ConfigError, type SchedulerDependencies } from "./build.ts";
export { Candidates } from "./candidates.ts";
export { type Clock, ManualClock } from "./clock.ts";
export { defaultDocument } from "./config/default-document.ts";
export {
  type OuterDefinition,
  type OuterKind,
  type OuterRegistry,
  type PluginRegistry,
  type ResolveResult,
  resolveConfig,
} from "./config/resolve.ts";
export type {
  ConfigProblem,
  OuterPlugin,
  ResolvedConfig,
  ResolvedPlugin,
  ResolvedProfile,
  ResolvedUse,
} from "./config/resolved.ts";
export { didYouMean } from "./config/schema.ts";
export * from "./data.ts";
export { type Decision, DecisionRecorder, type ProfileDecision } from "./decision.ts";
export {
  type EndpointColumns,
  type EndpointMetadata,
  EndpointPool,
  formatHostPort,
  Known,
  type PoolObserver,
} from "./endpoints.ts";
export {
  type Charge,
  type EndCause,
  Flight,
  type FlightState,
  type StagesDecision,
} from "./flight.ts";
export { limits } from "./limits.ts";
export { hashName, hashNameBytes, type NameHash } from "./name-hash.ts";
export { type Outcome, REJECTIONS, type Rejection, type RejectReason } from "./outcome.ts";
export * from "./plugin.ts";
export { definitions, pluginRegistry } from "./plugins.ts";
export * from "./prefix/block-hash.ts";
export type { TokenEstimate } from "./producers/token-producer.ts";
export { nextInt, type Random, SeededRandom } from "./random.ts";
export { type BlockHashes, InferenceRequest, type RequestFacts } from "./request.ts";
export { type ProducerState, Scheduler, type SchedulerStats } from "./scheduler.ts";
export type { SubsetHint } from "./subset.ts";
