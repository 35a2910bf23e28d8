/**
 * Cost of scraping a fleet of 100 at 20 Hz: CPU of the whole process per scrape, scraper thread against the plain way
 * (undici's request and a full parse) at the same cadence, in turns.
 *
 * The fake model servers are one child process (this file, run by itself), so that their work is not counted.
 * @module
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";
import { vllm } from "../../../scrapers/engines/vllm.ts";
import { EndpointRow, SCRAPE_INTERVAL_MS_MIN, startScrapers } from "../../../scrapers/index.ts";
import { startChild } from "../../support/child.ts";
import { delay, within } from "../../support/deadline.ts";
import { inPackage } from "../../support/paths.ts";
import { parsePage, referenceFacts } from "../../support/reference-metrics.ts";

const PAGE = inPackage("test", "fixtures", "metrics", "vllm-v1-lora.prom");
const WARM_UP_MS = 1500;
const ROUNDS = 3;
const CHILD_WORD = "serve";
const ENDPOINTS = 100;
const WINDOW_SECONDS = 3;

interface Round {
  readonly way: string;
  readonly "scrapes/s": number;
  readonly expected: number;
  readonly "CPU us/scrape": number;
  readonly cores: number;
}

/** Answers each request on `count` ports with the page; prints the ports as JSON. */
async function serve(count: number): Promise<void> {
  const page = readFileSync(PAGE);
  const head = `HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: ${page.length}\r\n\r\n`;
  const answer = Buffer.concat([Buffer.from(head), page]);
  const servers: Server[] = [];
  for (let i = 0; i < count; i++) {
    const server = createServer((socket) => {
      // One request is one packet here: the scraper waits for the answer before it sends the next.
      socket.on("data", () => socket.write(answer));
      socket.on("error", () => socket.destroy());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
  }
  console.log(JSON.stringify(servers.map((server) => (server.address() as AddressInfo).port)));
}

/** CPU and scrapes of a window. */
async function measure(way: string, ports: number, seconds: number, count: () => number) {
  await delay(WARM_UP_MS);
  const cpu = process.cpuUsage();
  const before = count();
  const startMs = performance.now();
  await delay(seconds * 1000);
  const scrapes = count() - before;
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  return {
    way,
    "scrapes/s": Math.round((scrapes * 1000) / elapsedMs),
    expected: (ports * 1000) / SCRAPE_INTERVAL_MS_MIN,
    "CPU us/scrape": Math.round((10 * (user + system)) / scrapes) / 10,
    cores: Math.round((user + system) / elapsedMs) / 1000,
  } satisfies Round;
}

async function scraperThread(ports: readonly number[], seconds: number): Promise<Round> {
  const scrapers = startScrapers({ threads: 1 });
  for (const [slot, port] of ports.entries()) {
    scrapers.add(slot, 1, {
      id: `default/pod-${slot}`,
      name: `pod-${slot}`,
      namespace: "default",
      address: "127.0.0.1",
      port,
      labels: new Map(),
      rankIndex: 0,
    });
  }
  const row = new EndpointRow();
  const scrapes = (): number => {
    let sum = 0;
    for (const slot of ports.keys()) if (scrapers.table.read(slot, row) >= 0) sum += row.scrapesOk;
    return sum;
  };
  const round = await measure("scraper thread", ports.length, seconds, scrapes);
  await scrapers.stop();
  return round;
}

async function plain(ports: readonly number[], seconds: number): Promise<Round> {
  const pools = ports.map((port) => new Pool(`http://127.0.0.1:${port}`, { connections: 1 }));
  let scrapes = 0;
  const scrape = async (pool: Pool): Promise<void> => {
    const { body } = await pool.request({ path: "/metrics", method: "GET" });
    if (referenceFacts(parsePage(await body.text()), vllm).waiting !== 4)
      throw new Error("waiting");
    scrapes++;
  };
  const timers = pools.map((pool) => setInterval(() => void scrape(pool), SCRAPE_INTERVAL_MS_MIN));
  const round = await measure("request + full parse", ports.length, seconds, () => scrapes);
  for (const timer of timers) clearInterval(timer);
  await delay(WARM_UP_MS); // those under way end
  await Promise.all(pools.map((pool) => pool.destroy()));
  return round;
}

/** Prints a table of the rounds, and the ratio of the medians. */
export async function run(): Promise<void> {
  const child = startChild(process.execPath, [
    fileURLToPath(import.meta.url),
    CHILD_WORD,
    String(ENDPOINTS),
  ]);
  try {
    const line = new Promise<string>((resolve) => child.onLine(resolve));
    const ports = JSON.parse(await within(line, 10_000, "ports of the fake servers")) as number[];
    const ours: Round[] = [];
    const theirs: Round[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      ours.push(await scraperThread(ports, WINDOW_SECONDS));
      theirs.push(await plain(ports, WINDOW_SECONDS));
    }
    console.table([...ours, ...theirs]);
    const ratio = medianCost(theirs) / medianCost(ours);
    console.log(`a scrape costs ${ratio.toFixed(1)} times less than request and full parse`);
  } finally {
    await child.stop();
  }
}

function medianCost(rounds: readonly Round[]): number {
  const costs = rounds.map((round) => round["CPU us/scrape"]).sort((a, b) => a - b);
  return costs[costs.length >> 1]!;
}

if (process.argv[2] === CHILD_WORD) await serve(Number(process.argv[3]));
