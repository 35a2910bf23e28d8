/**
 * Values of the ranks of one server: which labels tell ranks apart, and how their values become one.
 * @module
 */
import { bytesEqual, type SampleLine } from "./exposition.ts";

/** Engines (data-parallel ranks) behind one page; the greatest deployments run a few dozen. */
export const ENGINES_PER_PAGE_MAX = 256;

/** Each value is an engine of its own: its requests and blocks add up. */
const ENGINE_LABELS = ["engine", "dp_rank"].map((name) => Buffer.from(name));
/** Parts or processes of one engine: all report the same requests. */
const PART_LABELS = ["tp_rank", "pp_rank", "moe_ep_rank", "pid"].map((name) => Buffer.from(name));

const FNV_PRIME = 0x01000193;
const FNV_BASIS = 0x811c9dc5;

/** Value of each engine of a page. */
export class RankValues {
  count = 0;
  readonly #keys = new Int32Array(ENGINES_PER_PAGE_MAX);
  readonly #values = new Float64Array(ENGINES_PER_PAGE_MAX);

  reset(): void {
    this.count = 0;
  }

  /** Keeps the greatest value of an engine; engines beyond ENGINES_PER_PAGE_MAX are left out. */
  putMax(key: number, value: number): void {
    const index = this.#indexOf(key);
    if (index >= 0) {
      if (value > this.#values[index]!) this.#values[index] = value;
    } else if (this.count < ENGINES_PER_PAGE_MAX) {
      this.#keys[this.count] = key;
      this.#values[this.count++] = value + 0; // -0 becomes 0
    }
  }

  valueAt(index: number): number {
    return this.#values[index]!;
  }

  sum(): number {
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum += this.#values[i]!;
    return sum;
  }

  /** Multiplies each value above `limit` by `factor`. @returns whether there was one */
  scaleAbove(limit: number, factor: number): boolean {
    let found = false;
    for (let i = 0; i < this.count; i++) {
      if (this.#values[i]! <= limit) continue;
      this.#values[i] = this.#values[i]! * factor;
      found = true;
    }
    return found;
  }

  /** Mean over engines, weighted when each of them has a positive weight in `weights`. */
  mean(weights: RankValues): number {
    if (this.count === 1) return this.#values[0]!;
    let sum = 0;
    let total = 0;
    for (let i = 0; i < this.count; i++) {
      const index = weights.#indexOf(this.#keys[i]!);
      const weight = index < 0 ? 0 : weights.#values[index]!;
      if (weight <= 0) return this.sum() / this.count;
      sum += weight * this.#values[i]!;
      total += weight;
    }
    return sum / total;
  }

  #indexOf(key: number): number {
    for (let i = 0; i < this.count; i++) if (this.#keys[i] === key) return i;
    return -1;
  }
}

/** Hash of the engine labels of a parsed line; a line without any has one key too. */
export function rankKey(page: Uint8Array, line: SampleLine): number {
  let key = 0;
  for (let i = 0; i < line.labelCount; i++) {
    if (isOneOf(page, line, i, ENGINE_LABELS)) key = (key + hashLabel(page, line, i)) | 0;
  }
  return key;
}

/** Hash of all labels but those of ranks, whatever their order. */
export function otherLabelsHash(page: Uint8Array, line: SampleLine): number {
  let hash = 0;
  for (let i = 0; i < line.labelCount; i++) {
    if (isOneOf(page, line, i, ENGINE_LABELS) || isOneOf(page, line, i, PART_LABELS)) continue;
    hash = (hash + hashLabel(page, line, i)) | 0;
  }
  return hash;
}

function isOneOf(
  page: Uint8Array,
  line: SampleLine,
  index: number,
  names: readonly Buffer[],
): boolean {
  const start = line.nameStarts[index]!;
  const end = line.nameEnds[index]!;
  for (const name of names) if (bytesEqual(page, start, end, name)) return true;
  return false;
}

/** Over the name, its end and the raw value. */
function hashLabel(page: Uint8Array, line: SampleLine, index: number): number {
  let hash = FNV_BASIS;
  for (let at = line.nameStarts[index]!; at < line.nameEnds[index]!; at++) {
    hash = Math.imul(hash ^ page[at]!, FNV_PRIME);
  }
  hash = Math.imul(hash, FNV_PRIME);
  for (let at = line.valueStarts[index]!; at < line.valueEnds[index]!; at++) {
    hash = Math.imul(hash ^ page[at]!, FNV_PRIME);
  }
  return hash;
}
