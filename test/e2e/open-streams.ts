/**
 * Thousands of exchanges open at a time against the real process: what one costs in memory, whether that stays, and whether
 * everything is given back.
 * @module
 */
import { until } from "../support/deadline.ts";
import type { RunningEndpointPicker } from "../support/endpoint-picker.ts";
import { parseExposition, sumOf } from "../support/exposition.ts";
import { median } from "../support/median.ts";
import { HeldStreams } from "./held-streams.ts";
import { type MemorySample, rssSlope, sampleMemory } from "./process-figures.ts";
import { startScrapingPicker } from "./scraping-picker.ts";

export interface OpenStreamsOptions {
  readonly streams: number;
  readonly connections: number;
  /** How long they are held once all are open. */
  readonly seconds: number;
  /** From one chunk of an exchange to its next. */
  readonly chunkIntervalMs: number;
  readonly sampleMs: number;
  /** Told of each sample while they are held. */
  readonly report?: (sample: MemorySample, held: number, failed: number) => void;
}

export interface OpenStreamsResult {
  readonly openedInMs: number;
  /** Medians before, and right after opening; of the heap the least, so that garbage does not count. */
  readonly rssBytesBefore: number;
  readonly rssBytesOpen: number;
  readonly rssBytesPerStream: number;
  readonly heapBytesPerStream: number;
  readonly rssMbPerMinute: number;
  readonly failed: number;
  readonly reasons: readonly string[];
  /** Gauges of what an exchange holds, after all were closed. */
  readonly after: Readonly<Record<string, number>>;
}

const ENDPOINTS = 8;
/** Exchanges before the first sample, so that code that is compiled and memory that is kept do not count. */
const WARM_UP_STREAMS = 500;
const BASE_SAMPLES = 3;
const SETTLE_MS = 15_000;
const HELD_BY_EXCHANGES = [
  "endpoint_picker_open_streams",
  "endpoint_picker_open_flights",
  "endpoint_picker_body_bytes_in_flight",
  "llm_d_epp_request_running",
] as const;

async function heldGauges(picker: RunningEndpointPicker): Promise<Record<string, number>> {
  const page = parseExposition(await picker.metrics());
  return Object.fromEntries(HELD_BY_EXCHANGES.map((name) => [name, sumOf(page, name) ?? 0]));
}

/** Waits until nothing is held any more, but not for ever. */
async function settled(picker: RunningEndpointPicker): Promise<Record<string, number>> {
  let gauges: Record<string, number> = {};
  const isEmpty = async (): Promise<true | null> => {
    gauges = await heldGauges(picker);
    return Object.values(gauges).every((value) => value === 0) ? true : null;
  };
  await until(isEmpty, SETTLE_MS, "gauges at 0").catch(() => undefined); // the caller compares
  return gauges;
}

async function sampleWhile(
  work: Promise<void>,
  picker: RunningEndpointPicker,
  sampleMs: number,
  onSample: (sample: MemorySample) => void,
): Promise<void> {
  let isDone = false;
  const end = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    onSample(await sampleMemory(picker));
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, sampleMs);
    });
    await Promise.race([pause, end]);
    clearTimeout(timer);
  }
  await end;
}

/** Opens, holds and closes the streams; what to make of the figures is the caller's. */
export async function openStreams(options: OpenStreamsOptions): Promise<OpenStreamsResult> {
  const { streams, connections, seconds, chunkIntervalMs, sampleMs, report } = options;
  const { picker, end } = await startScrapingPicker(ENDPOINTS);
  try {
    const held = await HeldStreams.connect(picker.ports.grpc, connections);
    await held.open(Math.min(WARM_UP_STREAMS, streams));
    await held.close();
    const before: MemorySample[] = [];
    const baseMs = (BASE_SAMPLES - 0.5) * sampleMs;
    await sampleWhile(held.hold(baseMs, chunkIntervalMs), picker, sampleMs, (sample) =>
      before.push(sample),
    );

    const openingAtMs = performance.now();
    await held.open(streams);
    const openedInMs = performance.now() - openingAtMs;
    const samples: MemorySample[] = [];
    await sampleWhile(held.hold(seconds * 1000, chunkIntervalMs), picker, sampleMs, (sample) => {
      samples.push(sample);
      report?.(sample, held.held, held.failed);
    });

    await held.close();
    const after = await settled(picker);
    held.disconnect();
    const rssBytesBefore = median(before.map(({ rssBytes }) => rssBytes));
    const rssBytesOpen = median(samples.slice(0, BASE_SAMPLES).map(({ rssBytes }) => rssBytes));
    const leastHeap = (of: readonly MemorySample[]): number =>
      Math.min(...of.map(({ heapBytes }) => heapBytes));
    return {
      openedInMs,
      rssBytesBefore,
      rssBytesOpen,
      rssBytesPerStream: (rssBytesOpen - rssBytesBefore) / streams,
      heapBytesPerStream: (leastHeap(samples) - leastHeap(before)) / streams,
      rssMbPerMinute: rssSlope(samples),
      failed: held.failed,
      reasons: held.reasons,
      after,
    };
  } finally {
    await end();
  }
}
