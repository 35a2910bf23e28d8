/**
 * What is lost when a replica goes, by hand: `npm run e2e:ha -- CASE… [--runs=3] [--seconds=N] [--settings=NAMES]`, CASE one
 * of those in ha/cases.ts; kill9 and hang also take `--rate=N --body-bytes=N`. Prints a line of JSON for each run, and ends with 1 when one of them misses a bound.
 * @module
 */
import { parseArgs } from "node:util";
import { CASES } from "./ha/cases.ts";
import { parseSettings } from "./ha/settings.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "1" },
    seconds: { type: "string" },
    settings: { type: "string" },
    rate: { type: "string" },
    "body-bytes": { type: "string" },
  },
});

// The end of this process ends those it has started, which a signal alone would leave behind.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

const options = {
  ...(values.seconds === undefined ? {} : { seconds: Number(values.seconds) }),
  ...(values.rate === undefined ? {} : { rate: Number(values.rate) }),
  ...(values["body-bytes"] === undefined ? {} : { bodyBytes: Number(values["body-bytes"]) }),
  ...(values.settings === undefined ? {} : { settings: parseSettings(values.settings) }),
};
const names = [...CASES.keys()].join(", ");
if (positionals.length === 0) throw new Error(`name a case: ${names}`);
let missed = 0;
for (const name of positionals) {
  const run = CASES.get(name);
  if (run === undefined) throw new Error(`unknown case ${name}: ${names}`);
  for (let left = Number(values.runs); left > 0; left--) {
    const report = await run(options);
    console.log(JSON.stringify(report));
    if (!report.ok) missed++;
  }
}
// Kept-alive connections of the client would hold the process.
process.exit(missed === 0 ? 0 : 1);
