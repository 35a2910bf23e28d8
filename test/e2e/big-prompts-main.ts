/**
 * Big prompts by hand: `npm run e2e:prompts -- --rate=10 --seconds=120 [--profile]`. Ends with 1 when a request fails, the small
 * ones wait too long for their pick, or memory goes beyond its bound; then, or with `--profile`, it says where the time goes.
 * @module
 */
import { parseArgs } from "node:util";
import { bigPrompts, describeKind } from "./big-prompts.ts";

const MB = 1e6;
const RSS_MB_MAX = 700;
const SMALL_P99_MS_MAX = 10;
const ALONE_SECONDS = 10;
const PROFILE_SECONDS_MAX = 20;
const FUNCTIONS_SHOWN = 20;

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "10" },
    seconds: { type: "string", default: "120" },
    profile: { type: "boolean", default: false },
  },
});
const rate = Number(values.rate);
const seconds = Number(values.seconds);

const result = await bigPrompts({
  rate,
  seconds,
  aloneSeconds: ALONE_SECONDS,
  report: (line) => console.log(line),
});
const { small, big } = result;
const rssMbMax = result.rssBytesMax / MB;
console.log(describeKind("small requests", small));
console.log(describeKind("big prompts", big));
for (const reason of [...small.reasons, ...big.reasons]) console.log(`  ${reason}`);
console.log(
  `rss max ${rssMbMax.toFixed(0)} MB (bound ${RSS_MB_MAX}), small p99 ${small.pickMs.p99.toFixed(2)} ms ` +
    `(bound ${SMALL_P99_MS_MAX}), failed ${small.failed + big.failed} (bound 0), ` +
    `${(result.cpuShare * 100).toFixed(0)} % of a core; its main thread waited for a core ` +
    `${(result.coreWaitShare * 100).toFixed(0)} % of the time`,
);
const isPassed =
  rssMbMax <= RSS_MB_MAX && small.pickMs.p99 <= SMALL_P99_MS_MAX && small.failed + big.failed === 0;
console.log(isPassed ? "big prompts passed" : "big prompts failed");
process.exitCode = isPassed ? 0 : 1;

if (!isPassed || values.profile) {
  const { profile } = await bigPrompts({
    rate,
    seconds: Math.min(seconds, PROFILE_SECONDS_MAX),
    aloneSeconds: 0,
    isProfiled: true,
  });
  console.log("self time of the process's main thread under the same load, profiled:");
  for (const { where, ms } of profile.slice(0, FUNCTIONS_SHOWN)) {
    console.log(`${ms.toFixed(0).padStart(7)} ms  ${where}`);
  }
}
