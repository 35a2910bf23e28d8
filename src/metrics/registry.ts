/**
 * Counters, gauges and histograms as rows of typed arrays: labels are resolved to a row once, the hot path adds to a
 * number, and text is made only when somebody scrapes. Deprecated twins are views on the same rows.
 * @module
 */
import type { FamilyDefinition } from "./catalog.ts";

/** A row of a family; obtained once, used on the hot path. */
export type Row = number;

/** Series a family may have; later label sets share one more, whose values are all "other". */
export const SERIES_PER_FAMILY_MAX = 4096;
/** Label value of what is beyond a bound. */
export const OTHER = "other";

/** What stands on the page under one family name; pages are sorted by it. */
export class ExpositionBlock {
  readonly name: string;
  /** The head, then series by series, so that whoever writes a long page can let others have a turn. */
  readonly parts: () => Iterable<string>;

  constructor(name: string, parts: () => Iterable<string>) {
    this.name = name;
    this.parts = parts;
  }

  get text(): string {
    return [...this.parts()].join("");
  }
}

const INITIAL_ROWS = 8;

export class Family {
  readonly definition: FamilyDefinition;
  readonly #buckets: readonly number[];
  /** The buckets as text. */
  readonly #bounds: readonly string[];
  /** Numbers a row takes: 1, or buckets + overflow + sum. */
  readonly #width: number;
  readonly #rows = new Map<string, Row>();
  readonly #labels: (readonly string[])[] = [];
  #values: Float64Array;

  constructor(definition: FamilyDefinition) {
    this.definition = definition;
    this.#buckets = definition.buckets ?? [];
    this.#bounds = this.#buckets.map(formatBound);
    this.#width = definition.type === "histogram" ? this.#buckets.length + 2 : 1;
    this.#values = new Float64Array(INITIAL_ROWS * this.#width);
    if (definition.labels.length === 0 && !definition.isAbsentUntilSet) this.row();
  }

  /** Row for these label values, in the order of the definition's labels. */
  row(...labels: readonly string[]): Row {
    const key = keyOf(labels);
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    if (this.#rows.size < SERIES_PER_FAMILY_MAX) return this.#append(key, labels);
    const others = labels.map(() => OTHER);
    const overflowKey = keyOf(others);
    return this.#rows.get(overflowKey) ?? this.#append(overflowKey, others);
  }

  #append(key: string, labels: readonly string[]): Row {
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

  /** Counts one observation of a histogram; what is no number would spoil the sum for good, and is left out. */
  observe(row: Row, value: number): void {
    if (Number.isNaN(value)) return;
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

  /** Sets all rows of a gauge that is filled anew at each scrape to 0; the series stay. */
  zero(): void {
    this.#values.fill(0);
  }

  /** The family, and its deprecated twin where it has one. */
  blocks(): ExpositionBlock[] {
    const { name, help, labels, twin } = this.definition;
    const own = new ExpositionBlock(name, () => this.#parts(name, help, labels, labels));
    if (twin === undefined) return [own];
    const twinHelp = `[Deprecated: Use ${name}] ${help}`;
    const names = twin.labelNames ?? twin.labels;
    return [
      own,
      new ExpositionBlock(twin.name, () => this.#parts(twin.name, twinHelp, twin.labels, names)),
    ];
  }

  *#parts(
    name: string,
    help: string,
    labels: readonly string[],
    labelNames: readonly string[],
  ): Generator<string> {
    yield `# HELP ${name} [ALPHA] ${help}\n# TYPE ${name} ${this.definition.type}\n`;
    // Copied at once, so that a series is of one moment whatever happens between two turns.
    for (const [values, numbers] of this.#sorted(labels)) {
      yield this.#series(name, labelNames, values, numbers);
    }
  }

  /** Rows summed over the labels that are not asked for, sorted by label values. */
  #sorted(labels: readonly string[]): [readonly string[], Float64Array][] {
    const positions = labels.map((label) => this.definition.labels.indexOf(label));
    const sums = new Map<string, [readonly string[], Float64Array]>();
    const width = this.#width;
    for (let row = 0; row < this.#labels.length; row++) {
      const values = positions.map((position) => this.#labels[row]![position]!);
      const key = keyOf(values);
      const own = this.#values.subarray(row * width, (row + 1) * width);
      const sum = sums.get(key);
      if (sum === undefined) {
        sums.set(key, [values, own.slice()]);
      } else {
        for (let i = 0; i < width; i++) sum[1][i] = sum[1][i]! + own[i]!;
      }
    }
    return [...sums.values()].sort(([a], [b]) => compareLists(a, b));
  }

  #series(
    name: string,
    labels: readonly string[],
    values: readonly string[],
    numbers: Float64Array,
  ): string {
    const text = labels.map((label, i) => `${label}="${escapeLabel(values[i]!)}"`).join(",");
    const suffix = text === "" ? "" : `{${text}}`;
    if (this.definition.type !== "histogram") {
      return `${name}${suffix} ${formatNumber(numbers[0]!)}\n`;
    }
    const prefix = text === "" ? "" : `${text},`;
    let out = "";
    let count = 0;
    for (let i = 0; i < this.#buckets.length; i++) {
      count += numbers[i]!;
      out += `${name}_bucket{${prefix}le="${this.#bounds[i]}"} ${count}\n`;
    }
    count += numbers[this.#buckets.length]!;
    out += `${name}_bucket{${prefix}le="+Inf"} ${count}\n`;
    out += `${name}_sum${suffix} ${formatNumber(numbers[this.#width - 1]!)}\n`;
    return `${out}${name}_count${suffix} ${count}\n`;
  }
}

/** Unlike for different lists: values come from clients and may hold any separator, so each stands behind its length. */
function keyOf(labels: readonly string[]): string {
  let key = "";
  for (const label of labels) key += `${label.length}:${label}`;
  return key;
}

function compareLists(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  }
  return 0;
}

/** Decimal exponents that client_golang (strconv, format g, shortest) writes without an exponent. */
const PLAIN_EXPONENT_MIN = -4;
const PLAIN_EXPONENT_MAX = 5;

/** A bucket bound as Go writes it: `1.048576e+06`, `1e-06`. */
function formatBound(value: number): string {
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  const power = Number(exponent);
  if (power >= PLAIN_EXPONENT_MIN && power <= PLAIN_EXPONENT_MAX) return String(value);
  return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));
}

function formatNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
