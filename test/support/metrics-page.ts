/**
 * Servers that look like vLLM to a scraper: a `/metrics` page with given figures on a given address, nothing else.
 * @module
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** One page; figures as vLLM reports them. */
export interface PageFigures {
  readonly address: string;
  readonly port: number;
  readonly waiting: number;
  readonly running: number;
  /** Ratio 0..1. */
  readonly kvCacheUsage: number;
  /** Running adapters; `max_lora` equals their number, so that no slot is free. */
  readonly adapters: readonly string[];
}

export function renderPage(figures: Omit<PageFigures, "address" | "port">): string {
  const { adapters } = figures;
  return [
    "# TYPE vllm:num_requests_waiting gauge",
    `vllm:num_requests_waiting{model_name="base"} ${figures.waiting}`,
    "# TYPE vllm:num_requests_running gauge",
    `vllm:num_requests_running{model_name="base"} ${figures.running}`,
    "# TYPE vllm:kv_cache_usage_perc gauge",
    `vllm:kv_cache_usage_perc{model_name="base"} ${figures.kvCacheUsage}`,
    "# TYPE vllm:lora_requests_info gauge",
    `vllm:lora_requests_info{max_lora="${adapters.length}",running_lora_adapters="${adapters.join(",")}",` +
      `waiting_lora_adapters=""} ${Date.now() / 1000}`,
    "",
  ].join("\n");
}

/** Serves one page per figure set, on any free port where the port is 0. Close is immediate: scrapers are cut off. */
export async function serveMetricsPages(
  pages: readonly PageFigures[],
): Promise<{ readonly ports: readonly number[]; close(): Promise<void> }> {
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  };
  try {
    for (const figures of pages) {
      const server = createServer((request, response) => {
        if (request.url !== "/metrics") {
          response.writeHead(404, { "content-length": 0 }).end();
          return;
        }
        const page = renderPage(figures);
        response.writeHead(200, {
          "content-type": "text/plain; version=0.0.4",
          "content-length": Buffer.byteLength(page),
        });
        response.end(page);
      });
      servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(figures.port, figures.address, resolve);
      });
    }
    return { ports: servers.map((server) => (server.address() as AddressInfo).port), close };
  } catch (error) {
    await close();
    throw error;
  }
}
