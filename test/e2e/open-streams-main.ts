/**
 * Many open exchanges by hand: `npm run e2e:streams -- --streams=10000 --minutes=10 [--connections=4]`. Ends with 1 when one
 * of them fails, memory grows while they are held, or something is not given back.
 * @module
 */
import { parseArgs } from "node:util";
import { openStreams } from "./open-streams.ts";

const MB = 1e6;
const RSS_MB_PER_MINUTE_MAX = 1;
const CHUNK_INTERVAL_MS = 30_000;
const SAMPLE_MS = 5_000;
const SAMPLES_PER_LINE = 6;

const { values } = parseArgs({
  options: {
    streams: { type: "string", default: "10000" },
    minutes: { type: "string", default: "10" },
    connections: { type: "string", default: "4" },
  },
});

const beginMs = performance.now();
let sampleCount = 0;
const result = await openStreams({
  streams: Number(values.streams),
  connections: Number(values.connections),
  seconds: Number(values.minutes) * 60,
  chunkIntervalMs: CHUNK_INTERVAL_MS,
  sampleMs: SAMPLE_MS,
  report: ({ atMs, rssBytes, heapBytes }, held, failed) => {
    if (sampleCount++ % SAMPLES_PER_LINE !== 0) return;
    console.log(
      `${((atMs - beginMs) / 1000).toFixed(0).padStart(5)} s   rss ${(rssBytes / MB).toFixed(1)} MB   ` +
        `heap ${(heapBytes / MB).toFixed(1)} MB   held ${held}, failed ${failed}`,
    );
  },
});
for (const reason of result.reasons) console.log(`  ${reason}`);
const isGivenBack = Object.values(result.after).every((value) => value === 0);
const isPassed =
  result.failed === 0 && isGivenBack && result.rssMbPerMinute <= RSS_MB_PER_MINUTE_MAX;
const rounded = (value: unknown): unknown =>
  typeof value === "number" ? Math.round(value * 1000) / 1000 : value;
console.log(
  JSON.stringify({ streams: Number(values.streams), ...result, isPassed }, (_, value) =>
    rounded(value),
  ),
);
process.exitCode = isPassed ? 0 : 1;
