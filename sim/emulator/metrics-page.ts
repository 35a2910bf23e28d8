/**
 * The metrics page of an emulated server, in the names and the format of vLLM's exporter.
 * @module
 */
import type { Engine } from "../engine.ts";

/** Upper bounds in seconds, as in vLLM. */
const TTFT_BOUNDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640, 2560,
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

  /** The family. */
  render(name: string, labels: string): string {
    let text = "";
    let cumulative = 0;
    TTFT_BOUNDS.forEach((bound, i) => {
      cumulative += this.#counts[i]!;
      text += `${name}_bucket{${labels},le="${float(bound)}"} ${float(cumulative)}\n`;
    });
    text += `${name}_bucket{${labels},le="+Inf"} ${float(this.#count)}\n`;
    text += `${name}_count{${labels}} ${float(this.#count)}\n${name}_sum{${labels}} ${float(this.#sum)}\n`;
    return family(name, "histogram", "Time to first token.", text);
  }
}

/** A number as Python prints a float. */
export function float(value: number): string {
  if (!Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1e16 ? value.toExponential() : `${value}.0`;
}

/** Inside the quotes of a label value. */
function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}

/** Why a request ended. */
export type FinishReason = "length" | "abort";

export interface MetricsPageInput {
  readonly model: string;
  readonly engine: Engine;
  readonly ttft: TtftHistogram;
  /** Requests that ended. */
  readonly finished: Readonly<Record<FinishReason, number>>;
  /** Seconds since 1970, for the info family. */
  readonly nowSeconds: number;
}

function family(name: string, type: string, help: string, samples: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples}`;
}

/** The page; of the series of `lora_requests_info` only the newest is shown, which is the one that counts. */
export function metricsPage(input: MetricsPageInput): string {
  const { engine, finished, nowSeconds, ttft } = input;
  const stats = engine.stats();
  const { adapterSlots, blockSizeTokens, blocks } = engine.config;
  const model = escaped(input.model);
  const labels = `engine="0",model_name="${model}"`;
  const gauge = (name: string, help: string, value: number): string =>
    family(name, "gauge", help, `${name}{${labels}} ${float(value)}\n`);
  const counter = (name: string, help: string, value: number): string =>
    family(name, "counter", help, `${name}{${labels}} ${float(value)}\n`);
  const success = Object.entries(finished).map(
    ([reason, count]) =>
      `vllm:request_success_total{engine="0",finished_reason="${reason}",model_name="${model}"} ${float(count)}\n`,
  );
  return (
    gauge("vllm:num_requests_running", "Requests in the batch.", stats.running) +
    gauge("vllm:num_requests_waiting", "Requests waiting.", stats.waiting) +
    gauge("vllm:kv_cache_usage_perc", "KV-cache usage, 1 = full.", stats.kvUtilization) +
    counter("vllm:prefix_cache_queries_total", "Tokens looked up.", stats.prefixQueryTokens) +
    counter("vllm:prefix_cache_hits_total", "Tokens found.", stats.prefixHitTokens) +
    counter("vllm:num_preemptions_total", "Preemptions.", stats.preemptions) +
    counter("vllm:prompt_tokens_total", "Prompt tokens.", stats.promptTokensTotal) +
    counter("vllm:generation_tokens_total", "Generated tokens.", stats.generatedTokensTotal) +
    family("vllm:request_success_total", "counter", "Ended requests.", success.join("")) +
    ttft.render("vllm:time_to_first_token_seconds", labels) +
    (adapterSlots === 0 ? "" : adaptersFamily(engine, nowSeconds)) +
    family(
      "vllm:cache_config_info",
      "gauge",
      "Cache configuration.",
      `vllm:cache_config_info{block_size="${blockSizeTokens}",engine="0",num_gpu_blocks="${blocks}"} 1.0\n`,
    ) +
    counter("emulator:lora_loads_total", "Adapter loads.", stats.adapterLoads)
  );
}

function adaptersFamily(engine: Engine, nowSeconds: number): string {
  const { running, waiting } = engine.adaptersInUse();
  const list = (names: readonly string[]): string => escaped(names.join(","));
  return family(
    "vllm:lora_requests_info",
    "gauge",
    "Adapters of running and waiting requests.",
    `vllm:lora_requests_info{max_lora="${engine.config.adapterSlots}",running_lora_adapters="${list(running)}",` +
      `waiting_lora_adapters="${list(waiting)}"} ${float(nowSeconds)}\n`,
  );
}
