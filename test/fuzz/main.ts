/**
 * Long runs: `npm run fuzz -- --target=frames --seconds=30 --seed=7`; without a target all of them take their turn.
 * Exit code 1 when an input breaks a promise, with the input in hexadecimal, as it was found and as small as it gets.
 * @module
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { corpusOf } from "./corpus.ts";
import { fuzz } from "./fuzz.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { HangWatch } from "./hang-watch.ts";
import { HeapWatch } from "./heap-watch.ts";
import { targets } from "./targets.ts";

/** Longest work for an input of up to a megabyte, and for each megabyte of a longer one: time of the processor. */
const MS_PER_MB_MAX = 1000;
const MB = 1_000_000;

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    seconds: { type: "string", default: "30" },
    seed: { type: "string" },
    "memory-every": { type: "string", default: "500" },
  },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const chosen =
  values.target === undefined
    ? [...targets.values()]
    : [...targets.values()].filter(({ name }) => name === values.target);
if (chosen.length === 0) throw new Error(`targets: ${[...targets.keys()].join(", ")}`);

const hangs = new HangWatch();
let current: Buffer = Buffer.alloc(0);
let began = process.cpuUsage();

/** Exceptions that nobody can catch come from events and microtasks. */
process.on("uncaughtException", (error) => {
  console.log(`escaped: ${error.stack}\nseed ${seed}\ninput ${current.toString("hex")}`);
  process.exit(1);
});

function begin(input: Buffer): void {
  current = input;
  hangs.begin(input);
  began = process.cpuUsage();
}

function done(input: Buffer): void {
  const { system, user } = process.cpuUsage(began);
  const ms = (system + user) / 1000;
  if (ms <= MS_PER_MB_MAX * Math.max(1, input.length / MB)) return;
  throw new Error(`${input.length} bytes took ${Math.round(ms)} ms`);
}

/** Told at once: to make it smaller may take a minute. */
function tell(error: unknown, input: Buffer): void {
  console.log(error instanceof Error ? error.stack : String(error));
  console.log(`seed ${seed}\ninput ${input.toString("hex")}`);
}

async function run(target: FuzzTarget): Promise<boolean> {
  const startMs = performance.now();
  const endMs = startMs + Number(values.seconds) * 1000;
  const { executions, failure } = await fuzz(target, {
    seed,
    corpus: corpusOf(target.name),
    isOver: () => performance.now() >= endMs,
    onInput: begin,
    onDone: done,
    onFailure: tell,
    memory: { watch: new HeapWatch(), every: Number(values["memory-every"]) },
  });
  const seconds = (performance.now() - startMs) / 1000;
  const rate = Math.round(executions / seconds);
  console.log(`${target.name}: seed ${seed}, ${executions} executions, ${rate} a second`);
  if (failure !== null) console.log(`shrunk ${failure.shrunk.toString("hex")}`);
  return failure === null;
}

let passed = 0;
for (const target of chosen) if (await run(target)) passed++;
await hangs.stop();
console.log(`${passed} passed, ${chosen.length - passed} failed`);
process.exitCode = passed === chosen.length ? 0 : 1;
