/**
 * Command line of the emulator: one process, any number of servers.
 *
 *   node dist/sim/emulator/main.js --count 6 --adapters sql,legal --endpoints-file endpoints.yaml
 * @module
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { stringify } from "yaml";
import { stepProfiles } from "../step-time.ts";
import { DEMO_ENGINE, type Emulator, startEmulator } from "./server.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    "base-port": { type: "string" },
    name: { type: "string", default: "server" },
    model: { type: "string", default: "base" },
    adapters: { type: "string", default: "" },
    profile: { type: "string", default: "demo" },
    "endpoints-file": { type: "string" },
  },
});

const profile = stepProfiles[values.profile as keyof typeof stepProfiles];
if (profile === undefined) {
  console.error(`--profile: must be one of ${Object.keys(stepProfiles).join(", ")}`);
  process.exit(1);
}
const adapters = values.adapters === "" ? [] : values.adapters.split(",");
const basePort = Number(values["base-port"] ?? values.port);
const servers: Emulator[] = [];
for (let i = 0; i < Number(values.count); i++) {
  servers.push(
    await startEmulator({
      host: values.host,
      port: basePort === 0 ? 0 : basePort + i,
      name: `${values.name}-${i}`,
      model: values.model,
      adapters,
      engine: { ...DEMO_ENGINE, profile },
    }),
  );
}
if (values["endpoints-file"] !== undefined) {
  const endpoints = servers.map(({ address, name, port }) => ({
    name,
    address,
    port: String(port),
    labels: { app: values.model },
  }));
  writeFileSync(values["endpoints-file"], stringify({ endpoints }));
}
const listening = servers.map(({ address, name, port }) => ({ name, address, port }));
console.log(JSON.stringify({ ready: true, servers: listening }));

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    void Promise.all(servers.map((server) => server.close())).then(() => process.exit(0));
  });
}
