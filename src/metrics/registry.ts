/**
 * Counters, gauges and histograms as rows of typed arrays: labels are resolved to a row once, the hot path adds to a
 * number, and text is made only when somebody scrapes. Deprecated twins are views on the same rows.
 * @module
 */
import type { FamilyDefinition } from "./catalog.ts";

/** A row of a family; obtained once, used on the hot path. */
export type Row = number;

/** Series a family may have; later label sets share one row whose values are all "other". */
export const SERIES_PER_FAMILY_MAX = 4096;

const INITIAL_ROWS = 8;

export class Family {
  readonly definition: FamilyDefinition;
  readonly #buckets: readonly number[];
  /** Numbers a row takes: 1, or buckets + overflow + sum. */
  readonly #width: number;
  readonly #rows = new Map<string, Row>();
  readonly #labels: (readonly string[])[] = [];
  #values: Float64Array;

  constructor(definition: FamilyDefinition) {
    this.definition = definition;
    this.#buckets = definition.buckets ?? [];
    this.#width = definition.type === "histogram" ? this.#buckets.length + 2 : 1;
    this.#values = new Float64Array(INITIAL_ROWS * this.#width);
    if (definition.labels.length === 0) this.row();
  }

  /** Row for these label values, in the order of the definition's labels. */
  row(...labels: readonly string[]): Row {
    const key = labels.join("\u0000");
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    if (this.#rows.size >= SERIES_PER_FAMILY_MAX) {
      return this.row(...labels.map(() => "other"));
    }
    const row = this.#labels.length;
    this.#rows.set(key, row);
    this.#labels.push(labels);
    const needed = (row + 1) * this.#width;
    if (needed > this.#values.length) {
      const next = new Float64Array(this.#values.length * 2);
      next.set(this.#values);
      this.#values = next;
    }
    return row;
  }

  /** Adds to a counter or gauge. */
  add(row: Row, by = 1): void {
    this.#values[row] = this.#values[row]! + by;
  }

  /** Sets a gauge, or a counter that is kept elsewhere. */
  set(row: Row, value: number): void {
    this.#values[row] = value;
  }

  /** Value of a counter or gauge. */
  get(row: Row): number {
    return this.#values[row]!;
  }

  /** Counts one observation of a histogram. */
  observe(row: Row, value: number): void {
    const base = row * this.#width;
    const buckets = this.#buckets;
    let lo = 0;
    let hi = buckets.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (value <= buckets[mid]!) hi = mid;
      else lo = mid + 1;
    }
    const values = this.#values;
    values[base + lo] = values[base + lo]! + 1;
    values[base + this.#width - 1] = values[base + this.#width - 1]! + value;
  }

  /** Forgets all rows of a gauge that is filled anew at each scrape. */
  clear(): void {
    this.#rows.clear();
    this.#labels.length = 0;
    this.#values.fill(0);
    if (this.definition.labels.length === 0) this.row();
  }

  /** Appends the exposition text of the family and of its deprecated twin. */
  render(out: string[]): void {
    const { name, help, type, labels, twin } = this.definition;
    out.push(`# HELP ${name} [ALPHA] ${help}\n# TYPE ${name} ${type}\n`);
    this.#renderRows(out, name, labels, this.#sorted(labels));
    if (twin === undefined) return;
    out.push(
      `# HELP ${twin.name} [ALPHA] [Deprecated: Use ${name}] ${help}\n# TYPE ${twin.name} ${type}\n`,
    );
    const names = twin.labelNames ?? twin.labels;
    this.#renderRows(out, twin.name, names, this.#sorted(twin.labels));
  }

  /** Rows summed over the labels that are not asked for, sorted by label values. */
  #sorted(labels: readonly string[]): [readonly string[], Float64Array][] {
    const positions = labels.map((label) => this.definition.labels.indexOf(label));
    const sums = new Map<string, [readonly string[], Float64Array]>();
    const width = this.#width;
    for (let row = 0; row < this.#labels.length; row++) {
      const values = positions.map((position) => this.#labels[row]![position]!);
      const key = values.join("\u0000");
      const own = this.#values.subarray(row * width, (row + 1) * width);
      const sum = sums.get(key);
      if (sum === undefined) {
        sums.set(key, [values, own.slice()]);
      } else {
        for (let i = 0; i < width; i++) sum[1][i] = sum[1][i]! + own[i]!;
      }
    }
    return [...sums.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  }

  #renderRows(
    out: string[],
    name: string,
    labels: readonly string[],
    rows: readonly [readonly string[], Float64Array][],
  ): void {
    for (const [values, numbers] of rows) {
      const text = labels.map((label, i) => `${label}="${escapeLabel(values[i]!)}"`).join(",");
      if (this.definition.type !== "histogram") {
        out.push(`${name}${text === "" ? "" : `{${text}}`} ${formatNumber(numbers[0]!)}\n`);
        continue;
      }
      const prefix = text === "" ? "" : `${text},`;
      let count = 0;
      for (let i = 0; i < this.#buckets.length; i++) {
        count += numbers[i]!;
        out.push(`${name}_bucket{${prefix}le="${formatNumber(this.#buckets[i]!)}"} ${count}\n`);
      }
      count += numbers[this.#buckets.length]!;
      const suffix = text === "" ? "" : `{${text}}`;
      out.push(
        `${name}_bucket{${prefix}le="+Inf"} ${count}\n`,
        `${name}_sum${suffix} ${formatNumber(numbers[this.#width - 1]!)}\n`,
        `${name}_count${suffix} ${count}\n`,
      );
    }
  }
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));
}

function formatNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
