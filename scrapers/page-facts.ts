/**
 * What one metrics page says of an endpoint. The object is reused from page to page.
 * @module
 */
import { hashNameBytes, limits } from "../scheduler/index.ts";
import { unescapeLabel } from "./exposition.ts";

const COMMA = 44;
const SPACE = 32;
const DELETE = 127;

const decoder = new TextDecoder();

/** Adapter names of one comma-separated label: hashes for the table, bytes for whoever wants the names. */
export class AdapterList {
  count = 0;
  /** (lo, hi) pairs; [0, 2 x count) counts. */
  readonly hashes = new Uint32Array(2 * limits.adaptersPerEndpointMax);
  readonly #starts = new Int32Array(limits.adaptersPerEndpointMax);
  readonly #ends = new Int32Array(limits.adaptersPerEndpointMax);
  #bytes = new Uint8Array(256);

  /**
   * Replaces the list by the entries of a raw label value: trimmed, blanks dropped, each once, the first
   * `limits.adaptersPerEndpointMax` of them.
   */
  read(page: Uint8Array, start: number, end: number): void {
    if (this.#bytes.length < end - start) this.#bytes = new Uint8Array(2 * (end - start));
    const bytes = this.#bytes;
    const length = unescapeLabel(page, start, end, bytes);
    this.count = 0;
    let from = 0;
    for (let at = 0; at <= length; at++) {
      if (at < length && bytes[at] !== COMMA) continue;
      this.#add(from, at);
      from = at + 1;
    }
  }

  clear(): void {
    this.count = 0;
  }

  /** Name of entry `index`, decoded anew at each call. */
  nameAt(index: number): string {
    return decoder.decode(this.#bytes.subarray(this.#starts[index]!, this.#ends[index]!));
  }

  #add(start: number, end: number): void {
    let from = start;
    let to = end;
    while (from < to && isSpace(this.#bytes[from]!)) from++;
    while (to > from && isSpace(this.#bytes[to - 1]!)) to--;
    if (from === to || this.count === limits.adaptersPerEndpointMax) return;
    const { lo, hi } = hashNameBytes(this.#bytes, from, to);
    for (let i = 0; i < this.count; i++) {
      if (this.hashes[2 * i] === lo && this.hashes[2 * i + 1] === hi) return;
    }
    this.hashes[2 * this.count] = lo;
    this.hashes[2 * this.count + 1] = hi;
    this.#starts[this.count] = from;
    this.#ends[this.count] = to;
    this.count++;
  }
}

/** Oddities of a page that an operator should hear of once. */
export const Remark = {
  /** A KV utilization above 1.5 was taken as percent. */
  kvPercent: 1,
  /** A label that should hold an integer held something else (`None`). */
  labelInteger: 2,
} as const;

export class PageFacts {
  /** `Known` bits of the facts that the page supplies; the fields of the others mean nothing. */
  found = 0;
  /** `Remark` bits. */
  remarks = 0;
  waiting = 0;
  running = 0;
  kvUtilization = 0;
  /** -1 = the adapters' line does not say it. */
  maxAdapters = 0;
  cacheBlockSize = 0;
  cacheBlocks = 0;
  /** By index of the attribute; NaN = the page does not supply it. */
  readonly scalars = new Float64Array(limits.scalarsPerEndpointMax).fill(Number.NaN);
  readonly activeAdapters = new AdapterList();
  readonly waitingAdapters = new AdapterList();
}

/** ASCII white space and control bytes. */
function isSpace(byte: number): boolean {
  return byte <= SPACE || byte === DELETE;
}
