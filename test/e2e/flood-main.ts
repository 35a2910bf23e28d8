/**
 * Floods by hand: `npm run e2e:flood -- [--seconds=5] [--normal-ends=50000] [--reconnect-ms=100]`. One JSON line for each
 * attack; ends with 1 when one of them did harm.
 * @module
 */
import { parseArgs } from "node:util";
import { flood } from "./flood.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    "normal-ends": { type: "string", default: "50000" },
    "reconnect-ms": { type: "string" },
  },
});

const reconnectMs = values["reconnect-ms"];
const results = await flood({
  attackSeconds: Number(values.seconds),
  latencyMsMin: 5,
  normalEnds: Number(values["normal-ends"]),
  ...(reconnectMs === undefined ? {} : { reconnectMs: Number(reconnectMs) }),
  report: ({ name, figures, misses }) => console.log(JSON.stringify({ name, ...figures, misses })),
});
process.exitCode = results.some(({ misses }) => misses.length > 0) ? 1 : 0;
