/**
 * Flow control by hand: `npm run e2e:flow -- [--seconds=60] [--seed=1] [--ttft-ratio=1.3] [--unfairness=0.1]`. Prints what
 * each arm came to; ends with 1 when something is not as it should be.
 * @module
 */
import { parseArgs } from "node:util";
import { judge, runFlowControl } from "./flow-control.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    "ttft-ratio": { type: "string", default: "1.3" },
    unfairness: { type: "string", default: "0.1" },
  },
});

const result = await runFlowControl({
  seconds: Number(values.seconds),
  seed: Number(values.seed),
  report: (line) => console.log(line),
});
const faults = judge(result, {
  ttftRatioMax: Number(values["ttft-ratio"]),
  unfairnessMax: Number(values.unfairness),
});
for (const fault of faults) console.log(`FAIL ${fault}`);
console.log(faults.length === 0 ? "flow control passed" : "flow control failed");
process.exitCode = faults.length === 0 ? 0 : 1;
