/**
 * vLLM: names of the V1 engine, with those of releases before 0.9 behind them.
 * Source: vllm: vllm/v1/metrics/loggers.py.
 * @module
 */
import { type EngineDefinition, metric } from "./engine.ts";

export const vllm: EngineDefinition = {
  name: "vllm",
  familyPrefix: "vllm:",
  waiting: [metric("vllm:num_requests_waiting")],
  running: [metric("vllm:num_requests_running")],
  kvUtilization: [metric("vllm:kv_cache_usage_perc"), metric("vllm:gpu_cache_usage_perc")],
  adapters: [metric("vllm:lora_requests_info")],
  cacheInfo: [
    {
      metric: metric("vllm:cache_config_info"),
      blockSizeLabel: "block_size",
      blocksLabel: "num_gpu_blocks",
    },
  ],
  cacheBlockSize: [],
  cacheBlocks: [],
};
