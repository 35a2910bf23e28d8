/**
 * Load by hand: `node dist/test/e2e/load-main.js --requests=20000 --rate=400 [--connections=64] [--gateway=embedded]`.
 * Starts the whole path, or loads a gateway that runs already when `--url` is given (its servers must be echo servers).
 * @module
 */
import { parseArgs } from "node:util";
import { findEnvoy, NO_ENVOY_REASON } from "../support/envoy.ts";
import { describeLoad, runLoad } from "./load.ts";
import { type Rig, startRig } from "./rig.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "2000" },
    rate: { type: "string", default: "200" },
    connections: { type: "string", default: "64" },
    "delay-ms": { type: "string", default: "0" },
    servers: { type: "string", default: "3" },
    gateway: { type: "string", default: "envoy" },
    "picker-retries": { type: "string", default: "0" },
    url: { type: "string" },
  },
});

let rig: Rig | null = null;
if (values.url === undefined) {
  const kind = values.gateway === "envoy" && findEnvoy() !== null ? "envoy" : "embedded";
  if (kind !== values.gateway) console.log(`${NO_ENVOY_REASON}; the embedded gateway is used`);
  rig = await startRig(kind, Number(values.servers), Number(values["picker-retries"]));
}
let failed = true;
try {
  const result = await runLoad({
    url: values.url ?? rig!.url,
    requests: Number(values.requests),
    rate: Number(values.rate),
    connections: Number(values.connections),
    delayMs: Number(values["delay-ms"]),
  });
  console.log(describeLoad(result));
  failed = result.failures.length > 0;
} finally {
  await rig?.stop();
}
process.exitCode = failed ? 1 : 0;
