/**
 * CPU a request of the whole endpoint-picker process, pick latency and memory, against a server on @grpc/grpc-js that
 * decides nothing (echo-picker.ts): the same exchanges, as Envoy plays them in full-duplex mode, in turns.
 *
 * The picker scrapes 8 endpoints at 20 Hz meanwhile, and that is counted. Latencies hold the load generator's own time.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { delay } from "../../support/deadline.ts";
import { type RunningEndpointPicker, startEndpointPicker } from "../../support/endpoint-picker.ts";
import { parseExposition, sumOf } from "../../support/exposition.ts";
import { ExtProcClient } from "../../support/ext-proc-client.ts";
import { median } from "../../support/median.ts";
import { serveMetricsPages } from "../../support/metrics-page.ts";

const ENDPOINTS = 8;
const WARM_UP_SECONDS = 2;
const WINDOW_SECONDS = 4;
const ROUNDS = 3;
/** Body bytes of a message, as Envoy reads them from its socket. */
const CHUNK_BYTES = 16_384;
const TICK_MS = 2;
const DISTINCT_BODIES = 64;

interface Load {
  readonly name: string;
  readonly bodyBytes: number;
  readonly responseChunks: number;
  /** Requests a second. */
  readonly rate: number;
}

const LOADS: readonly Load[] = [
  { name: "1 kB", bodyBytes: 1_000, responseChunks: 4, rate: 200 },
  { name: "8 kB", bodyBytes: 8_000, responseChunks: 4, rate: 200 },
  { name: "64 kB", bodyBytes: 64_000, responseChunks: 4, rate: 100 },
  { name: "8 kB, 100 chunks back", bodyBytes: 8_000, responseChunks: 100, rate: 100 },
];

interface Usage {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/** A server under load. */
interface Subject {
  readonly client: ExtProcClient;
  usage(): Promise<Usage>;
}

interface Round {
  readonly cpuMsPerRequest: number;
  readonly pickMs: readonly number[];
  readonly rssBytes: number;
}

function bodies(bodyBytes: number): Buffer[] {
  return Array.from({ length: DISTINCT_BODIES }, (_, i) => {
    const prefix = `shared prefix ${i % 8} `.repeat(1 + bodyBytes / 32);
    const room = bodyBytes - JSON.stringify({ model: "m", prompt: "" }).length;
    return Buffer.from(
      JSON.stringify({ model: "m", prompt: `${prefix}question ${i}`.slice(-room) }),
    );
  });
}

const HEADERS: readonly (readonly [string, string])[] = [
  [":method", "POST"],
  [":path", "/v1/completions"],
  [":scheme", "http"],
  [":authority", "models.test"],
  ["content-type", "application/json"],
  ["user-agent", "bench"],
  ["x-request-id", "00000000-0000-4000-8000-000000000000"],
];
const PIECE = Buffer.from(`data: ${"x".repeat(150)}\n\n`);

/** One exchange. @returns milliseconds from the last body byte to the destination */
async function exchange(client: ExtProcClient, body: Buffer, load: Load): Promise<number> {
  const stream = client.open();
  stream.sendRequestHeaders(HEADERS, false);
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    stream.sendRequestBody(body.subarray(at, at + CHUNK_BYTES), false);
  }
  const sentMs = performance.now();
  stream.sendRequestBody(Buffer.alloc(0), true);
  const first = await stream.next();
  const pickMs = performance.now() - sentMs;
  if (first?.requestHeaders == null) throw new Error("the first reply is no header reply");
  for (let isLast = false; !isLast; ) {
    const reply = await stream.next();
    const streamed = reply?.requestBody?.response?.bodyMutation?.streamedResponse;
    if (streamed == null) throw new Error("the body did not come back whole");
    isLast = streamed.endOfStream === true;
  }
  stream.sendResponseHeaders([[":status", "200"]], false);
  await stream.next();
  for (let i = 1; i <= load.responseChunks; i++) {
    stream.sendResponseBody(PIECE, i === load.responseChunks);
    await stream.next();
  }
  stream.cancel();
  await stream.closed;
  return pickMs;
}

/** Open loop: requests leave on schedule whatever the answers do. */
async function play(client: ExtProcClient, load: Load, seconds: number): Promise<number[]> {
  const prompts = bodies(load.bodyBytes);
  const total = Math.round(load.rate * seconds);
  const open: Promise<number>[] = [];
  const begin = performance.now();
  while (open.length < total) {
    const due = Math.min(total, ((performance.now() - begin) * load.rate) / 1000 + 1);
    while (open.length < Math.floor(due)) {
      open.push(exchange(client, prompts[open.length % DISTINCT_BODIES]!, load));
    }
    await delay(TICK_MS);
  }
  return await Promise.all(open);
}

async function measure({ client, usage }: Subject, load: Load): Promise<Round> {
  await play(client, load, WARM_UP_SECONDS);
  const before = await usage();
  const pickMs = await play(client, load, WINDOW_SECONDS);
  const after = await usage();
  return {
    cpuMsPerRequest: (after.cpuMs - before.cpuMs) / pickMs.length,
    pickMs,
    rssBytes: after.rssBytes,
  };
}

async function pickerUsage(picker: RunningEndpointPicker): Promise<Usage> {
  const samples = parseExposition(await picker.metrics());
  return {
    cpuMs: (sumOf(samples, "process_cpu_seconds_total") ?? Number.NaN) * 1000,
    rssBytes: sumOf(samples, "process_resident_memory_bytes") ?? Number.NaN,
  };
}

async function startEcho(): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(fileURLToPath(new URL("./echo-picker.js", import.meta.url)));
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return { child, port };
}

async function echoUsage(child: ChildProcess): Promise<Usage> {
  child.send("usage");
  const [usage] = (await once(child, "message")) as [Usage];
  return usage;
}

function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!;
}

/** Figures of all rounds of one subject and load, for the table. */
function row(load: string, server: string, rounds: readonly Round[]): Record<string, unknown> {
  const picks = rounds.flatMap((round) => round.pickMs);
  return {
    load,
    server,
    "CPU ms/request": median(rounds.map((round) => round.cpuMsPerRequest)).toFixed(3),
    "pick p50 ms": percentile(picks, 0.5).toFixed(2),
    "p95 ms": percentile(picks, 0.95).toFixed(2),
    "memory MB": (Math.max(...rounds.map((round) => round.rssBytes)) / 1e6).toFixed(0),
  };
}

/** Prints a row for each load and server, and the ratio of CPU a request. */
export async function run(): Promise<void> {
  const figures = { waiting: 1, running: 3, kvCacheUsage: 0.25, adapters: ["a", "b"] };
  const pages = await serveMetricsPages(
    Array.from({ length: ENDPOINTS }, () => ({ address: "127.0.0.1", port: 0, ...figures })),
  );
  const picker = await startEndpointPicker({
    endpoints: pages.ports.map((port, i) => ({ name: `pod-${i}`, address: "127.0.0.1", port })),
    waitForScrapes: true,
  });
  const echo = await startEcho();
  const ours: Subject = {
    client: new ExtProcClient(picker.address),
    usage: () => pickerUsage(picker),
  };
  const theirs: Subject = {
    client: new ExtProcClient(`127.0.0.1:${echo.port}`),
    usage: () => echoUsage(echo.child),
  };
  try {
    const table: Record<string, unknown>[] = [];
    const ratios: string[] = [];
    for (const load of LOADS) {
      const pairs: [Round, Round][] = [];
      for (let i = 0; i < ROUNDS; i++) {
        pairs.push([await measure(ours, load), await measure(theirs, load)]);
      }
      table.push(
        row(
          load.name,
          "endpoint-picker",
          pairs.map(([round]) => round),
        ),
      );
      table.push(
        row(
          load.name,
          "grpc-js echo",
          pairs.map(([, round]) => round),
        ),
      );
      const ratio = median(pairs.map(([a, b]) => a.cpuMsPerRequest / b.cpuMsPerRequest));
      ratios.push(`${load.name}: ${ratio.toFixed(2)}`);
    }
    console.table(table);
    console.log(
      `CPU a request, ratio to a grpc-js server that decides nothing: ${ratios.join(" · ")}`,
    );
  } finally {
    ours.client.close();
    theirs.client.close();
    echo.child.disconnect();
    await picker.kill();
    await pages.close();
  }
}
