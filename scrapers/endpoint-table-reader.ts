/**
 * Takes rows of the shared endpoint table over into the scheduler's columns, only those that have moved.
 * @module
 */
import { type EndpointColumns, type EndpointPool, limits } from "../scheduler/index.ts";
import { EndpointRow, type EndpointTable } from "./endpoint-table.ts";

const ADAPTER_WORDS = 2 * limits.adaptersPerEndpointMax;

/** Never the version of a stable row, those are even. */
const NOT_READ = -1;

export class EndpointTableReader {
  /** Rows that could not be read because no stable state was seen; the columns kept the last good one. */
  rowsGivenUp = 0;

  readonly #table: EndpointTable;
  readonly #row = new EndpointRow();
  /** Version and generation taken over per slot. */
  readonly #versions: Float64Array;
  readonly #generations: Int32Array;
  #changes = 0;
  #poolVersion = -1;
  /** A row was busy or of another generation: walk again although nothing moves. */
  #unfinished = false;

  constructor(table: EndpointTable) {
    this.#table = table;
    this.#versions = new Float64Array(table.capacity).fill(NOT_READ);
    this.#generations = new Int32Array(table.capacity);
  }

  /**
   * Copies the rows of live slots that changed since the last call into `pool.columns`. A row of another generation
   * than the slot's is left alone: it is of the endpoint that had the slot before. A row with a newer scrape resets
   * `creditSinceScrape`; `inflight`, `inflightTokens` and `generation` are never touched.
   *
   * @returns rows copied
   *
   * Thread: the one that owns the pool. Cost: one load when nothing moved, else O(live slots) and about 0.3 us a row.
   */
  refresh(pool: EndpointPool): number {
    // Loaded before the rows: a row written during the walk moves it again and is found by the next call.
    const changes = this.#table.changes();
    if (changes === this.#changes && pool.version === this.#poolVersion && !this.#unfinished) {
      return 0;
    }
    this.#changes = changes;
    this.#poolVersion = pool.version;
    this.#unfinished = false;
    const columns = pool.columns;
    let copied = 0;
    for (let i = 0; i < pool.liveCount; i++) {
      const slot = pool.live[i]!;
      if (slot < this.#table.capacity && this.#refreshSlot(columns, slot)) copied++;
    }
    return copied;
  }

  /** Calls once, in a turn of its own, when a row has moved since the last `refresh`. */
  whenMoved(callback: () => void): void {
    const change = this.#table.nextChange(this.#changes);
    if (change === null) setImmediate(callback);
    else void change.then(callback);
  }

  #refreshSlot(columns: EndpointColumns, slot: number): boolean {
    const generation = columns.generation[slot]!;
    if (this.#generations[slot] !== generation) {
      this.#generations[slot] = generation;
      this.#versions[slot] = NOT_READ;
    }
    const seen = this.#versions[slot]!;
    const version = this.#table.version(slot) >>> 0;
    if (version === seen || version === 0) return false;
    const read = this.#table.read(slot, this.#row);
    if (read < 0) {
      this.rowsGivenUp++;
      this.#unfinished = true;
      return false;
    }
    this.#versions[slot] = read;
    if (this.#row.generation !== generation) return false;
    copyRow(columns, slot, this.#row);
    return true;
  }
}

function copyRow(columns: EndpointColumns, slot: number, row: EndpointRow): void {
  columns.scrapeFailures[slot] = row.scrapeFailures;
  if (row.scrapeStartMs <= columns.scrapedAtMs[slot]!) return; // no newer good scrape: the facts are the same
  columns.waiting[slot] = row.waiting;
  columns.running[slot] = row.running;
  columns.kvUtilization[slot] = row.kvUtilization;
  columns.maxAdapters[slot] = row.maxAdapters;
  columns.cacheBlockSize[slot] = row.cacheBlockSize;
  columns.cacheBlocks[slot] = row.cacheBlocks;
  columns.known[slot] = row.known;
  columns.scrapedAtMs[slot] = row.scrapeStartMs;
  columns.creditSinceScrape[slot] = 0;
  columns.activeAdapterCount[slot] = row.activeAdapterCount;
  columns.waitingAdapterCount[slot] = row.waitingAdapterCount;
  const scalar = slot * limits.scalarsPerEndpointMax;
  for (let i = 0; i < limits.scalarsPerEndpointMax; i++) {
    columns.scalars[scalar + i] = row.scalars[i]!;
  }
  const at = slot * ADAPTER_WORDS;
  for (let i = 0; i < 2 * row.activeAdapterCount; i++) {
    columns.activeAdapters[at + i] = row.activeAdapters[i]!;
  }
  for (let i = 0; i < 2 * row.waitingAdapterCount; i++) {
    columns.waitingAdapters[at + i] = row.waitingAdapters[i]!;
  }
}
