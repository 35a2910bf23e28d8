/**
 * The plain way to read a metrics page, written for clarity: every line becomes an object, then the facts are looked
 * up. What the selective scan is compared with, in results and in cost.
 * @module
 */
import { Known } from "../../scheduler/index.ts";
import type { CacheInfoSpec, EngineDefinition, MetricSpec } from "../../scrapers/engines/engine.ts";

export interface ReferenceSample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
  readonly timestamp: number | null;
}

export interface ReferenceFacts {
  found: number;
  waiting: number;
  running: number;
  kvUtilization: number;
  cacheBlockSize: number;
  cacheBlocks: number;
  maxAdapters: number;
  active: string[];
  pending: string[];
}

/** All well-formed samples of a page, in its order. */
export function parsePage(text: string): ReferenceSample[] {
  const samples: ReferenceSample[] = [];
  for (const line of text.split("\n")) {
    const sample = parseLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    if (sample !== null) samples.push(sample);
  }
  return samples;
}

function parseLine(line: string): ReferenceSample | null {
  const name = /^[^{ \t]+(?=[{ \t])/.exec(line)?.[0];
  if (name === undefined || name.startsWith("#")) return null;
  let rest = line.slice(name.length).replace(/^[ \t]+/, "");
  const labels = new Map<string, string>();
  if (rest.startsWith("{")) {
    rest = rest.slice(1).replace(/^[ \t]+/, "");
    while (!rest.startsWith("}")) {
      const label =
        /^([^=,"} \t][^=,"} \t]*)[ \t]*=[ \t]*"((?:[^"\\]|\\["\\n])*)"[ \t]*(,?)[ \t]*/.exec(rest);
      if (label === null) return null;
      if (!labels.has(label[1]!)) labels.set(label[1]!, unescapeValue(label[2]!));
      rest = rest.slice(label[0].length);
      if (label[3] === "" && !rest.startsWith("}")) return null;
    }
    rest = rest.slice(1);
  }
  const tokens = rest.split(/[ \t]+/).filter((token) => token !== "");
  const exemplar = tokens.findIndex((token, i) => i > 0 && token.startsWith("#"));
  const parts = exemplar < 0 ? tokens : tokens.slice(0, exemplar);
  if (parts.length < 1 || parts.length > 2) return null;
  const value = parseNumber(parts[0]!);
  const timestamp = parts.length === 2 ? parseNumber(parts[1]!) : null;
  if (timestamp !== null && !Number.isFinite(timestamp)) return null;
  return { name, labels, value, timestamp };
}

function unescapeValue(raw: string): string {
  return raw.replace(/\\(.)/g, (_, byte: string) => (byte === "n" ? "\n" : byte));
}

function parseNumber(text: string): number {
  const sign = text.startsWith("-") ? -1 : 1;
  const word = text.replace(/^[+-]/, "").toLowerCase();
  if (word === "inf" || word === "infinity") return sign * Number.POSITIVE_INFINITY;
  return /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(word) ? sign * Number(word) : Number.NaN;
}

/** Facts with series of ranks combined. */
export function referenceFacts(
  samples: readonly ReferenceSample[],
  engine: EngineDefinition,
): ReferenceFacts {
  const facts: ReferenceFacts = {
    found: 0,
    waiting: 0,
    running: 0,
    kvUtilization: 0,
    cacheBlockSize: 0,
    cacheBlocks: 0,
    maxAdapters: -1,
    active: [],
    pending: [],
  };
  const blocks = readInfo(samples, engine.cacheInfo, facts);
  const waiting = readFirst(samples, engine.waiting);
  if (waiting !== null) {
    facts.waiting = toInt32(total(waiting));
    facts.found |= Known.waiting;
  }
  const running = readFirst(samples, engine.running);
  if (running !== null) {
    facts.running = toInt32(total(running));
    facts.found |= Known.running;
  }
  const utilization = readFirst(samples, engine.kvUtilization);
  if (utilization !== null) {
    facts.kvUtilization = weightedMean(utilization, blocks);
    facts.found |= Known.kvUtilization;
  }
  readAdapters(samples, engine.adapters, facts);
  return facts;
}

const toInt32 = (value: number): number => Math.min(Math.trunc(value), 0x7fffffff) + 0;
const total = (values: ReadonlyMap<string, number>): number =>
  [...values.values()].reduce((sum, value) => sum + value, 0);

function matching(samples: readonly ReferenceSample[], spec: MetricSpec): ReferenceSample[] {
  return samples.filter(
    (sample) =>
      sample.name === spec.name &&
      spec.labels.every(([name, value]) => (sample.labels.get(name) ?? "") === value),
  );
}

/** Value by rank of the first selector with a usable sample. */
function readFirst(
  samples: readonly ReferenceSample[],
  specs: readonly MetricSpec[],
): Map<string, number> | null {
  for (const spec of specs) {
    const usable = matching(samples, spec).filter(
      ({ value }) => Number.isFinite(value) && value >= 0,
    );
    if (usable.length === 0) continue;
    const stamped = usable.filter(({ timestamp }) => timestamp !== null);
    if (stamped.length > 0) {
      const newest = Math.max(...stamped.map(({ timestamp }) => timestamp!));
      return new Map([["", stamped.find(({ timestamp }) => timestamp === newest)!.value]]);
    }
    const group = otherLabels(usable[0]!);
    const values = new Map<string, number>();
    for (const sample of usable.filter((each) => otherLabels(each) === group)) {
      const rank = rankOf(sample);
      values.set(rank, Math.max(values.get(rank) ?? 0, sample.value));
    }
    return values;
  }
  return null;
}

const ENGINE_LABELS = new Set(["engine", "dp_rank"]);
const PART_LABELS = new Set(["tp_rank", "pp_rank", "moe_ep_rank", "pid"]);

function rankOf({ labels }: ReferenceSample): string {
  return JSON.stringify([...labels].filter(([name]) => ENGINE_LABELS.has(name)).sort());
}

function otherLabels({ labels }: ReferenceSample): string {
  const others = [...labels].filter(([name]) => !ENGINE_LABELS.has(name) && !PART_LABELS.has(name));
  return JSON.stringify(others.sort());
}

function weightedMean(
  values: ReadonlyMap<string, number>,
  weights: ReadonlyMap<string, number>,
): number {
  const ratios = [...values].map(
    ([rank, value]) => [weights.get(rank) ?? 0, value > 1.5 ? value / 100 : value] as const,
  );
  const weighted = ratios.every(([weight]) => weight > 0);
  const sum = ratios.reduce((all, [weight, ratio]) => all + (weighted ? weight : 1) * ratio, 0);
  return sum / ratios.reduce((all, [weight]) => all + (weighted ? weight : 1), 0);
}

function readInfo(
  samples: readonly ReferenceSample[],
  specs: readonly CacheInfoSpec[],
  facts: ReferenceFacts,
): Map<string, number> {
  for (const { metric, blockSizeLabel, blocksLabel } of specs) {
    let lines = matching(samples, metric);
    const stamped = lines.filter(({ timestamp }) => timestamp !== null);
    if (stamped.length > 0) {
      const newest = Math.max(...stamped.map(({ timestamp }) => timestamp!));
      lines = [stamped.find(({ timestamp }) => timestamp === newest)!];
    }
    if (lines.length === 0) continue;
    const blocks = new Map<string, number>();
    for (const line of lines) {
      const count = labelInteger(line, blocksLabel);
      if (count > 0) blocks.set(rankOf(line), Math.max(blocks.get(rankOf(line)) ?? 0, count));
      const size = labelInteger(line, blockSizeLabel);
      if (facts.cacheBlockSize === 0 && size > 0) facts.cacheBlockSize = size;
    }
    facts.cacheBlocks = toInt32(total(blocks));
    if (facts.cacheBlockSize > 0) facts.found |= Known.cacheBlockSize;
    if (blocks.size > 0) facts.found |= Known.cacheBlocks;
    return blocks;
  }
  return new Map();
}

function labelInteger({ labels }: ReferenceSample, name: string): number {
  const text = (labels.get(name) ?? "").replace(/^[ \t]+|[ \t]+$/g, "");
  return /^\d+$/.test(text) ? Math.min(Number(text), 0x7fffffff) : -1;
}

function readAdapters(
  samples: readonly ReferenceSample[],
  specs: readonly MetricSpec[],
  facts: ReferenceFacts,
): void {
  for (const spec of specs) {
    const lines = matching(samples, spec).filter(
      ({ value }) => Number.isFinite(value) && value >= 0,
    );
    if (lines.length === 0) continue;
    const newest = Math.max(...lines.map(({ value }) => value));
    const line = lines.find(({ value }) => value === newest)!;
    const list = (name: string): string[] => [
      ...new Set(
        (line.labels.get(name) ?? "")
          .split(",")
          .map((entry) => entry.trim())
          .filter((entry) => entry !== ""),
      ),
    ];
    facts.active = list("running_lora_adapters");
    facts.pending = list("waiting_lora_adapters");
    facts.maxAdapters = labelInteger(line, "max_lora");
    facts.found |= Known.adapters;
    return;
  }
}
