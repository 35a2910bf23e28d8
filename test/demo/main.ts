/**
 * `npm run demo`: six emulated model servers behind a gateway, the same conversations once under round robin and once
 * under the endpoint picker, and a table of what was measured.
 *
 *   --seconds=20      traffic per arm             --seed=1          other conversations
 *   --gateway=envoy   envoy | embedded; by default Envoy when there is one
 *   --keep            leaves servers, picker and gateway up after the run, until Ctrl-C
 * @module
 */
import { parseArgs } from "node:util";
import { findEnvoy, NO_ENVOY_REASON } from "../support/envoy.ts";
import { type ArmKind, type ArmResult, playArm, type Rig, startArm } from "./arm.ts";
import { BASE_MODEL, describeProfile, SERVER_COUNT, trafficOptions } from "./profile.ts";
import { planTraffic } from "./traffic.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    gateway: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});

// The exit hook of the child processes ends them all; a signal alone would skip it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(signal === "SIGINT" ? 130 : 143));
}

function chooseGateway(): string | null {
  const envoy = findEnvoy();
  if (values.gateway === "embedded") return null;
  if (envoy === null && values.gateway === "envoy") {
    console.error(NO_ENVOY_REASON);
    process.exit(1);
  }
  return envoy;
}

function table(roundRobin: ArmResult, picker: ArmResult): string {
  const rows: [string, (result: ArmResult) => string][] = [
    ["requests answered", ({ figures }) => String(figures.finished)],
    ["errors", ({ figures }) => String(figures.errors)],
    ["TTFT p50", ({ ttftP50Ms }) => `${ttftP50Ms.toFixed(0)} ms`],
    ["TTFT p95", ({ ttftP95Ms }) => `${ttftP95Ms.toFixed(0)} ms`],
    ["prefix tokens found in cache", ({ prefixHits }) => `${(prefixHits * 100).toFixed(1)} %`],
    ["adapter loads", ({ adapterLoads }) => String(adapterLoads)],
  ];
  return [
    `  ${"".padEnd(30)}${"round robin".padStart(14)}${"endpoint picker".padStart(18)}`,
    ...rows.map(
      ([name, value]) =>
        `  ${name.padEnd(30)}${value(roundRobin).padStart(14)}${value(picker).padStart(18)}`,
    ),
  ].join("\n");
}

async function run(): Promise<number> {
  const seconds = Number(values.seconds);
  const options = trafficOptions(Number(values.seed), seconds);
  const conversations = planTraffic(options);
  const envoy = chooseGateway();
  console.log(
    `${SERVER_COUNT} emulated model servers, gateway: ${envoy === null ? "embedded (no Envoy asked for or found)" : envoy}`,
  );
  console.log(`profile of the endpoint picker: ${describeProfile()}`);
  console.log(
    `${conversations.length} conversations over ${seconds} s per arm, ${options.systemPrompts} system prompts, ` +
      `${options.adapters.length} adapters, seed ${options.seed}\n`,
  );

  const dead: string[] = [];
  let kept: Rig | null = null;
  const playOne = async (kind: ArmKind, title: string, keep: boolean): Promise<ArmResult> => {
    const rig = await startArm(kind, envoy);
    try {
      const result = await playArm(rig, title, conversations, seconds);
      dead.push(...rig.dead());
      return result;
    } finally {
      if (keep) kept = rig;
      else await rig.stop();
    }
  };
  const roundRobin = await playOne("round-robin", "round robin", false);
  console.log("");
  const picker = await playOne("endpoint-picker", "endpoint picker", values.keep);

  console.log(`\nmeasured in this run:\n${table(roundRobin, picker)}`);
  for (const { figures } of [roundRobin, picker]) {
    for (const text of figures.errorTexts) console.log(`error: ${text}`);
  }
  for (const name of dead) console.log(`ended by itself: ${name}`);
  if (kept !== null) await keepUp(kept);
  const errors = roundRobin.figures.errors + picker.figures.errors;
  return errors === 0 && dead.length === 0 ? 0 : 1;
}

/** Leaves everything up until a signal ends the process. */
async function keepUp(rig: Rig): Promise<never> {
  const body = JSON.stringify({
    model: BASE_MODEL,
    messages: [{ role: "user", content: "hello" }],
    max_tokens: 16,
  });
  console.log(
    `\nstill up, Ctrl-C ends it:\n  curl -i ${rig.url}/v1/chat/completions -H 'content-type: application/json' -d '${body}'`,
  );
  return await new Promise<never>(() => {
    setInterval(() => {}, 60_000);
  });
}

process.exit(await run());
