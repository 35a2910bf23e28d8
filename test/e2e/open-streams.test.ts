/**
 * Two thousand open exchanges for ten seconds in every run of the suite; `npm run e2e:streams` is the long one.
 * @module
 */
import { expect, test } from "vitest";
import { openStreams } from "./open-streams.ts";
import { type MemorySample, rssSlope } from "./process-figures.ts";

/** Several times what is measured: the slack of an RSS that includes garbage is shared by few streams here. */
const RSS_BYTES_PER_STREAM_MAX = 20_000;
const HEAP_BYTES_PER_STREAM_MAX = 10_000;

test("open exchanges cost little, none fails, and all of it is given back", async () => {
  const result = await openStreams({
    streams: 2_000,
    connections: 4,
    seconds: 10,
    chunkIntervalMs: 4_000,
    sampleMs: 500,
  });
  expect(result.reasons).toEqual([]);
  expect(result.failed).toBe(0);
  expect(result.rssBytesPerStream).toBeLessThan(RSS_BYTES_PER_STREAM_MAX);
  expect(result.heapBytesPerStream).toBeLessThan(HEAP_BYTES_PER_STREAM_MAX);
  for (const [name, value] of Object.entries(result.after)) expect(value, name).toBe(0);
});

/** Ten minutes of samples whose RSS is given in MB. */
function samples(rssMb: (minute: number) => number): MemorySample[] {
  return Array.from({ length: 120 }, (_, i) => ({
    atMs: i * 5_000,
    rssBytes: rssMb(i / 12) * 1e6,
    heapBytes: 0,
  }));
}

test("the slope is that of a steady growth, whatever peaks there are", () => {
  const growing = samples((minute) => 200 + 2 * minute + (minute % 1 < 0.2 ? 30 : 0));
  expect(rssSlope(growing)).toBeGreaterThan(1.5);
  expect(rssSlope(growing)).toBeLessThan(2.5);
});

test("the slope of memory that grows at first and then stays is 0", () => {
  expect(rssSlope(samples((minute) => 200 + Math.min(minute, 4) * 20))).toBe(0);
});
