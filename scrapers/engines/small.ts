/**
 * Servers with a handful of families: llama.cpp and Text Generation Inference.
 * @module
 */
import { type EngineDefinition, metric, NOTHING_REPORTED } from "./engine.ts";

/** Started with `--metrics`; the KV ratio is only in old releases. */
export const llamacpp: EngineDefinition = {
  ...NOTHING_REPORTED,
  name: "llamacpp",
  familyPrefix: "llamacpp:",
  waiting: [metric("llamacpp:requests_deferred")],
  running: [metric("llamacpp:requests_processing")],
  kvUtilization: [metric("llamacpp:kv_cache_usage_ratio")],
};

export const tgi: EngineDefinition = {
  ...NOTHING_REPORTED,
  name: "tgi",
  familyPrefix: "tgi_",
  waiting: [metric("tgi_queue_size")],
  running: [metric("tgi_batch_current_size")],
};
