/**
 * `npm run demo`: six emulated model servers behind a gateway, the same conversations once under round robin and once
 * under the endpoint picker, and a table of what was measured.
 *
 *   --seconds=20      traffic per arm             --seed=1          other conversations
 *   --gateway=envoy   envoy | embedded; by default Envoy when there is one
 *   --keep            leaves servers, picker and gateway up after the run, until Ctrl-C
 *
 * Exit codes: 0 the picker was ahead and nothing failed; 1 not so, or wrong flags; 130, 143 ended by a signal.
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findEnvoy, NO_ENVOY_REASON } from "../support/envoy.ts";
import { type ArmKind, type ArmResult, playArm, type Rig, startArm } from "./arm.ts";
import { BASE_MODEL, describeProfile, SERVER_COUNT, trafficOptions } from "./profile.ts";
import { planTraffic } from "./traffic.ts";
import { shortcomings } from "./verdict.ts";

const SECONDS_MAX = 3600;
const SEED_MAX = 0xffff_ffff;

interface Flags {
  readonly seconds: number;
  readonly seed: number;
  /** Path of an Envoy binary, or null for the embedded gateway. */
  readonly envoy: string | null;
  readonly keep: boolean;
}

/** @throws {Error} naming the flag */
function readFlags(): Flags {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "20" },
      seed: { type: "string", default: "1" },
      gateway: { type: "string" },
      keep: { type: "boolean", default: false },
    },
  });
  return {
    seconds: integerOf("seconds", values.seconds, 1, SECONDS_MAX),
    seed: integerOf("seed", values.seed, 0, SEED_MAX),
    envoy: chooseGateway(values.gateway),
    keep: values.keep,
  };
}

function integerOf(flag: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new Error(`--${flag} must be an integer from ${min} to ${max}, got "${text}"`);
}

function chooseGateway(name: string | undefined): string | null {
  if (name === "embedded") return null;
  if (name !== undefined && name !== "envoy") {
    throw new Error(`--gateway must be envoy or embedded, got "${name}"`);
  }
  const envoy = findEnvoy();
  if (envoy === null && name === "envoy") throw new Error(NO_ENVOY_REASON);
  return envoy;
}

/**
 * Whatever way the process ends, its children end and their files go: children by the exit hook that came with the first
 * of them, files since all temporary folders of this process are made in one.
 */
function cleanUpAtTheEnd(): void {
  const folder = mkdtempSync(join(tmpdir(), "endpoint-picker-demo-"));
  process.env["TMPDIR"] = folder;
  process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  // A signal alone would skip the hooks.
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.once(signal, () => process.exit(code));
  }
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

async function run({ envoy, keep, seconds, seed }: Flags): Promise<number> {
  const options = trafficOptions(seed, seconds);
  const conversations = planTraffic(options);
  const profile = describeProfile();
  console.log(
    `${SERVER_COUNT} emulated model servers, gateway: ${envoy ?? "embedded (no Envoy asked for or found)"}`,
  );
  console.log(`default profile of the endpoint picker: ${profile}`);
  console.log(
    `${conversations.length} conversations over ${seconds} s per arm, ${options.systemPrompts} system prompts, ` +
      `${options.adapters.length} adapters, seed ${seed}\n`,
  );

  let kept: Rig | null = null;
  const playOne = async (kind: ArmKind, title: string, keepRig: boolean): Promise<ArmResult> => {
    const rig = await startArm(kind, envoy);
    try {
      const result = await playArm(rig, title, conversations, seconds);
      if (keepRig) kept = rig;
      return result;
    } finally {
      if (kept !== rig) await rig.stop();
    }
  };
  const roundRobin = await playOne("round-robin", "round robin", false);
  console.log("");
  const picker = await playOne("endpoint-picker", "endpoint picker", keep);

  console.log(`\nmeasured in this run:\n${table(roundRobin, picker)}`);
  for (const { figures } of [roundRobin, picker]) {
    for (const text of figures.errorTexts) console.log(`error: ${text}`);
  }
  const found = shortcomings(roundRobin, picker, profile);
  for (const text of found) console.error(`not as it must be: ${text}`);
  if (kept !== null) await keepUp(kept);
  return found.length === 0 ? 0 : 1;
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

try {
  const flags = readFlags();
  cleanUpAtTheEnd();
  process.exit(await run(flags));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
