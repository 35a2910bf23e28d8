/**
 * Reads the few wanted facts from a raw metrics page: finds the lines of the wanted families and parses only those.
 * It never parses a whole page, makes no string of a number, and takes any bytes.
 *
 * What a sample must be: finite and not negative; others are as if absent. Of the series that match a selector,
 *
 *   any has a timestamp   the newest timestamp wins (ties: the first)
 *   else, `upstream`      the first series
 *   else, `sum`           the series that differ from the first one only in rank labels, combined: per engine
 *                         (`engine`, `dp_rank`) the maximum over `tp_rank`, `pp_rank`, `moe_ep_rank`, `pid`; then the
 *                         sum over engines, and of KV utilization the mean weighted by blocks
 * @module
 */
import { Known } from "../scheduler/index.ts";
import type { EngineDefinition, ScalarSpec } from "./engines/engine.ts";
import {
  bytesEqual,
  readLabelInteger,
  readTrailingValue,
  SampleLine,
  unescapeLabel,
} from "./exposition.ts";
import { FamilyLines, LINE_BYTES_MAX, ScanHints } from "./family-lines.ts";
import { type PageFacts, Remark } from "./page-facts.ts";
import { otherLabelsHash, RankValues, rankKey } from "./rank-values.ts";
import { type InfoSelector, planScan, type ScanPlan, type SeriesSelector } from "./scan-plan.ts";

/** How series of one family are combined: over data-parallel ranks, or as upstream does, the first one only. */
export type Aggregation = "sum" | "upstream";

const INT32_MAX = 0x7fffffff;

/** A KV utilization above this is percent: engines report up to a little over 1 as a ratio. */
const RATIO_MAX = 1.5;

const HASH = 35;

const MAX_LORA = Buffer.from("max_lora");
const RUNNING_ADAPTERS = Buffer.from("running_lora_adapters");
const WAITING_ADAPTERS = Buffer.from("waiting_lora_adapters");

/** Reads pages of one engine; serves any number of endpoints, each with its own hints. */
export class PageScanner {
  readonly engine: EngineDefinition;
  readonly #plan: ScanPlan;
  readonly #aggregation: Aggregation;
  readonly #lines: FamilyLines;
  readonly #line = new SampleLine();
  readonly #values = new RankValues();
  /** Blocks of each engine of the page, the weights of the KV mean. */
  readonly #blocks = new RankValues();
  readonly #unescaped = Buffer.alloc(LINE_BYTES_MAX);
  #page: Buffer = Buffer.alloc(0);

  /**
   * @param fullSearchPages see `FamilyLines`; 1 = search every page whole
   * @param scalars         attributes to read besides those of the engine
   */
  constructor(
    engine: EngineDefinition,
    aggregation: Aggregation = "sum",
    fullSearchPages?: number,
    scalars: readonly ScalarSpec[] = [],
  ) {
    this.engine = engine;
    this.#plan = planScan(engine, scalars);
    this.#aggregation = aggregation;
    this.#lines = new FamilyLines(fullSearchPages);
  }

  /** Memory of one endpoint's pages. */
  createHints(): ScanHints {
    return new ScanHints(this.#plan.familyCount);
  }

  /**
   * Reads a page.
   *
   * @param page exactly the page; its bytes are not looked at after the call
   * @param hints of this endpoint, made by this scanner
   * @param facts overwritten
   * @returns `Known` bits of what was found (also in `facts.found`); 0 = nothing of this engine
   *
   * Cost: about 5 us for a vLLM page of 50 kB (bench: micro/scan-metrics).
   */
  scan(page: Buffer, hints: ScanHints, facts: PageFacts): number {
    const plan = this.#plan;
    this.#page = page;
    this.#lines.open(page, hints);
    facts.found = 0;
    facts.remarks = 0;
    // Blocks first: they weigh the KV utilization of the engines.
    this.#blocks.reset();
    for (const info of plan.cacheInfo) if (this.#readInfo(info, facts)) break;
    this.#readBlockSize(plan.cacheBlockSize, facts);
    this.#readBlocks(plan.cacheBlocks, facts);
    if (this.#readFirst(plan.waiting, this.#values)) {
      facts.waiting = toInt32(this.#values.sum());
      facts.found |= Known.waiting;
    }
    if (this.#readFirst(plan.running, this.#values)) {
      facts.running = toInt32(this.#values.sum());
      facts.found |= Known.running;
    }
    if (this.#readFirst(plan.kvUtilization, this.#values)) {
      if (this.#values.scaleAbove(RATIO_MAX, 1 / 100)) facts.remarks |= Remark.kvPercent;
      facts.kvUtilization = this.#values.mean(this.#blocks);
      facts.found |= Known.kvUtilization;
    }
    for (const selector of plan.adapters) if (this.#readAdapters(selector, facts)) break;
    facts.scalars.fill(Number.NaN);
    for (const { index, series } of plan.scalars) {
      if (!this.#readSeries(series, this.#values)) continue;
      facts.scalars[index] = this.#values.sum();
      facts.found |= Known.scalars;
    }
    // A page without any fact says nothing of the next one: it may be an error page, or another path's.
    if (facts.found === 0) hints.pagesToFullSearch = 0;
    return facts.found;
  }

  #readBlockSize(selectors: readonly SeriesSelector[], facts: PageFacts): void {
    if ((facts.found & Known.cacheBlockSize) !== 0 || !this.#readFirst(selectors, this.#values)) {
      return;
    }
    // Ranks of one server have one block size.
    const size = toInt32(this.#values.valueAt(0));
    if (size < 1) return;
    facts.cacheBlockSize = size;
    facts.found |= Known.cacheBlockSize;
  }

  #readBlocks(selectors: readonly SeriesSelector[], facts: PageFacts): void {
    if ((facts.found & Known.cacheBlocks) !== 0 || !this.#readFirst(selectors, this.#blocks)) {
      return;
    }
    const blocks = toInt32(this.#blocks.sum());
    if (blocks < 1) return;
    facts.cacheBlocks = blocks;
    facts.found |= Known.cacheBlocks;
  }

  /** Fills `out` from the first selector that has a usable sample. */
  #readFirst(selectors: readonly SeriesSelector[], out: RankValues): boolean {
    for (const selector of selectors) if (this.#readSeries(selector, out)) return true;
    return false;
  }

  #readSeries(selector: SeriesSelector, out: RankValues): boolean {
    const page = this.#page;
    const line = this.#line;
    out.reset();
    let newest = Number.NEGATIVE_INFINITY;
    let group = 0;
    for (let more = this.#lines.first(selector.family); more; more = this.#lines.next()) {
      if (!this.#parse(selector)) continue;
      const { value, timestamp } = line;
      if (!(value >= 0) || value === Number.POSITIVE_INFINITY) continue;
      if (!Number.isNaN(timestamp)) {
        if (timestamp <= newest) continue;
        newest = timestamp;
        out.reset();
        out.putMax(0, value);
      } else if (newest === Number.NEGATIVE_INFINITY) {
        if (out.count === 0) group = otherLabelsHash(page, line);
        else if (this.#aggregation === "upstream" || otherLabelsHash(page, line) !== group) {
          continue;
        }
        out.putMax(rankKey(page, line), value);
      }
    }
    return out.count > 0;
  }

  /** @returns whether the family was there */
  #readInfo(info: InfoSelector, facts: PageFacts): boolean {
    const line = this.#line;
    let newest = Number.NEGATIVE_INFINITY;
    let size = 0;
    let seen = false;
    const { family } = info.series;
    for (let more = this.#lines.first(family); more; more = this.#lines.next()) {
      if (!this.#parse(info.series)) continue;
      if (!Number.isNaN(line.timestamp)) {
        if (line.timestamp <= newest) continue;
        newest = line.timestamp;
        size = 0;
        this.#blocks.reset();
      } else if (newest !== Number.NEGATIVE_INFINITY) continue;
      else if (seen && this.#aggregation === "upstream") continue;
      seen = true;
      const blocks = this.#readLabelInteger(info.blocksLabel, facts);
      if (blocks > 0) this.#blocks.putMax(rankKey(this.#page, line), blocks);
      const blockSize = this.#readLabelInteger(info.blockSizeLabel, facts);
      if (size < 1) size = blockSize;
    }
    if (size > 0) {
      facts.cacheBlockSize = size;
      facts.found |= Known.cacheBlockSize;
    }
    if (this.#blocks.count > 0) {
      facts.cacheBlocks = toInt32(this.#blocks.sum());
      facts.found |= Known.cacheBlocks;
    }
    return seen;
  }

  /**
   * The series with the greatest value (Unix seconds of its last update) is the present state; the others are former
   * ones that the exporter still lists.
   */
  #readAdapters(selector: SeriesSelector, facts: PageFacts): boolean {
    // The page moves a line's value to its end, so the labels need to be read of the winner only; when that one turns
    // out malformed, all lines are read whole.
    let winner = selector.labels.length === 0 ? this.#newestLine(selector, true) : REFUSED;
    if (winner === REFUSED) winner = this.#newestLine(selector, false);
    if (winner < 0) return false;
    const page = this.#page;
    const line = this.#line;
    facts.maxAdapters = this.#readLabelInteger(MAX_LORA, facts);
    const running = line.indexOf(page, RUNNING_ADAPTERS);
    const waiting = line.indexOf(page, WAITING_ADAPTERS);
    facts.activeAdapters.clear();
    facts.waitingAdapters.clear();
    if (running >= 0) {
      facts.activeAdapters.read(page, line.valueStarts[running]!, line.valueEnds[running]!);
    }
    if (waiting >= 0) {
      facts.waitingAdapters.read(page, line.valueStarts[waiting]!, line.valueEnds[waiting]!);
    }
    facts.found |= Known.adapters;
    return true;
  }

  /**
   * Finds the line with the greatest value and leaves it parsed.
   *
   * @param quick take values from line ends
   * @returns its start, NONE, or REFUSED when a quick winner did not stand the full parse
   */
  #newestLine(selector: SeriesSelector, quick: boolean): number {
    const page = this.#page;
    const line = this.#line;
    const nameLength = selector.family.name.length;
    let best = -1;
    let winner = NONE;
    let winnerEnd = 0;
    let hash = -1; // next '#' of the page: lines before it have no exemplar
    for (let more = this.#lines.first(selector.family); more; more = this.#lines.next()) {
      const { start, end } = this.#lines;
      let value = Number.NaN;
      if (quick) {
        if (hash < start) hash = indexOrEnd(page, HASH, start);
        if (hash >= end) value = readTrailingValue(page, start + nameLength, end);
      }
      if (Number.isNaN(value)) {
        if (!this.#parse(selector)) continue;
        value = line.value;
      }
      if (value >= 0 && value > best && value !== Number.POSITIVE_INFINITY) {
        best = value;
        winner = start;
        winnerEnd = end;
      }
    }
    if (winner === NONE) return NONE;
    const stands = line.parse(page, winner + nameLength, winnerEnd) && line.value === best;
    return stands ? winner : REFUSED;
  }

  /** Parses the current line. @returns whether it is well formed and has the selector's labels */
  #parse(selector: SeriesSelector): boolean {
    const { start, end } = this.#lines;
    if (!this.#line.parse(this.#page, start + selector.family.name.length, end)) return false;
    for (const label of selector.labels) {
      if (!this.#labelEquals(label.name, label.value)) return false;
    }
    return true;
  }

  /** A label that is absent equals the empty value, as in a Prometheus selector. */
  #labelEquals(name: Buffer, value: Buffer): boolean {
    const line = this.#line;
    const index = line.indexOf(this.#page, name);
    if (index < 0) return value.length === 0;
    const start = line.valueStarts[index]!;
    const end = line.valueEnds[index]!;
    if (line.escaped[index] === 0) return bytesEqual(this.#page, start, end, value);
    const length = unescapeLabel(this.#page, start, end, this.#unescaped);
    return bytesEqual(this.#unescaped, 0, length, value);
  }

  /** @returns the integer (clamped to int32), or -1 when the label is absent, empty or no integer */
  #readLabelInteger(name: Buffer, facts: PageFacts): number {
    const index = this.#line.indexOf(this.#page, name);
    if (index < 0) return -1;
    const value = readLabelInteger(
      this.#page,
      this.#line.valueStarts[index]!,
      this.#line.valueEnds[index]!,
    );
    if (!Number.isNaN(value)) return Math.min(value, INT32_MAX);
    facts.remarks |= Remark.labelInteger;
    return -1;
  }
}

/** Results of `#newestLine` that are no offset. */
const NONE = -1;
const REFUSED = -2;

function toInt32(value: number): number {
  return Math.min(Math.trunc(value), INT32_MAX);
}

function indexOrEnd(page: Buffer, byte: number, from: number): number {
  const index = page.indexOf(byte, from);
  return index < 0 ? page.length : index;
}
