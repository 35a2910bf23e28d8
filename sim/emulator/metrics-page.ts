/**
 * The metrics page of an emulated server, in the names and the format of vLLM's exporter.
 * @module
 */
import type { Engine } from "../engine.ts";

const TTFT_BOUNDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];

/** Distribution of the time to first token. */
export class TtftHistogram {
  readonly #counts = new Float64Array(TTFT_BOUNDS.length + 1);
  #sum = 0;
  #count = 0;

  observe(seconds: number): void {
    const at = TTFT_BOUNDS.findIndex((bound) => seconds <= bound);
    const bucket = at < 0 ? TTFT_BOUNDS.length : at;
    this.#counts[bucket] = this.#counts[bucket]! + 1;
    this.#sum += seconds;
    this.#count++;
  }

  render(name: string, labels: string): string {
    let text = "";
    let cumulative = 0;
    TTFT_BOUNDS.forEach((bound, i) => {
      cumulative += this.#counts[i]!;
      text += `${name}_bucket{${labels},le="${float(bound)}"} ${float(cumulative)}\n`;
    });
    text += `${name}_bucket{${labels},le="+Inf"} ${float(this.#count)}\n`;
    return `${text}${name}_count{${labels}} ${float(this.#count)}\n${name}_sum{${labels}} ${this.#sum}\n`;
  }
}

/** A number as Python prints a float. */
export function float(value: number): string {
  if (!Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1e16 ? value.toExponential() : `${value}.0`;
}

export interface MetricsPageInput {
  readonly model: string;
  readonly engine: Engine;
  readonly ttft: TtftHistogram;
  /** Requests that ended, by finish reason. */
  readonly finished: ReadonlyMap<string, number>;
  /** Seconds since 1970, for the info family. */
  readonly nowSeconds: number;
}

export function metricsPage({
  engine,
  finished,
  model,
  nowSeconds,
  ttft,
}: MetricsPageInput): string {
  const stats = engine.stats();
  const { config } = engine;
  const labels = `engine="0",model_name="${model}"`;
  const inUse = engine.adaptersInUse();
  const family = (name: string, type: string, help: string, samples: string): string =>
    `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples}`;
  const gauge = (name: string, help: string, value: number): string =>
    family(name, "gauge", help, `${name}{${labels}} ${float(value)}\n`);
  const counter = (name: string, help: string, value: number): string =>
    family(name, "counter", help, `${name}_total{${labels}} ${float(value)}\n`);
  let success = "";
  for (const [reason, count] of finished) {
    success += `vllm:request_success_total{engine="0",finished_reason="${reason}",model_name="${model}"} ${float(count)}\n`;
  }
  return (
    gauge("vllm:num_requests_running", "Requests in the batch.", stats.running) +
    gauge("vllm:num_requests_waiting", "Requests waiting.", stats.waiting) +
    gauge("vllm:kv_cache_usage_perc", "KV-cache usage, 1 = full.", stats.kvUtilization) +
    counter("vllm:prefix_cache_queries", "Tokens looked up.", stats.prefixQueryTokens) +
    counter("vllm:prefix_cache_hits", "Tokens found.", stats.prefixHitTokens) +
    counter("vllm:num_preemptions", "Preemptions.", stats.preemptions) +
    counter("vllm:prompt_tokens", "Prompt tokens.", stats.promptTokensTotal) +
    counter("vllm:generation_tokens", "Generated tokens.", stats.generatedTokensTotal) +
    family("vllm:request_success", "counter", "Ended requests.", success) +
    family(
      "vllm:lora_requests_info",
      "gauge",
      "Adapters of running and waiting requests.",
      config.adapterSlots === 0
        ? ""
        : `vllm:lora_requests_info{max_lora="${config.adapterSlots}",running_lora_adapters="${inUse.running.join(",")}",waiting_lora_adapters="${inUse.waiting.join(",")}"} ${nowSeconds}\n`,
    ) +
    family(
      "vllm:cache_config_info",
      "gauge",
      "Cache configuration.",
      `vllm:cache_config_info{block_size="${config.blockSizeTokens}",engine="0",num_gpu_blocks="${config.blocks}"} 1.0\n`,
    ) +
    counter("emulator:lora_loads", "Adapter loads.", stats.adapterLoads) +
    family(
      "vllm:time_to_first_token_seconds",
      "histogram",
      "Time to first token.",
      ttft.render("vllm:time_to_first_token_seconds", labels),
    )
  );
}
