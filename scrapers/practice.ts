/**
 * Practice of a scraper thread: it scrapes a server of its own making until V8 has compiled what scraping needs, which would
 * otherwise happen in the first half minute of service, at a multiple of the CPU (docs/benchmarks.md).
 *
 * Whatever goes wrong here ends the practice and nothing else.
 * @module
 */
import { type AddressInfo, createServer, type Server } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../scheduler/index.ts";
import { EndpointTable } from "./endpoint-table.ts";
import { createCounters, type ScrapeConfig } from "./messages.ts";
import { PageBuffers } from "./page-buffer.ts";
import { ScrapeEndpoint } from "./scrape-endpoint.ts";
import { scrapeSettings } from "./scrape-settings.ts";

export const practiceLimits = {
  /** Scrapes of each of the endpoints. */
  rounds: 700,
  millisecondsMax: 2000,
} as const;

const ENDPOINTS = 4;
const HOST = "127.0.0.1";

/** @returns scrapes that gave facts */
export async function practiceScrapes(config: ScrapeConfig, clock: Clock): Promise<number> {
  const untilMs = clock.nowMs() + practiceLimits.millisecondsMax;
  const server = createServer((socket) => {
    let scrapes = 0;
    socket.on("data", () => socket.write(responseOf(scrapes++)));
    socket.on("error", () => {}); // the scrape fails, and the deadline ends the practice
  });
  const counters = createCounters();
  let endpoints: ScrapeEndpoint[] = [];
  try {
    const port = await listen(server);
    const context = {
      table: EndpointTable.create(ENDPOINTS),
      clock,
      random: () => 0.5,
      counters,
      buffers: new PageBuffers(),
      settings: scrapeSettings({ ...config, scheme: "http", path: null, tls: {} }),
      namesSeen: () => {},
      warn: () => {},
    };
    endpoints = Array.from(
      { length: ENDPOINTS },
      (_, slot) =>
        new ScrapeEndpoint(
          { slot, generation: 1, address: HOST, port, engineLabel: "vllm" },
          context,
        ),
    );
    for (let i = 0; i < practiceLimits.rounds && clock.nowMs() < untilMs; i++) {
      for (const endpoint of endpoints) endpoint.start(clock.nowMs());
      while (endpoints.some(({ isFetching }) => isFetching) && clock.nowMs() < untilMs) {
        await setImmediate();
      }
    }
  } catch {
    // No loopback, no practice.
  } finally {
    for (const endpoint of endpoints) endpoint.stop();
    server.close();
  }
  return counters.scrapesOk;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, HOST, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Numbers move, as they do. */
function responseOf(scrape: number): string {
  const page = pageOf(scrape % 10);
  return (
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" +
    `Date: Thu, 01 Jan 1970 00:00:0${scrape % 10} GMT\r\nContent-Length: ${page.length}\r\n\r\n${page}`
  );
}

function pageOf(n: number): string {
  const labels = `engine="0",model_name="practice"`;
  const families = [
    ["num_requests_running", "gauge", `{${labels}} ${n}.0`],
    ["num_requests_waiting", "gauge", `{${labels}} ${n % 3}.0`],
    ["kv_cache_usage_perc", "gauge", `{${labels}} 0.${n}25`],
    ["cache_config_info", "gauge", `{block_size="16",engine="0",num_gpu_blocks="1000"} 1.0`],
    [
      "lora_requests_info",
      "gauge",
      `{max_lora="4",running_lora_adapters="a${n},b",waiting_lora_adapters="c"} 1.7e9`,
    ],
    ...Array.from({ length: 20 }, (_, i) => [`other_${i}`, "counter", `{${labels}} ${i}e+06`]),
  ];
  return families
    .map(
      ([name, type, sample]) =>
        `# HELP vllm:${name} Text.\n# TYPE vllm:${name} ${type}\nvllm:${name}${sample}\n`,
    )
    .join("");
}
