/**
 * What the servers report while traffic runs, and the board that shows it: redrawn in place on a terminal, a line
 * every few seconds elsewhere.
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

/** Without a terminal one line this often. */
const LINE_INTERVAL_MS = 5_000;

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}

export class Board {
  readonly #title: string;
  readonly #seconds: number;
  readonly #inPlace = process.stdout.isTTY === true;
  #drawnLines = 0;
  #lineAtMs = 0;

  /** @param title of the arm; @param seconds that it runs */
  constructor(title: string, seconds: number) {
    this.#title = title;
    this.#seconds = seconds;
  }

  /** Shows the state at a time; without a terminal most calls print nothing. */
  draw(elapsedMs: number, reports: readonly ServerReport[], figures: ChatFigures): void {
    const summary =
      `requests ${figures.sent}, errors ${figures.errors}, ` +
      `TTFT p50 ${percentile(figures.ttftMs, 0.5).toFixed(0)} ms, ` +
      `p95 ${percentile(figures.ttftMs, 0.95).toFixed(0)} ms, ` +
      `prefix hits ${percent(prefixHitRatio(reports))}`;
    const clock = `${Math.min(this.#seconds, Math.round(elapsedMs / 1000))} of ${this.#seconds} s`;
    if (!this.#inPlace) {
      if (elapsedMs - this.#lineAtMs < LINE_INTERVAL_MS) return;
      this.#lineAtMs = elapsedMs;
      console.log(`${this.#title} · ${clock} · ${summary}`);
      return;
    }
    const rows = reports.map((report) => {
      const picks = figures.servedBy.get(report.name) ?? 0;
      const hits = prefixHitRatio([report]);
      return (
        `  ${report.name.padEnd(17)}${String(picks).padStart(8)}${String(report.running).padStart(9)}` +
        `${String(report.waiting).padStart(9)}${percent(report.kvCacheUsage).padStart(8)}` +
        `${percent(hits).padStart(13)}  ${report.adapters}`
      );
    });
    this.#redraw([
      `${this.#title} · ${clock}`,
      "  server             answered  running  waiting      KV  prefix hits  adapters",
      ...rows,
      `  ${summary}`,
    ]);
  }

  #redraw(lines: readonly string[]): void {
    const width = process.stdout.columns ?? 120;
    // A line that wraps would break the count of lines to go back.
    const text = lines.map((line) => line.slice(0, width - 1)).join("\n");
    const back = this.#drawnLines === 0 ? "" : `\u001b[${this.#drawnLines}A\u001b[J`;
    process.stdout.write(`${back}${text}\n`);
    this.#drawnLines = lines.length;
  }
}
