/**
 * Endpoint facts in shared memory: scraper threads write rows, the scheduler reads them, nobody waits.
 *
 *   byte 0            64          128                        rowsOffset (64-byte aligned)
 *   ┌─────────────────┬───────────┬──────────────────────────┬─────────┬─────────┬───
 *   │ magic, layout   │ changes   │ versions: i32 x capacity │ row 0   │ row 1   │ …
 *   │ version,        │ (i32)     │ even = row is stable     │ 640 B   │ 640 B   │
 *   │ capacity        │           │ odd  = being written     │         │         │
 *   └─────────────────┴───────────┴──────────────────────────┴─────────┴─────────┴───
 *
 * The versions stand apart from the rows so that a reader finds the rows that moved in one short walk (16 versions a
 * cache line) instead of touching each row.
 *
 * Seqlock, one writer per row (a slot belongs to one scraper thread for life):
 *
 *   writer   version = odd       W1      reader   v1 = version        R1   odd: try again
 *            row words           W2               row words           R2
 *            version = even      W3               v2 = version        R3   v2 != v1: try again
 *            changes += 1        W4      waits for W4 where it has nothing else to do: nextChange()
 *
 * Every word is stored and loaded with Atomics, hence in one total order: W3 publishes the row (a reader that sees it
 * sees all of W2), and a reader whose R2 took any word of a later W2 sees that write's W1 in R3. A float is two words
 * of one row and is covered by the same check. A reader gives up after `READ_ATTEMPTS_MAX` and keeps what it has: a
 * writer that died between W1 and W3 leaves the version odd until its successor writes the row.
 * @module
 */
import { limits } from "../scheduler/index.ts";

/** Raised with every change of the offsets below; both ends compare it at attach. */
export const LAYOUT_VERSION = 2;

/** "EPT1": a buffer that is not ours is refused. */
const MAGIC = 0x45505431;

const CACHE_LINE_BYTES = 64;

/** Header words (i32 index). Written once by `create`, but for `changes`, which every writer raises (W4). */
const Header = { magic: 0, layoutVersion: 1, capacity: 2, changes: CACHE_LINE_BYTES / 4 } as const;

const VERSIONS_WORD = (2 * CACHE_LINE_BYTES) / 4;

/** Two u32 halves a name. */
const ADAPTER_WORDS = 2 * limits.adaptersPerEndpointMax;

/**
 * Words of a row (i32 index from the row's start). Writer: the scraper thread that owns the slot. Readers: any.
 * Times are ms of `processClock`; `f64` fields take two words.
 */
const Row = {
  generation: 0, // i32, generation of the slot that the facts belong to
  known: 1, // i32, `Known` bits of the newest good scrape
  waiting: 2, // i32, requests
  running: 3, // i32, requests
  kvUtilization: 4, // f64, ratio
  scrapeStartMs: 6, // f64, start of the newest good scrape, 0 = none
  scrapeEndMs: 8, // f64, its end
  maxAdapters: 10, // i32
  cacheBlockSize: 11, // i32, tokens
  cacheBlocks: 12, // i32
  activeAdapterCount: 13, // i32, 0 .. adaptersPerEndpointMax
  waitingAdapterCount: 14, // i32, same
  scrapeFailures: 15, // i32, failed scrapes in a row
  scrapesOk: 16, // u32, good scrapes of this endpoint, wraps
  scalars: 18, // f64 x scalarsPerEndpointMax, NaN = not supplied
  activeAdapters: 32, // u32 (lo, hi) x adaptersPerEndpointMax; only [0, 2 x count) is written
  waitingAdapters: 32 + ADAPTER_WORDS, // same
} as const;

const ROW_WORDS = alignUp(Row.waitingAdapters + ADAPTER_WORDS, CACHE_LINE_BYTES / 4);

/** Attempts of one read; a write takes well under a microsecond, so more means a dead or stopped writer. */
export const READ_ATTEMPTS_MAX = 64;

/** A row outside shared memory: the scraper's working copy, and what a reader reads into. */
export class EndpointRow {
  generation = 0;
  known = 0;
  waiting = 0;
  running = 0;
  kvUtilization = 0;
  scrapeStartMs = 0;
  scrapeEndMs = 0;
  maxAdapters = 0;
  cacheBlockSize = 0;
  cacheBlocks = 0;
  activeAdapterCount = 0;
  waitingAdapterCount = 0;
  scrapeFailures = 0;
  scrapesOk = 0;
  /** NaN = not supplied. */
  readonly scalars = new Float64Array(limits.scalarsPerEndpointMax).fill(Number.NaN);
  /** (lo, hi) pairs; only [0, 2 x count) counts. */
  readonly activeAdapters = new Uint32Array(ADAPTER_WORDS);
  readonly waitingAdapters = new Uint32Array(ADAPTER_WORDS);
}

/** One float seen as two words, for the thread that runs this module. */
const float = new Float64Array(1);
const floatWords = new Int32Array(float.buffer);

export class EndpointTable {
  /** The memory itself: hand it to another thread and attach there. */
  readonly buffer: SharedArrayBuffer;
  /** Rows, one per slot. */
  readonly capacity: number;
  readonly #words: Int32Array;
  readonly #rowsWord: number;

  private constructor(buffer: SharedArrayBuffer, capacity: number) {
    this.buffer = buffer;
    this.capacity = capacity;
    this.#words = new Int32Array(buffer);
    this.#rowsWord = rowsWord(capacity);
  }

  /**
   * Allocates a table.
   *
   * @param capacity slots, 1 .. limits.endpointsMax
   */
  static create(capacity: number = limits.endpointsMax): EndpointTable {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > limits.endpointsMax) {
      throw new RangeError(
        `endpoint table: capacity must be 1 to ${limits.endpointsMax}, got ${capacity}`,
      );
    }
    const words = new Int32Array(new SharedArrayBuffer(tableBytes(capacity)));
    words[Header.magic] = MAGIC;
    words[Header.layoutVersion] = LAYOUT_VERSION;
    words[Header.capacity] = capacity;
    return new EndpointTable(words.buffer, capacity);
  }

  /** Opens a table that another thread has created. @throws {Error} when the memory is not such a table */
  static attach(buffer: SharedArrayBuffer): EndpointTable {
    const header = new Int32Array(buffer, 0, buffer.byteLength < CACHE_LINE_BYTES ? 0 : 3);
    const capacity = header[Header.capacity] ?? 0;
    if (
      header[Header.magic] !== MAGIC ||
      header[Header.layoutVersion] !== LAYOUT_VERSION ||
      buffer.byteLength !== tableBytes(capacity)
    ) {
      throw new Error(
        `endpoint table: the memory (${buffer.byteLength} bytes) does not hold layout ${LAYOUT_VERSION}`,
      );
    }
    return new EndpointTable(buffer, capacity);
  }

  /** Moves with every written row; wraps. */
  changes(): number {
    return Atomics.load(this.#words, Header.changes);
  }

  /**
   * Waits for the next row that is written. Costs nothing until then, and does not keep the process alive.
   *
   * @param changes what `changes()` has given last
   * @returns resolves when it is another number; null = it is already
   */
  nextChange(changes: number): Promise<unknown> | null {
    const waiter = Atomics.waitAsync(this.#words, Header.changes, changes);
    return waiter.async ? waiter.value : null;
  }

  /** Version of a row: even = stable, 0 = never written; wraps. */
  version(slot: number): number {
    return Atomics.load(this.#words, VERSIONS_WORD + slot);
  }

  /** Publishes a row. Only the thread that owns the slot may call it. */
  write(slot: number, row: EndpointRow): void {
    const words = this.#words;
    const at = this.#rowsWord + slot * ROW_WORDS;
    const version = VERSIONS_WORD + slot;
    // An odd version is what a dead predecessor left; it goes on as odd and ends even, two higher.
    const writing = (Atomics.load(words, version) + 1) | 1;
    Atomics.store(words, version, writing);
    Atomics.store(words, at + Row.generation, row.generation);
    Atomics.store(words, at + Row.known, row.known);
    Atomics.store(words, at + Row.waiting, row.waiting);
    Atomics.store(words, at + Row.running, row.running);
    storeFloat(words, at + Row.kvUtilization, row.kvUtilization);
    storeFloat(words, at + Row.scrapeStartMs, row.scrapeStartMs);
    storeFloat(words, at + Row.scrapeEndMs, row.scrapeEndMs);
    Atomics.store(words, at + Row.maxAdapters, row.maxAdapters);
    Atomics.store(words, at + Row.cacheBlockSize, row.cacheBlockSize);
    Atomics.store(words, at + Row.cacheBlocks, row.cacheBlocks);
    Atomics.store(words, at + Row.activeAdapterCount, row.activeAdapterCount);
    Atomics.store(words, at + Row.waitingAdapterCount, row.waitingAdapterCount);
    Atomics.store(words, at + Row.scrapeFailures, row.scrapeFailures);
    Atomics.store(words, at + Row.scrapesOk, row.scrapesOk);
    for (let i = 0; i < limits.scalarsPerEndpointMax; i++) {
      storeFloat(words, at + Row.scalars + 2 * i, row.scalars[i]!);
    }
    storeNames(words, at + Row.activeAdapters, row.activeAdapters, row.activeAdapterCount);
    storeNames(words, at + Row.waitingAdapters, row.waitingAdapters, row.waitingAdapterCount);
    Atomics.store(words, version, (writing + 1) | 0);
    Atomics.add(words, Header.changes, 1);
    Atomics.notify(words, Header.changes);
  }

  /**
   * Copies a stable row.
   *
   * @param row overwritten; undefined content when false is returned
   * @returns the version that was read (even), or -1 when no stable row was seen in READ_ATTEMPTS_MAX attempts
   */
  read(slot: number, row: EndpointRow): number {
    const words = this.#words;
    const at = this.#rowsWord + slot * ROW_WORDS;
    const versionWord = VERSIONS_WORD + slot;
    for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt++) {
      const version = Atomics.load(words, versionWord);
      if ((version & 1) !== 0) continue;
      row.generation = Atomics.load(words, at + Row.generation);
      row.known = Atomics.load(words, at + Row.known);
      row.waiting = Atomics.load(words, at + Row.waiting);
      row.running = Atomics.load(words, at + Row.running);
      row.kvUtilization = loadFloat(words, at + Row.kvUtilization);
      row.scrapeStartMs = loadFloat(words, at + Row.scrapeStartMs);
      row.scrapeEndMs = loadFloat(words, at + Row.scrapeEndMs);
      row.maxAdapters = Atomics.load(words, at + Row.maxAdapters);
      row.cacheBlockSize = Atomics.load(words, at + Row.cacheBlockSize);
      row.cacheBlocks = Atomics.load(words, at + Row.cacheBlocks);
      row.activeAdapterCount = Atomics.load(words, at + Row.activeAdapterCount);
      row.waitingAdapterCount = Atomics.load(words, at + Row.waitingAdapterCount);
      row.scrapeFailures = Atomics.load(words, at + Row.scrapeFailures);
      row.scrapesOk = Atomics.load(words, at + Row.scrapesOk) >>> 0;
      for (let i = 0; i < limits.scalarsPerEndpointMax; i++) {
        row.scalars[i] = loadFloat(words, at + Row.scalars + 2 * i);
      }
      loadNames(words, at + Row.activeAdapters, row.activeAdapters, row.activeAdapterCount);
      loadNames(words, at + Row.waitingAdapters, row.waitingAdapters, row.waitingAdapterCount);
      if (Atomics.load(words, versionWord) === version) return version >>> 0;
    }
    return -1;
  }
}

function rowsWord(capacity: number): number {
  return alignUp(VERSIONS_WORD + capacity, CACHE_LINE_BYTES / 4);
}

function tableBytes(capacity: number): number {
  return 4 * (rowsWord(capacity) + capacity * ROW_WORDS);
}

function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function storeFloat(words: Int32Array, at: number, value: number): void {
  float[0] = value;
  Atomics.store(words, at, floatWords[0]!);
  Atomics.store(words, at + 1, floatWords[1]!);
}

function loadFloat(words: Int32Array, at: number): number {
  floatWords[0] = Atomics.load(words, at);
  floatWords[1] = Atomics.load(words, at + 1);
  return float[0]!;
}

function storeNames(words: Int32Array, at: number, names: Uint32Array, count: number): void {
  for (let i = 0; i < 2 * count; i++) Atomics.store(words, at + i, names[i]! | 0);
}

/** The count may be a torn one: names outside the row's own words are never read. */
function loadNames(words: Int32Array, at: number, names: Uint32Array, count: number): void {
  const end = Math.min(2 * count, ADAPTER_WORDS);
  for (let i = 0; i < end; i++) names[i] = Atomics.load(words, at + i);
}
