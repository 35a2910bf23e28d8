/**
 * TensorRT-LLM behind its own server (`trtllm-serve`) and behind Triton, and Triton with any other back end.
 * Source: TensorRT-LLM: tensorrt_llm/metrics/collector.py; llm-d-router: core-metrics-extractor mappings.
 * @module
 */
import { type EngineDefinition, metric, NOTHING_REPORTED } from "./engine.ts";

/** Serves its families at `/prometheus/metrics`; its `/metrics` is JSON. */
export const trtllmServe: EngineDefinition = {
  ...NOTHING_REPORTED,
  name: "trtllm-serve",
  familyPrefix: "trtllm_",
  waiting: [metric("trtllm_num_requests_waiting")],
  running: [metric("trtllm_num_requests_running")],
  kvUtilization: [metric("trtllm_kv_cache_utilization")],
  cacheBlockSize: [metric("trtllm_kv_cache_tokens_per_block")],
  cacheBlocks: [metric("trtllm_kv_cache_max_blocks")],
};

export const tritonTensorrtLlm: EngineDefinition = {
  ...NOTHING_REPORTED,
  name: "triton-tensorrt-llm",
  familyPrefix: "nv_trt_llm_",
  waiting: [metric("nv_trt_llm_request_metrics", ["request_type", "waiting"])],
  running: [metric("nv_trt_llm_request_metrics", ["request_type", "scheduled"])],
  kvUtilization: [metric("nv_trt_llm_kv_cache_block_metrics", ["kv_cache_block_type", "fraction"])],
  cacheBlockSize: [
    metric("nv_trt_llm_kv_cache_block_metrics", ["kv_cache_block_type", "tokens_per"]),
  ],
  cacheBlocks: [metric("nv_trt_llm_kv_cache_block_metrics", ["kv_cache_block_type", "max"])],
};

/** No running requests: upstream reads `nv_inference_exec_count`, a counter that only grows. */
export const triton: EngineDefinition = {
  ...NOTHING_REPORTED,
  name: "triton",
  familyPrefix: "nv_inference_",
  waiting: [metric("nv_inference_pending_request_count")],
};
