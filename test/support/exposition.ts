/**
 * Reads a Prometheus text page: samples with their labels, and the histograms among them.
 * @module
 */

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES: Readonly<Record<string, string>> = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

function parseNumber(text: string): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  if (text === "-Inf") return Number.NEGATIVE_INFINITY;
  return Number.parseFloat(text);
}

/** All samples of a page; comment and blank lines are left out. */
export function parseExposition(page: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of page.split("\n")) {
    const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match === null) continue;
    const labels: Record<string, string> = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) {
      labels[name!] = value!.replace(/\\[n"\\]/g, (pair) => ESCAPES[pair]!);
    }
    samples.push({ name: match[1]!, labels, value: parseNumber(match[3]!) });
  }
  return samples;
}

function hasLabels(sample: Sample, labels: Labels): boolean {
  return Object.entries(labels).every(([name, value]) => sample.labels[name] === value);
}

/** Sum of the samples of a name that have these labels, perhaps among others; null when there is none. */
export function sumOf(
  samples: readonly Sample[],
  name: string,
  labels: Labels = {},
): number | null {
  let sum: number | null = null;
  for (const sample of samples) {
    if (sample.name === name && hasLabels(sample, labels)) sum = (sum ?? 0) + sample.value;
  }
  return sum;
}

export interface Histogram {
  /** Upper bound to cumulative count, ascending, +Inf last. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
  readonly sum: number;
  readonly count: number;
}

/** The histogram of a family summed over all series that have these labels; null when there is none. */
export function histogramOf(
  samples: readonly Sample[],
  family: string,
  labels: Labels = {},
): Histogram | null {
  const sum = sumOf(samples, `${family}_sum`, labels);
  const count = sumOf(samples, `${family}_count`, labels);
  if (sum === null || count === null) return null;
  const buckets = new Map<number, number>();
  for (const sample of samples) {
    if (sample.name !== `${family}_bucket` || !hasLabels(sample, labels)) continue;
    const bound = parseNumber(sample.labels["le"] ?? "NaN");
    buckets.set(bound, (buckets.get(bound) ?? 0) + sample.value);
  }
  return { buckets: [...buckets].sort(([a], [b]) => a - b), sum, count };
}
