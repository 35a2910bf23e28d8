/**
 * What the servers report while traffic runs, and the board that shows it: redrawn in place on a terminal, printed every
 * few seconds elsewhere.
 * @module
 */
import type { ServerAddress } from "../support/emulated-servers.ts";
import { parseExposition, sumOf } from "../support/exposition.ts";
import { type ChatFigures, percentile } from "./chat-client.ts";

/** What one model server said last. */
export interface ServerReport {
  /** As in x-served-by. */
  readonly name: string;
  readonly running: number;
  readonly waiting: number;
  /** Ratio 0..1. */
  readonly kvCacheUsage: number;
  readonly adapters: string;
  /** Tokens looked up in and found in the prefix cache since the server started. */
  readonly prefixQueries: number;
  readonly prefixHits: number;
  readonly adapterLoads: number;
}

/** Reads a server's metrics page. */
export async function readReport({ address, name }: ServerAddress): Promise<ServerReport> {
  const response = await fetch(`http://${address}/metrics`, {
    signal: AbortSignal.timeout(2_000),
  });
  const samples = parseExposition(await response.text());
  const figure = (family: string): number => sumOf(samples, family) ?? 0;
  // The newest series of the info family is the one in force; its value is its time.
  const adapters = samples
    .filter((sample) => sample.name === "vllm:lora_requests_info")
    .sort((a, b) => b.value - a.value)[0]?.labels["running_lora_adapters"];
  return {
    name,
    running: figure("vllm:num_requests_running"),
    waiting: figure("vllm:num_requests_waiting"),
    kvCacheUsage: figure("vllm:kv_cache_usage_perc"),
    adapters: adapters ?? "",
    prefixQueries: figure("vllm:prefix_cache_queries_total"),
    prefixHits: figure("vllm:prefix_cache_hits_total"),
    adapterLoads: figure("emulator:lora_loads_total"),
  };
}

/** Share of looked-up prompt tokens that the servers found in their caches, ratio; 0 before the first lookup. */
export function prefixHitRatio(reports: readonly ServerReport[]): number {
  let queries = 0;
  let hits = 0;
  for (const report of reports) {
    queries += report.prefixQueries;
    hits += report.prefixHits;
  }
  return queries === 0 ? 0 : hits / queries;
}

/** Without a terminal the board is printed this often. */
const LOG_INTERVAL_MS = 5_000;

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}

const HEAD = "  server               picks  running  waiting      KV  prefix hits  adapters in use";

export class Board {
  readonly #title: string;
  readonly #seconds: number;
  readonly #inPlace = process.stdout.isTTY === true;
  #drawnLines = 0;
  #drawnAtMs = 0;

  /** @param title of the arm; @param seconds that it runs */
  constructor(title: string, seconds: number) {
    this.#title = title;
    this.#seconds = seconds;
  }

  /** Shows the state at a time; without a terminal most calls print nothing. */
  draw(elapsedMs: number, reports: readonly ServerReport[], figures: ChatFigures): void {
    const clock = `${Math.min(this.#seconds, Math.round(elapsedMs / 1000))} of ${this.#seconds} s`;
    const lines = [
      `${this.#title} · ${clock}`,
      ...table(reports, figures),
      summary(reports, figures),
    ];
    if (this.#inPlace) {
      this.#redraw(lines);
    } else if (elapsedMs - this.#drawnAtMs >= LOG_INTERVAL_MS) {
      this.#drawnAtMs = elapsedMs;
      console.log(lines.join("\n"));
    }
  }

  #redraw(lines: readonly string[]): void {
    // A terminal that does not say how wide it is has 0 columns.
    const width = process.stdout.columns || 120;
    // A line that wraps would break the count of lines to go back.
    const text = lines.map((line) => line.slice(0, width - 1)).join("\n");
    const back = this.#drawnLines === 0 ? "" : `\u001b[${this.#drawnLines}A\u001b[J`;
    process.stdout.write(`${back}${text}\n`);
    this.#drawnLines = lines.length;
  }
}

function summary(reports: readonly ServerReport[], figures: ChatFigures): string {
  return (
    `  requests ${figures.sent}, errors ${figures.errors}, ` +
    `TTFT p50 ${percentile(figures.ttftMs, 0.5).toFixed(0)} ms, ` +
    `p95 ${percentile(figures.ttftMs, 0.95).toFixed(0)} ms, ` +
    `prefix hits ${percent(prefixHitRatio(reports))}`
  );
}

function table(reports: readonly ServerReport[], figures: ChatFigures): string[] {
  const rows = reports.map((report) => {
    const picks = figures.picks.get(report.name) ?? 0;
    const hits = prefixHitRatio([report]);
    return (
      `  ${report.name.padEnd(17)}${String(picks).padStart(9)}${String(report.running).padStart(9)}` +
      `${String(report.waiting).padStart(9)}${percent(report.kvCacheUsage).padStart(8)}` +
      `${percent(hits).padStart(13)}  ${report.adapters}`
    );
  });
  return [HEAD, ...rows];
}
