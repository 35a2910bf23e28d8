/**
 * The shared table: what is written is read, and a reader that meets a writer sees one of the rows, never a mix.
 * @module
 */
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { limits } from "../scheduler/index.ts";
import { EndpointRow, EndpointTable, READ_ATTEMPTS_MAX } from "./endpoint-table.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** A row whose every field follows from one number, so that a mix of two shows. */
function rowOf(seed: number): EndpointRow {
  const row = new EndpointRow();
  row.generation = seed;
  row.known = seed;
  row.waiting = seed;
  row.running = seed;
  row.kvUtilization = seed + 0.3;
  row.scrapeStartMs = seed * 1e6 + 0.1;
  row.scrapeEndMs = seed * 1e6 + 0.7;
  row.maxAdapters = seed;
  row.cacheBlockSize = seed;
  row.cacheBlocks = seed;
  row.activeAdapterCount = seed % 4;
  row.waitingAdapterCount = seed % 3;
  row.scrapeFailures = seed;
  row.scrapesOk = seed;
  row.activeAdapters.fill(seed, 0, 2 * row.activeAdapterCount);
  row.waitingAdapters.fill(seed, 0, 2 * row.waitingAdapterCount);
  return row;
}

function read(table: EndpointTable, slot: number): EndpointRow {
  const row = new EndpointRow();
  expect(table.read(slot, row)).toBeGreaterThanOrEqual(0);
  return row;
}

test("any row is read back as it was written, and no other slot changes", () => {
  const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const count = fc.nat(limits.adaptersPerEndpointMax);
  const untouched = new EndpointRow();
  untouched.scalars.fill(0); // no row was ever written there
  fc.assert(
    fc.property(
      fc.nat(7),
      fc.array(int32, { minLength: 8, maxLength: 8 }),
      fc.array(fc.double(), { minLength: 3, maxLength: 3 }),
      count,
      count,
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      (slot, ints, floats, active, waiting, hash) => {
        const table = EndpointTable.create(8);
        const row = new EndpointRow();
        [row.generation, row.known, row.waiting, row.running] = ints as [
          number,
          number,
          number,
          number,
        ];
        [row.maxAdapters, row.cacheBlockSize, row.cacheBlocks, row.scrapeFailures] = ints.slice(
          4,
        ) as [number, number, number, number];
        [row.kvUtilization, row.scrapeStartMs, row.scrapeEndMs] = floats as [
          number,
          number,
          number,
        ];
        row.scrapesOk = hash;
        row.scalars.set(floats);
        row.activeAdapterCount = active;
        row.waitingAdapterCount = waiting;
        row.activeAdapters.fill(hash, 0, 2 * active);
        row.waitingAdapters.fill(~hash, 0, 2 * waiting);
        table.write(slot, row);
        expect(read(EndpointTable.attach(table.buffer), slot)).toEqual(row);
        for (let other = 0; other < 8; other++) {
          if (other !== slot) expect(read(table, other)).toEqual(untouched);
        }
      },
    ),
  );
});

test("each write moves the row's version by two and the change counter by one", () => {
  const table = EndpointTable.create(4);
  table.write(2, rowOf(1));
  table.write(2, rowOf(2));
  table.write(3, rowOf(3));
  expect([0, 1, 2, 3].map((slot) => table.version(slot))).toEqual([0, 0, 4, 2]);
  expect(table.changes()).toBe(3);
});

test("rows begin at 64-byte boundaries and fill the memory to its end", () => {
  for (const capacity of [1, 15, 16, 17, limits.endpointsMax]) {
    expect(EndpointTable.create(capacity).buffer.byteLength % 64).toBe(0);
  }
  const table = EndpointTable.create(3);
  table.write(2, rowOf(11));
  expect(read(table, 2)).toEqual(rowOf(11));
});

test("memory of another kind, layout or size is refused", () => {
  const table = EndpointTable.create(4);
  const longer = new SharedArrayBuffer(table.buffer.byteLength + 64);
  new Uint8Array(longer).set(new Uint8Array(table.buffer));
  const otherLayout = new SharedArrayBuffer(table.buffer.byteLength);
  new Uint8Array(otherLayout).set(new Uint8Array(table.buffer));
  new Int32Array(otherLayout)[1] = 1;
  for (const buffer of [
    longer,
    otherLayout,
    new SharedArrayBuffer(0),
    new SharedArrayBuffer(4096),
  ]) {
    expect(() => EndpointTable.attach(buffer)).toThrow(/layout 2/);
  }
  expect(() => EndpointTable.create(0)).toThrow(/capacity must be 1 to 4096, got 0/);
});

/** The stores of one write, in order. */
function storesOf(table: EndpointTable, slot: number, row: EndpointRow): [number, number][] {
  const stores: [number, number][] = [];
  const { store, add } = Atomics;
  vi.spyOn(Atomics, "store").mockImplementation(((
    words: Int32Array,
    index: number,
    value: number,
  ) => {
    stores.push([index, value]);
    return store(words, index, value);
  }) as typeof Atomics.store);
  vi.spyOn(Atomics, "add").mockImplementation(((
    words: Int32Array,
    index: number,
    value: number,
  ) => {
    stores.push([index, Atomics.load(words, index) + value]);
    return add(words, index, value);
  }) as typeof Atomics.add);
  table.write(slot, row);
  vi.restoreAllMocks();
  return stores;
}

test("a reader that meets two writes in any interleaving sees one whole row", () => {
  const table = EndpointTable.create(1);
  table.write(0, rowOf(1));
  const before = new Int32Array(table.buffer).slice();
  const stores = [...storesOf(table, 0, rowOf(6)), ...storesOf(table, 0, rowOf(11))];
  const words = new Int32Array(table.buffer);
  const { load } = Atomics;
  const rowsSeen = new Set<number>();
  const reset = (): void => words.set(before);

  /** Lets `bursts[i] = [at, count]` stores happen before the reader's load number `at`. */
  function readDuring(bursts: readonly (readonly [at: number, count: number])[]): void {
    reset();
    let loads = 0;
    let done = 0;
    const spy = vi.spyOn(Atomics, "load").mockImplementation(((
      array: Int32Array,
      index: number,
    ) => {
      for (const [at, count] of bursts) {
        if (at !== loads) continue;
        for (let i = 0; i < count && done < stores.length; i++, done++) {
          words[stores[done]![0]] = stores[done]![1];
        }
      }
      loads++;
      return load(array, index);
    }) as typeof Atomics.load);
    const row = new EndpointRow();
    const version = table.read(0, row);
    spy.mockRestore();
    if (version < 0) {
      expect(done, "only a writer that stands still within a row is given up").toBeGreaterThan(0);
      expect(words[stores[0]![0]]! % 2).toBe(1);
      return;
    }
    expect(version % 2).toBe(0);
    const expected = rowOf(row.waiting);
    // Names beyond the count are not of the row.
    row.activeAdapters.fill(0, 2 * row.activeAdapterCount);
    row.waitingAdapters.fill(0, 2 * row.waitingAdapterCount);
    expect(row).toEqual(expected);
    rowsSeen.add(row.waiting);
  }

  // All histories in which the writers run in two bursts, and some thousand arbitrary ones.
  for (let at = 0; at < 24; at += 1) {
    for (let first = 0; first <= stores.length; first += 1) {
      for (const gap of [0, 7])
        readDuring([
          [at, first],
          [at + gap + 1, stores.length],
        ]);
    }
  }
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(60), fc.nat(12)), { minLength: 1, maxLength: 12 }),
      (bursts) => readDuring(bursts),
    ),
    { numRuns: 2000 },
  );
  expect([...rowsSeen].sort((a, b) => a - b)).toEqual([1, 6, 11]);
});

test("a row left odd by a dead writer is given up, and its successor makes it whole", () => {
  const table = EndpointTable.create(1);
  table.write(0, rowOf(1));
  const stores = storesOf(table, 0, rowOf(2));
  new Int32Array(table.buffer)[stores[0]![0]] = stores[0]![1]; // as if the write had ended after its first store
  const loads = vi.spyOn(Atomics, "load");
  expect(table.read(0, new EndpointRow())).toBe(-1);
  expect(loads).toHaveBeenCalledTimes(READ_ATTEMPTS_MAX);
  loads.mockRestore();
  table.write(0, rowOf(3));
  expect(table.version(0) % 2).toBe(0);
  expect(read(table, 0)).toEqual(rowOf(3));
});
