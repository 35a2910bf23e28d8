/**
 * Load of every kind for a while, straight at the ext_proc port: whole and streamed exchanges, prompts of 1 kB to 1 MB,
 * clients that leave at any point, refused requests, endpoints that come and go, new connections. Afterwards everything
 * that was taken must be given back, and memory must not have grown.
 * @module
 */

import { delay, until } from "../support/deadline.ts";
import type { RunningEndpointPicker } from "../support/endpoint-picker.ts";
import { parseExposition, type Sample, sumOf } from "../support/exposition.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { median } from "../support/median.ts";
import { startScrapingPicker } from "./scraping-picker.ts";

export interface SoakOptions {
  readonly seconds: number;
  /** Exchanges a second. */
  readonly rate: number;
  /** Told of each sample. */
  readonly report?: (sample: SoakSample) => void;
}

export interface SoakSample {
  readonly atSeconds: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly openStreams: number;
  readonly openFlights: number;
}

export interface SoakResult {
  readonly exchanges: number;
  /** Exchanges that ended otherwise than their kind says. */
  readonly surprises: readonly string[];
  readonly samples: readonly SoakSample[];
  /** Gauges of what is held, before the load and after it. */
  readonly before: Readonly<Record<string, number>>;
  readonly after: Readonly<Record<string, number>>;
}

const ENDPOINTS = 8;
const TICK_MS = 5;
const SAMPLES = 60;
/** A new connection after so many exchanges. */
const EXCHANGES_PER_CONNECTION = 2_000;
/** Endpoints change after so many exchanges. */
const EXCHANGES_PER_POOL = 1_500;
/** From the last message of a client that leaves to its reset. */
const LEAVE_MS = 2;
const SETTLE_MS = 15_000;
const SURPRISES_MAX = 20;

/** Gauges of what an exchange, a connection or an endpoint holds. */
const HELD: readonly string[] = [
  "endpoint_picker_open_streams",
  "endpoint_picker_open_flights",
  "endpoint_picker_body_bytes_in_flight",
  "endpoint_picker_connections",
  "llm_d_epp_request_running",
  "endpoint_picker_internal_faults_total",
  "endpoint_picker_accounting_repairs_total",
  "endpoint_picker_scraper_thread_restarts_total",
];

type Kind = "plain" | "stream" | "large" | "leave" | "refused" | "headers";
/** How often each kind comes, in turn. */
const KINDS: readonly Kind[] = [
  ...Array<Kind>(8).fill("plain"),
  ...Array<Kind>(4).fill("stream"),
  ...Array<Kind>(3).fill("leave"),
  "refused",
  "headers",
  "large",
];

const HEADERS: readonly (readonly [string, string])[] = [
  [":method", "POST"],
  [":path", "/v1/completions"],
  [":scheme", "http"],
  [":authority", "models.test"],
  ["content-type", "application/json"],
];

function bodyOf(index: number, bytes: number): Buffer {
  const prompt = `${"shared words ".repeat(1 + bytes / 13)}question ${index}`;
  return Buffer.from(
    JSON.stringify({ model: `model-${index % 5}`, stream: index % 2 === 1, prompt }),
  );
}

async function exchange(client: ExtProcClient, kind: Kind, index: number): Promise<void> {
  const stream = client.open();
  try {
    if (kind === "headers") {
      stream.sendRequestHeaders(
        [
          [":method", "GET"],
          [":path", "/v1/models"],
        ],
        true,
      );
      if ((await stream.next())?.requestHeaders == null) throw new Error("no header reply");
    } else if (kind === "refused") {
      stream.sendRequestHeaders(HEADERS, false);
      stream.sendRequestBody(Buffer.from("not json"), true);
      if ((await stream.next())?.immediateResponse == null) throw new Error("was not refused");
      return;
    } else if (!(await request(stream, kind, index))) {
      return;
    }
    await response(stream, kind, index);
  } finally {
    // A Node client that cancels in the turn of its first writes sends those, and never the reset.
    if (kind === "leave") await delay(LEAVE_MS);
    stream.cancel();
    await stream.closed;
  }
}

type Stream = ReturnType<ExtProcClient["open"]>;

/** @returns false when the client has left */
async function request(stream: Stream, kind: Kind, index: number): Promise<boolean> {
  const leavesAt = kind === "leave" ? index % 4 : -1;
  const size = kind === "large" ? 1_000_000 : 1_000 + (index % 7) * 1_500;
  stream.sendRequestHeaders(HEADERS, false);
  if (leavesAt === 0) return false;
  const body = bodyOf(index, size);
  const half = body.length >> 1;
  stream.sendRequestBody(body.subarray(0, half), false);
  if (leavesAt === 1) return false;
  stream.sendRequestBody(body.subarray(half), index % 3 !== 0);
  if (index % 3 === 0) stream.sendRequestTrailers([["x-last", "1"]]);
  if (leavesAt === 2) return false;
  if ((await stream.next())?.requestHeaders == null) throw new Error("no destination");
  for (let received = 0; received < body.length; ) {
    const piece = (await stream.next())?.requestBody?.response?.bodyMutation?.streamedResponse;
    if (piece == null) throw new Error("the body did not come back");
    received += piece.body?.length ?? 0;
  }
  if (index % 3 === 0 && (await stream.next())?.requestTrailers == null) {
    throw new Error("no reply to trailers");
  }
  return leavesAt !== 3;
}

async function response(stream: Stream, kind: Kind, index: number): Promise<void> {
  stream.sendResponseHeaders([[":status", index % 50 === 0 ? "500" : "200"]], false);
  await stream.next();
  const chunks = kind === "stream" ? 30 : 1;
  for (let i = 1; i <= chunks; i++) {
    stream.sendResponseBody(Buffer.from(`data: {"i":${i}}\n\n`), i === chunks);
    if ((await stream.next())?.responseBody == null) throw new Error("no reply to a chunk");
  }
}

async function samplesOf(picker: RunningEndpointPicker): Promise<Sample[]> {
  return parseExposition(await picker.metrics());
}

function held(samples: readonly Sample[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const name of HELD) out[name] = sumOf(samples, name) ?? 0;
  for (const type of ["TCPSocketWrap", "Timeout"]) {
    out[`nodejs_active_resources ${type}`] =
      sumOf(samples, "nodejs_active_resources", { type }) ?? 0;
  }
  return out;
}

/** Runs the load and gives what was seen; what to make of it is the caller's. */
export async function soak({ seconds, rate, report }: SoakOptions): Promise<SoakResult> {
  const { picker, endpoints, end } = await startScrapingPicker(ENDPOINTS);
  const surprises: string[] = [];
  const samples: SoakSample[] = [];
  try {
    const before = held(await samplesOf(picker));
    const total = Math.round(seconds * rate);
    let client = new ExtProcClient(picker.address);
    const open = new Set<Promise<void>>();
    const begin = performance.now();
    let nextSample = seconds / SAMPLES;
    for (let index = 0; index < total; ) {
      const elapsed = (performance.now() - begin) / 1000;
      for (const due = Math.min(total, Math.floor(elapsed * rate) + 1); index < due; index++) {
        if (index % EXCHANGES_PER_CONNECTION === EXCHANGES_PER_CONNECTION - 1) {
          const former = client;
          client = new ExtProcClient(picker.address);
          void Promise.allSettled([...open]).then(() => former.close());
        }
        if (index % EXCHANGES_PER_POOL === EXCHANGES_PER_POOL - 1) {
          const isSmall = Math.floor(index / EXCHANGES_PER_POOL) % 2 === 0;
          await picker.setEndpoints(isSmall ? endpoints.slice(2) : endpoints);
        }
        const kind = KINDS[index % KINDS.length]!;
        const one: Promise<void> = exchange(client, kind, index)
          .catch((error: Error) => {
            if (surprises.length < SURPRISES_MAX) surprises.push(`${kind}: ${error.message}`);
          })
          .finally(() => open.delete(one));
        open.add(one);
      }
      if (elapsed >= nextSample) {
        nextSample += seconds / SAMPLES;
        const sample = sampleOf(elapsed, await samplesOf(picker));
        samples.push(sample);
        report?.(sample);
      }
      await delay(TICK_MS);
    }
    await Promise.all(open);
    client.close();
    await picker.setEndpoints(endpoints);
    const after = await settled(picker, before);
    return { exchanges: total, surprises, samples, before, after };
  } finally {
    await end();
  }
}

function sampleOf(atSeconds: number, samples: readonly Sample[]): SoakSample {
  const value = (name: string): number => sumOf(samples, name) ?? Number.NaN;
  return {
    atSeconds,
    rssBytes: value("process_resident_memory_bytes"),
    heapBytes: value("nodejs_heap_size_used_bytes"),
    externalBytes: value("nodejs_external_memory_bytes"),
    openStreams: value("endpoint_picker_open_streams"),
    openFlights: value("endpoint_picker_open_flights"),
  };
}

/** Waits until the gauges are as they were, but not for ever. */
async function settled(
  picker: RunningEndpointPicker,
  before: Readonly<Record<string, number>>,
): Promise<Record<string, number>> {
  let after: Record<string, number> = {};
  const isSame = async (): Promise<true | null> => {
    after = held(await samplesOf(picker));
    return keptNames(before, after).length === 0 ? true : null;
  };
  await until(isSame, SETTLE_MS, "gauges as before").catch(() => undefined); // the caller compares
  return after;
}

/** Names of what is held in greater number than before. */
export function keptNames(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): string[] {
  return Object.keys(before).filter((name) => (after[name] ?? 0) > before[name]!);
}

/**
 * Median of the last fifth against the greatest of the first two fifths, in which caches fill: above 1, memory has grown
 * beyond what it has been.
 */
export function memoryGrowth(samples: readonly SoakSample[]): { rss: number; heap: number } {
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  const ratio = (key: "rssBytes" | "heapBytes"): number =>
    median(samples.slice(-fifth).map((sample) => sample[key])) /
    Math.max(...samples.slice(0, 2 * fifth).map((sample) => sample[key]));
  return { rss: ratio("rssBytes"), heap: ratio("heapBytes") };
}
