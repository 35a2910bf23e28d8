/**
 * Prompts of a million tokens beside small requests against the real process: what the big ones do to the picks of the small
 * ones and to memory. Each kind comes from a process of its own, so that the writes of one do not delay the clock of the other.
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { CpuProfiler, type SelfTime } from "../support/cpu-profiler.ts";
import { within } from "../support/deadline.ts";
import type { RunningEndpointPicker } from "../support/endpoint-picker.ts";
import { parseExposition, sumOf } from "../support/exposition.ts";
import { builtScript } from "../support/paths.ts";
import { coreWaitSeconds, procBytes } from "./process-figures.ts";
import type { PromptLoadOptions, PromptLoadResult } from "./prompt-load.ts";
import { startScrapingPicker } from "./scraping-picker.ts";

export interface BigPromptsOptions {
  /** Big prompts a second. */
  readonly rate: number;
  readonly seconds: number;
  /** The small requests run alone for so long before, to tell what the machine itself does to them. */
  readonly aloneSeconds: number;
  /** Takes a CPU profile of the process while both run; it costs some time itself. */
  readonly isProfiled?: boolean;
  readonly report?: (line: string) => void;
}

interface Latencies {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** What one kind of request saw. */
export interface KindResult {
  readonly requests: number;
  readonly failed: number;
  readonly reasons: readonly string[];
  readonly pickMs: Latencies;
  readonly generatorLagMs: { readonly p99: number; readonly max: number };
}

export interface BigPromptsResult {
  readonly alone: KindResult | null;
  readonly small: KindResult;
  readonly big: KindResult;
  /** The most that the process has ever had. */
  readonly rssBytesMax: number;
  /** Of one core, while both ran, all threads. */
  readonly cpuShare: number;
  /** Share of that time in which the main thread could have run and got no core: what the machine adds to the figures. */
  readonly coreWaitShare: number;
  /** Where the time went, when it was asked for. */
  readonly profile: readonly SelfTime[];
}

const ENDPOINTS = 8;
/** About a million tokens; with JSON around it some 5 MB. */
const BIG_PROMPT_BYTES = 4_900_000;
const SMALL_PROMPT_BYTES = 900;
const SMALL_RATE = 50;
/** A gateway has cores of its own; where there are few, the process and the clock of the small requests come first. */
const BIG_NICE = 10;
const READY_MS = 60_000;
/** Beyond the time of the load itself. */
const GRACE_MS = 60_000;
const REPORT_MS = 10_000;
const MB = 1e6;

class Generator {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param nice how far other processes come first, 0 to 19 */
  static async start(options: PromptLoadOptions, nice: number): Promise<Generator> {
    const child = fork(builtScript("test", "e2e", "prompt-load-main.js"), [
      JSON.stringify(options),
    ]);
    if (nice > 0) setPriority(child.pid!, nice);
    const generator = new Generator(child);
    await generator.#message(READY_MS, "start of a generator");
    return generator;
  }

  async run(seconds: number): Promise<PromptLoadResult> {
    this.#child.send(seconds);
    return (await this.#message(seconds * 1000 + GRACE_MS, "result")) as PromptLoadResult;
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  async #message(ms: number, what: string): Promise<unknown> {
    const ended = once(this.#child, "exit").then(() => {
      throw new Error(`a generator ended before its ${what}`);
    });
    const message = once(this.#child, "message").then(([first]) => first as unknown);
    return within(Promise.race([message, ended]), ms, what);
  }
}

function latencies(values: readonly number[]): Latencies {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function kindResult({ requests, failed, reasons, pickMs, lagMs }: PromptLoadResult): KindResult {
  return { requests, failed, reasons, pickMs: latencies(pickMs), generatorLagMs: lagMs };
}

async function cpuSeconds(picker: RunningEndpointPicker): Promise<number> {
  return sumOf(parseExposition(await picker.metrics()), "process_cpu_seconds_total") ?? Number.NaN;
}

/** One line with the figures of a kind. */
export function describeKind(name: string, kind: KindResult): string {
  const { p50, p95, p99, max } = kind.pickMs;
  return (
    `${name}: ${kind.requests} requests, ${kind.failed} failed; pick ms p50 ${p50.toFixed(2)} p95 ${p95.toFixed(2)} ` +
    `p99 ${p99.toFixed(2)} max ${max.toFixed(2)}; generator late ms p99 ${kind.generatorLagMs.p99.toFixed(2)} ` +
    `max ${kind.generatorLagMs.max.toFixed(2)}`
  );
}

/** Runs both loads; what to make of the figures is the caller's. */
export async function bigPrompts(options: BigPromptsOptions): Promise<BigPromptsResult> {
  const { rate, seconds, aloneSeconds, isProfiled = false, report = () => {} } = options;
  const { picker, end } = await startScrapingPicker(
    ENDPOINTS,
    isProfiled ? { NODE_OPTIONS: "--inspect=127.0.0.1:0" } : {},
  );
  const generators: Generator[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    const { grpc: port } = picker.ports;
    const start = async (load: Omit<PromptLoadOptions, "port">, nice = 0): Promise<Generator> => {
      const generator = await Generator.start({ port, ...load }, nice);
      generators.push(generator);
      return generator;
    };
    const smallLoad = { promptBytes: SMALL_PROMPT_BYTES, rate: SMALL_RATE, warmUps: 500 };
    const smalls = await start({ ...smallLoad, gaps: "random" });
    const alone = aloneSeconds > 0 ? kindResult(await smalls.run(aloneSeconds)) : null;
    if (alone !== null) report(describeKind("small requests alone", alone));

    const bigLoad = { promptBytes: BIG_PROMPT_BYTES, rate, warmUps: 8 };
    const bigs = await start({ ...bigLoad, gaps: "even" }, BIG_NICE);
    const beginMs = performance.now();
    timer = setInterval(() => {
      const at = ((performance.now() - beginMs) / 1000).toFixed(0).padStart(5);
      void procBytes(picker.pid, "VmRSS").then(
        (bytes) => report(`${at} s   rss ${(bytes / MB).toFixed(0)} MB`),
        () => {}, // the process has just ended
      );
    }, REPORT_MS);
    const cpuBefore = await cpuSeconds(picker);
    const waitBefore = await coreWaitSeconds(picker.pid);
    const profiler = isProfiled ? await CpuProfiler.start(picker.output()) : null;
    const [small, big] = await Promise.all([smalls.run(seconds), bigs.run(seconds)]);
    const tookSeconds = (performance.now() - beginMs) / 1000;
    const waited = (await coreWaitSeconds(picker.pid)) - waitBefore;
    const profile = (await profiler?.stop()) ?? [];
    return {
      alone,
      small: kindResult(small),
      big: kindResult(big),
      rssBytesMax: await procBytes(picker.pid, "VmHWM"),
      cpuShare: ((await cpuSeconds(picker)) - cpuBefore) / tookSeconds,
      coreWaitShare: waited / tookSeconds,
      profile,
    };
  } finally {
    clearInterval(timer);
    for (const generator of generators) generator.stop();
    await end();
  }
}
