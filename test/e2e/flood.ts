/**
 * Floods against the process (HTTP/2 attacks, one connection at a time) while a victim on another connection does its
 * honest work: what the attacker is told, what the victim feels, what the process keeps.
 *
 *   attacker ──frames as fast as it can──▶ process ◀──200 exchanges/s── victim ──200 exchanges/s──▶ control
 *                     VmRSS every 50 ms ──┘
 *
 * All four are processes of their own; what they print is compared by the clock of the machine.
 * @module
 */
import { type RunningChild, startChild } from "../support/child.ts";
import { delay, within } from "../support/deadline.ts";
import { builtScript } from "../support/paths.ts";
import {
  endpointsAt,
  type ProcessUnderTest,
  processFiles,
  startProcess,
} from "../support/process-under-test.ts";
import { ATTACKS } from "./flood-attacks.ts";
import { procBytes } from "./process-figures.ts";

// ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** From the first frame of an attack to the end of its connection. */
const LIFE_MS_MAX = 1000;
const ENHANCE_YOUR_CALM = 11;
const LATENCY_FACTOR_MAX = 2;
const RSS_GROWTH_MB_MAX = 20;
/** The rest has not ended yet when the attack has. */
const SERVED_SHARE_MIN = 0.9;
/** Far above what the buckets of the server let flow in a second: an end that took a token would be seen. */
const NORMAL_ENDS_PER_SECOND_MIN = 2500;

// ── what is done ──────────────────────────────────────────────────────────────────────────────────────────────────────

const VICTIM_RATE = 200;
/** What counts as before an attack: the last one has mostly been quiet for as long, since it was closed at once. */
const BEFORE_MS = 1000;
/** Between one attack and the next. */
const SETTLE_MS = 300;
const SAMPLE_MS = 50;
const WARM_UP_MS = 1500;
/** Exchanges that both servers have behind them before anything is measured. */
const CONTROL_WARM_UP = 5000;
const NORMAL_ENDS_MS = 120_000;
/** A time that is missed is measured again: what an attack does it does each time, and a busy machine does not. */
const ROUNDS = 3;
const MB = 1e6;
const DESTINATION = "127.0.0.1:1";

export interface AttackReport {
  readonly attack: string;
  /** Epoch. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly connections: number;
  /** Connections that were not closed. */
  readonly open: number;
  /** Codes of their GOAWAYs; -1 = there was none. */
  readonly codes: readonly number[];
  readonly lifeMsMax: number;
}

export interface VictimSample {
  /** Epoch. */
  readonly atMs: number;
  readonly latencyMs: number;
  readonly error: string | null;
}

export interface VictimReport {
  /** Since the last report. */
  readonly victim: VictimSample[];
  /** The same with a server that nobody attacks. */
  readonly control: VictimSample[];
  /** The victim's, in all. */
  readonly goaways: number;
}

export interface NormalEndsReport {
  readonly exchanges: number;
  readonly failed: number;
  readonly reasons: readonly string[];
  readonly goaways: number;
  readonly perSecond: number;
}

export interface FloodResult {
  readonly name: string;
  readonly figures: Readonly<Record<string, unknown>>;
  /** What was not as it must be. */
  readonly misses: readonly string[];
}

/** Names of all results, in their order. */
export const FLOOD_NAMES: readonly string[] = ["normal ends", ...ATTACKS.map(({ name }) => name)];

export interface FloodOptions {
  /** How long the victim is looked at from the beginning of an attack. */
  readonly attackSeconds: number;
  /** After this time a closed attacker comes back; never unless given. */
  readonly reconnectMs?: number;
  /** How many exchanges end normally. */
  readonly normalEnds: number;
  /**
   * Below this the machine is measured: attacker, victim and process share two cores, and one of them is the attacker's.
   * In a short look the p99 is the third of the slowest, and the burst that a bucket lets pass takes tens of milliseconds.
   */
  readonly latencyMsMin: number;
  /** Told of each result. */
  readonly report?: (result: FloodResult) => void;
}

interface Watch {
  readonly victim: VictimSample[];
  readonly control: VictimSample[];
  readonly rss: { readonly atMs: number; readonly bytes: number }[];
  goaways: number;
}

/** Does the normal ends, then every attack. */
export async function flood(options: FloodOptions): Promise<FloodResult[]> {
  const picker = await startPicker();
  const control = await startPicker();
  const children: RunningChild[] = [];
  const start: StartScript = (script, args) => {
    const child = startChild(process.execPath, [
      builtScript("test", "e2e", script),
      ...Object.entries(args).map(([name, value]) => `--${name}=${value}`),
    ]);
    children.push(child);
    return child;
  };
  const results: FloodResult[] = [];
  const add = (result: FloodResult): void => {
    results.push(result);
    options.report?.(result);
  };
  const watch: Watch = { victim: [], control: [], rss: [], goaways: 0 };
  let isOver = false;
  try {
    await normalEnds(control, start, CONTROL_WARM_UP);
    add(await normalEnds(picker, start, options.normalEnds));

    const victim = start("flood-victim-main.js", {
      port: picker.ports.grpc,
      "control-port": control.ports.grpc,
      rate: VICTIM_RATE,
      expected: DESTINATION,
    });
    victim.onLine((line) => {
      const report = JSON.parse(line) as VictimReport;
      watch.victim.push(...report.victim);
      watch.control.push(...report.control);
      watch.goaways = report.goaways;
    });
    const sampling = (async () => {
      while (!isOver && picker.child.alive()) {
        watch.rss.push({ atMs: nowMs(), bytes: await procBytes(picker.child.pid, "VmRSS") });
        await delay(SAMPLE_MS);
      }
    })();
    await delay(WARM_UP_MS);

    /** @returns indexes of the attacks that are to be done again */
    const round = async (indexes: readonly number[], isLast: boolean): Promise<number[]> => {
      const attacker = start("flood-attacker-main.js", {
        port: picker.ports.grpc,
        attacks: indexes.join(","),
        seconds: options.attackSeconds,
        "pause-seconds": SETTLE_MS / 1000,
        ...(options.reconnectMs === undefined ? {} : { "reconnect-ms": options.reconnectMs }),
      });
      const judged: Promise<number[]>[] = [];
      attacker.onLine((line) => {
        const report = JSON.parse(line) as AttackReport;
        const index = indexes[judged.length]!;
        judged.push(
          // The last samples of the victim are on their way.
          delay(SETTLE_MS).then(() => {
            const { isDoubtful, ...result } = judge(report, watch, options.latencyMsMin);
            if (isDoubtful && !isLast) return [index];
            add(result);
            return [];
          }),
        );
      });
      await attacker.exited;
      if (judged.length !== indexes.length) {
        throw new Error(`the attacker ended early:\n${attacker.output()}\n${victim.output()}`);
      }
      return (await Promise.all(judged)).flat();
    };
    let doubtful: readonly number[] = [...ATTACKS.keys()];
    for (let i = 1; doubtful.length > 0; i++) doubtful = await round(doubtful, i === ROUNDS);
    isOver = true;
    await sampling;
    return results;
  } finally {
    isOver = true;
    for (const child of children) await child.kill();
    await picker.end();
    await control.end();
  }
}

type StartScript = (script: string, args: Readonly<Record<string, unknown>>) => RunningChild;

async function startPicker(): Promise<ProcessUnderTest> {
  return startProcess(await processFiles(endpointsAt(1)), "--secure-serving=false");
}

async function normalEnds(
  { ports }: ProcessUnderTest,
  start: StartScript,
  exchanges: number,
): Promise<FloodResult> {
  const child = start("flood-normal-ends-main.js", {
    port: ports.grpc,
    exchanges,
    expected: DESTINATION,
  });
  const line = new Promise<string>((resolve, reject) => {
    child.onLine(resolve);
    void child.exited.then(() => reject(new Error(`no report:\n${child.output()}`)));
  });
  const report = JSON.parse(await within(line, NORMAL_ENDS_MS, "normal ends")) as NormalEndsReport;
  await child.exited;
  const misses: string[] = [];
  if (report.failed > 0) misses.push(`${report.failed} failed: ${report.reasons.join(", ")}`);
  if (report.goaways > 0) misses.push(`${report.goaways} GOAWAYs`);
  if (report.perSecond < NORMAL_ENDS_PER_SECOND_MIN) {
    misses.push(`${report.perSecond} a second prove nothing`);
  }
  return { name: FLOOD_NAMES[0]!, figures: { ...report }, misses };
}

/** Doubtful are misses of time alone. */
function judge(
  report: AttackReport,
  watch: Watch,
  latencyMsMin: number,
): FloodResult & { readonly isDoubtful: boolean } {
  const { fromMs, toMs, codes, lifeMsMax } = report;
  const attack = ATTACKS.find(({ name }) => name === report.attack)!;
  const between = (samples: readonly VictimSample[], from: number, to: number): VictimSample[] =>
    samples.filter(({ atMs }) => atMs >= from && atMs < to);
  const before = between(watch.victim, fromMs - BEFORE_MS, fromMs);
  const during = between(watch.victim, fromMs, toMs);
  const p99BeforeMs = p99(before);
  const p99ControlMs = p99(between(watch.control, fromMs, toMs));
  const p99Ms = p99(during);
  // What the machine does to a server that nobody attacks is not the attack's doing.
  const p99MsMax = Math.max(LATENCY_FACTOR_MAX * Math.max(p99BeforeMs, p99ControlMs), latencyMsMin);
  const rssBefore = watch.rss.findLast(({ atMs }) => atMs < fromMs)?.bytes ?? 0;
  const rssDuring = watch.rss.filter(({ atMs }) => atMs >= fromMs).map(({ bytes }) => bytes);
  const rssGrowthMb = (Math.max(...rssDuring) - rssBefore) / MB;

  const misses: string[] = [];
  const late: string[] = [];
  if (attack.isStall !== true) {
    if (report.open > 0) misses.push("the attacker's connection is not closed");
    const wrong = codes.filter((code) => code !== ENHANCE_YOUR_CALM);
    if (wrong.length > 0) misses.push(`the attacker's GOAWAY has code ${wrong.join(", ")}`);
    if (lifeMsMax > LIFE_MS_MAX) late.push(`the attack lives for ${lifeMsMax.toFixed(0)} ms`);
  }
  const failures = [...before, ...during].filter(({ error }) => error !== null);
  if (failures.length > 0) {
    misses.push(`${failures.length} exchanges of the victim failed: ${failures[0]!.error}`);
  }
  if (watch.goaways > 0) misses.push("the victim got a GOAWAY");
  if (rssGrowthMb > RSS_GROWTH_MB_MAX) misses.push(`memory grows by ${rssGrowthMb.toFixed(0)} MB`);
  // A victim that was not served at all has no failures either.
  const expected = ((toMs - fromMs) / 1000) * VICTIM_RATE;
  if (during.length < SERVED_SHARE_MIN * expected) {
    late.push(`the victim did ${during.length} exchanges of ${expected.toFixed(0)}`);
  }
  if (p99Ms > p99MsMax) {
    late.push(`the victim's p99 is ${p99Ms.toFixed(1)} ms, above ${p99MsMax.toFixed(1)} ms`);
  }
  return {
    name: report.attack,
    figures: {
      connections: report.connections,
      codes,
      lifeMsMax: rounded(lifeMsMax),
      exchanges: during.length,
      failed: failures.length,
      p99BeforeMs: rounded(p99BeforeMs),
      p99ControlMs: rounded(p99ControlMs),
      p99Ms: rounded(p99Ms),
      maxMs: rounded(Math.max(...during.map(({ latencyMs }) => latencyMs))),
      rssMb: rounded(rssBefore / MB),
      rssGrowthMb: rounded(rssGrowthMb),
    },
    misses: [...misses, ...late],
    isDoubtful: misses.length === 0 && late.length > 0,
  };
}

function p99(samples: readonly VictimSample[]): number {
  const sorted = samples.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.POSITIVE_INFINITY;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
