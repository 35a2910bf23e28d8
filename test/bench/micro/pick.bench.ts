/**
 * A whole pick with the built-in profile (candidates, prefix match, three scorers, picker, accounting) and its end, against
 * the same written with objects and maps (test/support/naive-scheduler.ts). Both see the same endpoints, loads and prompts
 * in the same run; that they pick the same is checked first. Block names of the naive one are made beforehand.
 *
 * Bytes per pick are the growth of the heap between collections: the flight and its charges.
 * @module
 */
import { Bench } from "tinybench";
import {
  DecisionRecorder,
  type Flight,
  type InferenceRequest,
  type Scheduler,
} from "../../../scheduler/index.ts";
import { NaiveScheduler } from "../../support/naive-scheduler.ts";
import {
  endpointMetadata,
  requestOf,
  START_MS,
  schedulerOf,
  scrape,
} from "../../support/scheduler-setup.ts";

const BLOCK_TOKENS = 64;
/** 2,048 tokens, half of them a head that other prompts have too. */
const PROMPT_BLOCKS = 32;
const HEAD_BLOCKS = 16;
const HEADS = 8;
const PROMPTS = 128;
const CHECKED_PICKS = 256;
const HEAP_WARMUP_PICKS = 20_000;
const HEAP_PICKS = 50;
const HEAP_WINDOWS = 41;
const WARMUP_MS = 100;
const ROUND_MS = 300;

interface Prompt {
  readonly request: InferenceRequest;
  /** The same blocks by name. */
  readonly naive: { readonly blocks: readonly string[] };
}

/** Token ids of a block that belongs to prompt or head `owner`. */
function blockOf(owner: number, block: number): number[] {
  return Array.from({ length: BLOCK_TOKENS }, (_, i) => owner * 100_003 + block * 101 + i);
}

function promptsFor(scheduler: Scheduler): Prompt[] {
  return Array.from({ length: PROMPTS }, (_, k) => {
    const tokens: number[] = [];
    const blocks: string[] = [];
    for (let block = 0; block < PROMPT_BLOCKS; block++) {
      const owner = block < HEAD_BLOCKS ? k % HEADS : HEADS + k;
      tokens.push(...blockOf(owner, block));
      blocks.push(`${owner}:${block}`);
    }
    return { request: requestOf(scheduler, tokens), naive: { blocks } };
  });
}

interface Rig {
  readonly scheduler: Scheduler;
  readonly naive: NaiveScheduler;
  readonly prompts: readonly Prompt[];
}

function rigOf(endpoints: number): Rig {
  const { pool, scheduler } = schedulerOf();
  const naive = new NaiveScheduler();
  for (let i = 0; i < endpoints; i++) {
    const slot = pool.upsert(endpointMetadata(i));
    const waiting = (i * 7) % 5;
    const kvUtilization = ((i * 13) % 10) / 16;
    scrape(pool, slot, { waiting, kvUtilization }, START_MS);
    Object.assign(naive.add(`default/p${i}`, pool.hostPort(slot)), { waiting, kvUtilization });
  }
  return { scheduler, naive, prompts: promptsFor(scheduler) };
}

function pickOne(scheduler: Scheduler, request: InferenceRequest): Flight {
  const outcome = scheduler.schedule(request, null);
  if (outcome.kind !== "picked") throw new Error(`rejected: ${outcome.reason}`);
  return outcome;
}

function pickAndEnd(scheduler: Scheduler, request: InferenceRequest): void {
  const flight = pickOne(scheduler, request);
  scheduler.firstToken(flight);
  scheduler.complete(flight, "natural");
}

function checkSamePicks({ naive, prompts, scheduler }: Rig): void {
  for (let i = 0; i < CHECKED_PICKS; i++) {
    const { naive: naiveRequest, request } = prompts[(i * 37) % PROMPTS]!;
    const flight = pickOne(scheduler, request);
    const expected = naive.schedule(naiveRequest)!;
    if (flight.destination !== expected.endpoint.hostPort) {
      throw new Error(`pick ${i}: ${flight.destination}, naive ${expected.endpoint.hostPort}`);
    }
    scheduler.firstToken(flight);
    scheduler.complete(flight, "natural");
    naive.complete(expected);
  }
}

/** Heap growth per call of compiled code, bytes: median of some windows, since a collection may fall into one. */
function bytesPerCall(call: (i: number) => void): number {
  for (let i = 0; i < HEAP_WARMUP_PICKS; i++) call(i);
  const windows = Array.from({ length: HEAP_WINDOWS }, () => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < HEAP_PICKS; i++) call(i);
    return (process.memoryUsage().heapUsed - before) / HEAP_PICKS;
  });
  return windows.sort((x, y) => x - y)[HEAP_WINDOWS >> 1]!;
}

/** Prints median microseconds of a pick and its end, their ratio to the naive scheduler's, and bytes per pick. */
export async function run(): Promise<void> {
  for (const endpoints of [10, 100, 1000]) {
    const rig = rigOf(endpoints);
    const { naive, prompts, scheduler } = rig;
    checkSamePicks(rig);
    const bytes = bytesPerCall((i) => pickAndEnd(scheduler, prompts[i % PROMPTS]!.request));
    const recorder = new DecisionRecorder(64);
    let turn = 0;
    const next = (): Prompt => prompts[++turn % PROMPTS]!;
    const bench = new Bench({ time: ROUND_MS, warmupTime: WARMUP_MS });
    bench.add("pick", () => {
      scheduler.recorder = null;
      pickAndEnd(scheduler, next().request);
    });
    bench.add("recorded", () => {
      scheduler.recorder = recorder;
      pickAndEnd(scheduler, next().request);
    });
    bench.add("naive", () => naive.complete(naive.schedule(next().naive)!));
    await bench.run();
    const us: Record<string, number> = {};
    for (const { name, result } of bench.tasks) {
      if (result.state !== "completed") throw new Error(`${name}: ${result.state}`);
      us[name] = result.latency.p50 * 1000;
    }
    console.log(
      `${String(endpoints).padStart(5)} endpoints   pick ${us["pick"]!.toFixed(2).padStart(7)} us   ` +
        `recording + ${(us["recorded"]! - us["pick"]!).toFixed(2)} us   ` +
        `naive ${us["naive"]!.toFixed(2).padStart(8)} us   ratio ${(us["naive"]! / us["pick"]!).toFixed(1)}   ` +
        `${bytes.toFixed(0)} bytes`,
    );
  }
}
