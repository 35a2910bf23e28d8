/**
 * A long soak by hand: `npm run soak -- --minutes=10 [--rate=150]`. Ends with 1 when something was not given back, an
 * exchange ended unexpectedly, or memory has grown by more than a tenth over what it was in the first two fifths of the time.
 * @module
 */
import { parseArgs } from "node:util";
import { keptNames, memoryGrowth, soak } from "./soak.ts";

const GROWTH_MAX = 1.1;
const MB = 1e6;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    rate: { type: "string", default: "150" },
  },
});

const result = await soak({
  seconds: Number(values.minutes) * 60,
  rate: Number(values.rate),
  report: ({ atSeconds, rssBytes, heapBytes, externalBytes, openStreams, openFlights }) =>
    console.log(
      `${atSeconds.toFixed(0).padStart(5)} s   rss ${(rssBytes / MB).toFixed(0)} MB   heap ${(heapBytes / MB).toFixed(0)} MB   ` +
        `external ${(externalBytes / MB).toFixed(0)} MB   ` +
        `open streams ${openStreams}, flights ${openFlights}`,
    ),
});
const growth = memoryGrowth(result.samples);
const kept = keptNames(result.before, result.after);

console.log(`${result.exchanges} exchanges, ${result.surprises.length} unexpected ends`);
for (const surprise of result.surprises) console.log(`  ${surprise}`);
console.log(
  `memory late against early: rss ${growth.rss.toFixed(2)}, heap ${growth.heap.toFixed(2)}`,
);
for (const [name, value] of Object.entries(result.after)) {
  console.log(`  ${name} ${value} (before the load ${result.before[name]})`);
}
const failed = kept.length > 0 || result.surprises.length > 0 || growth.rss > GROWTH_MAX;
console.log(failed ? "soak failed" : "soak passed: memory flat, everything given back");
process.exitCode = failed ? 1 : 0;
