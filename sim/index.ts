/**
 * API boundary of the model-server emulator.
 * @module
 */
export {
  DEMO_ENGINE,
  type Emulator,
  type EmulatorLimits,
  type EmulatorOptions,
  startEmulator,
} from "./emulator/server.ts";
export {
  Engine,
  type EngineConfig,
  type EngineRequest,
  type EngineSink,
  type EngineStats,
  type Rejection,
} from "./engine.ts";
export { type StepProfile, type StepProfileName, stepMs, stepProfiles } from "./step-time.ts";
