/**
 * Exchanges that end as Envoy ends them, as many a second as the machine gives, over one connection, in a process of
 * their own. Prints what came of them as one JSON line.
 * @module
 */
import { parseArgs } from "node:util";
import { H2Exchanges, shortExchange } from "../support/h2-exchanges.ts";
import type { NormalEndsReport } from "./flood.ts";

/** Enough that the server never waits, and so few that answers come at once. */
const OPEN_MAX = 200;

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    exchanges: { type: "string" },
    expected: { type: "string" },
  },
});
const exchanges = Number(values.exchanges);
const client = await H2Exchanges.connect(Number(values.port), shortExchange(), values.expected!);
const begin = performance.now();
let started = 0;
let ended = 0;
const failures: string[] = [];

await new Promise<void>((resolve) => {
  let isFilling = false;
  const fill = (): void => {
    if (isFilling) return; // an exchange that fails at once comes back here from within
    isFilling = true;
    while (started < exchanges && started - ended < OPEN_MAX) {
      started++;
      client.start(onEnd);
    }
    isFilling = false;
    if (ended === exchanges) resolve();
  };
  const onEnd = (error: string | null): void => {
    ended++;
    if (error !== null) failures.push(error);
    fill();
  };
  fill();
});

const report: NormalEndsReport = {
  exchanges,
  failed: failures.length,
  reasons: [...new Set(failures)],
  goaways: client.goaways,
  perSecond: Math.round((exchanges * 1000) / (performance.now() - begin)),
};
console.log(JSON.stringify(report));
client.close();
