/**
 * SGLang (started with `--enable-metrics`).
 * Source: sglang: python/sglang/srt/metrics/collector.py.
 * @module
 */
import { type EngineDefinition, metric, NOTHING_REPORTED } from "./engine.ts";

export const sglang: EngineDefinition = {
  ...NOTHING_REPORTED,
  name: "sglang",
  familyPrefix: "sglang:",
  waiting: [metric("sglang:num_queue_reqs")],
  running: [metric("sglang:num_running_reqs")],
  kvUtilization: [metric("sglang:token_usage")],
  cacheInfo: [
    {
      metric: metric("sglang:cache_config_info"),
      blockSizeLabel: "page_size",
      blocksLabel: "num_pages",
    },
  ],
};
