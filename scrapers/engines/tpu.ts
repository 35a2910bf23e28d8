/**
 * Servers on TPU: vLLM, which keeps its names there, and JetStream.
 * @module
 */
import { type EngineDefinition, metric, NOTHING_REPORTED } from "./engine.ts";
import { vllm } from "./vllm.ts";

/** `num_gpu_blocks` counts HBM pages there; older builds have only `vllm:gpu_cache_usage_perc`. */
export const vllmTpu: EngineDefinition = { ...vllm, name: "vllm-tpu" };

export const jetstream: EngineDefinition = {
  ...NOTHING_REPORTED,
  name: "jetstream",
  familyPrefix: "jetstream_",
  waiting: [metric("jetstream_prefill_backlog_size")],
  kvUtilization: [metric("jetstream_slots_used_percentage")],
};
