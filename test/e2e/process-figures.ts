/**
 * What the kernel and the metrics page say of a running endpoint-picker: memory over time and whether it grows, waits for a core.
 * @module
 */
import { readFile } from "node:fs/promises";
import type { RunningEndpointPicker } from "../support/endpoint-picker.ts";
import { parseExposition, sumOf } from "../support/exposition.ts";
import { median } from "../support/median.ts";

const MB = 1e6;
const MS_PER_MINUTE = 60_000;
const NS_PER_SECOND = 1e9;

export interface MemorySample {
  /** `performance.now()`. */
  readonly atMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/** A field of /proc/PID/status that is given in kB: `VmRSS` now, `VmHWM` the most it has been. */
export async function procBytes(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no ${field}`);
  return Number(kilobytes) * 1024;
}

/** Time in which the main thread of a process was ready to run and had no core, since its start. */
export async function coreWaitSeconds(pid: number): Promise<number> {
  const [, waitNs] = (await readFile(`/proc/${pid}/schedstat`, "utf8")).split(" ");
  return Number(waitNs) / NS_PER_SECOND;
}

export async function sampleMemory(picker: RunningEndpointPicker): Promise<MemorySample> {
  const page = parseExposition(await picker.metrics());
  return {
    atMs: performance.now(),
    rssBytes: await procBytes(picker.pid, "VmRSS"),
    heapBytes: sumOf(page, "nodejs_heap_size_used_bytes") ?? Number.NaN,
  };
}

/**
 * Growth of RSS over the second half of the samples in MB a minute: from the median of its first third to that of its last,
 * so that a garbage collection more or less does not tell.
 */
export function rssSlope(samples: readonly MemorySample[]): number {
  const half = samples.slice(samples.length >> 1);
  const third = Math.max(1, Math.floor(half.length / 3));
  const first = half.slice(0, third);
  const last = half.slice(-third);
  const grown = median(last.map((s) => s.rssBytes)) - median(first.map((s) => s.rssBytes));
  const tookMs = median(last.map((s) => s.atMs)) - median(first.map((s) => s.atMs));
  return grown / MB / (tookMs / MS_PER_MINUTE);
}
