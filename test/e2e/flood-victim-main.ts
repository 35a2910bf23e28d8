/**
 * The victim, in a process of its own: whole exchanges at a steady rate, whatever the answers do, over one connection;
 * and the same with a server that nobody attacks, to know what of it is the machine's doing. Prints JSON lines.
 * @module
 */
import { parseArgs } from "node:util";
import { delay } from "../support/deadline.ts";
import { H2Exchanges, wholeExchange } from "../support/h2-exchanges.ts";
import type { VictimReport } from "./flood.ts";

const REPORT_MS = 100;
const TICK_MS = 1;
const ANSWER_MS = 5000;

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    "control-port": { type: "string" },
    rate: { type: "string" },
    expected: { type: "string" },
  },
});
const rate = Number(values.rate);
const script = wholeExchange();
const victim = await H2Exchanges.connect(Number(values.port), script, values.expected!);
const control = await H2Exchanges.connect(Number(values["control-port"]), script, values.expected!);

let report: VictimReport = { victim: [], control: [], goaways: 0 };
setInterval(() => {
  victim.expire(ANSWER_MS);
  control.expire(ANSWER_MS);
  console.log(JSON.stringify({ ...report, goaways: victim.goaways }));
  report = { victim: [], control: [], goaways: 0 };
}, REPORT_MS);

function exchange(client: H2Exchanges, name: "victim" | "control"): void {
  const startedAtMs = performance.now();
  client.start((error) => {
    const latencyMs = performance.now() - startedAtMs;
    report[name].push({ atMs: performance.timeOrigin + startedAtMs, latencyMs, error });
  });
}

const begin = performance.now();
for (let started = 0; ; ) {
  const due = Math.floor(((performance.now() - begin) * rate) / 1000) + 1;
  for (; started < due; started++) {
    exchange(victim, "victim");
    exchange(control, "control");
  }
  await delay(TICK_MS);
}
