/**
 * Rows come into the columns when they move, and only those of the slot's present endpoint.
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { type EndpointMetadata, EndpointPool, Known } from "../scheduler/index.ts";
import { EndpointRow, EndpointTable } from "./endpoint-table.ts";
import { EndpointTableReader } from "./endpoint-table-reader.ts";

function metadataOf(name: string): EndpointMetadata {
  return {
    id: `default/${name}`,
    name,
    namespace: "default",
    address: "10.0.0.1",
    port: 8000,
    labels: new Map(),
    rankIndex: 0,
  };
}

function rowOf(generation: number, scrapeStartMs: number, waiting: number): EndpointRow {
  const row = new EndpointRow();
  Object.assign(row, { generation, scrapeStartMs, waiting, known: Known.waiting });
  return row;
}

function setUp(endpoints = 2) {
  const table = EndpointTable.create(64);
  const reader = new EndpointTableReader(table);
  const pool = new EndpointPool();
  const slots = Array.from({ length: endpoints }, (_, i) => pool.upsert(metadataOf(`pod-${i}`)));
  return {
    table,
    reader,
    pool,
    slots,
    generation: (slot: number) => pool.columns.generation[slot]!,
  };
}

test("all facts of a row come into the columns, and the credit since the scrape begins anew", () => {
  const { table, reader, pool, generation } = setUp();
  const row = rowOf(generation(1), 100, 7);
  Object.assign(row, {
    running: 3,
    kvUtilization: 0.5,
    maxAdapters: 4,
    cacheBlockSize: 16,
    cacheBlocks: 900,
    activeAdapterCount: 2,
    waitingAdapterCount: 1,
  });
  row.activeAdapters.set([1, 2, 3, 0xffffffff]);
  row.waitingAdapters.set([5, 6]);
  pool.columns.creditSinceScrape[1] = 9;
  pool.columns.inflight[1] = 4;
  table.write(1, row);
  expect(reader.refresh(pool)).toBe(1);
  const { columns } = pool;
  expect({
    waiting: columns.waiting[1],
    running: columns.running[1],
    kv: columns.kvUtilization[1],
    max: columns.maxAdapters[1],
    size: columns.cacheBlockSize[1],
    blocks: columns.cacheBlocks[1],
    active: columns.activeAdapterCount[1],
    waitingAdapters: columns.waitingAdapterCount[1],
    known: columns.known[1],
    at: columns.scrapedAtMs[1],
    credit: columns.creditSinceScrape[1],
    inflight: columns.inflight[1],
  }).toEqual({
    waiting: 7,
    running: 3,
    kv: 0.5,
    max: 4,
    size: 16,
    blocks: 900,
    active: 2,
    waitingAdapters: 1,
    known: Known.waiting,
    at: 100,
    credit: 0,
    inflight: 4,
  });
  expect(Array.from(columns.activeAdapters.subarray(64, 68))).toEqual([1, 2, 3, 0xffffffff]);
  expect(Array.from(columns.waitingAdapters.subarray(64, 66))).toEqual([5, 6]);
});

test("a failed scrape moves the failures and leaves facts and credit alone", () => {
  const { table, reader, pool, generation } = setUp();
  const row = rowOf(generation(0), 100, 7);
  table.write(0, row);
  reader.refresh(pool);
  pool.columns.creditSinceScrape[0] = 5;
  row.scrapeFailures = 3;
  table.write(0, row);
  expect(reader.refresh(pool)).toBe(1);
  expect(pool.columns.scrapeFailures[0]).toBe(3);
  expect(pool.columns.creditSinceScrape[0]).toBe(5);
  expect(pool.columns.waiting[0]).toBe(7);
});

test("nothing is copied when nothing has moved", () => {
  const { table, reader, pool, generation } = setUp();
  table.write(0, rowOf(generation(0), 100, 7));
  expect(reader.refresh(pool)).toBe(1);
  expect(reader.refresh(pool)).toBe(0);
});

test("a late row of the endpoint that had the slot before is ignored", () => {
  const { table, reader, pool, generation } = setUp();
  const late = rowOf(generation(0), 100, 7);
  pool.remove("default/pod-0");
  const slot = pool.upsert(metadataOf("pod-9"));
  expect(slot).toBe(0);
  table.write(0, late);
  expect(reader.refresh(pool)).toBe(0);
  expect(pool.columns.scrapedAtMs[0]).toBe(0);
  table.write(0, rowOf(generation(0), 150, 2));
  expect(reader.refresh(pool)).toBe(1);
  expect(pool.columns.waiting[0]).toBe(2);
});

test("rows of slots that are not in use are left out", () => {
  const { table, reader, pool } = setUp(1);
  table.write(5, rowOf(1, 100, 7));
  expect(reader.refresh(pool)).toBe(0);
});

test("a row that a dead writer left is given up, counted, and read once it is whole", () => {
  const { table, reader, pool, generation } = setUp();
  table.write(0, rowOf(generation(0), 100, 7));
  reader.refresh(pool);
  const words = new Int32Array(table.buffer);
  const versionWord = words.indexOf(2, 32); // the only version that is 2
  words[versionWord] = 3;
  words[16]! += 1; // the change counter
  expect(reader.refresh(pool)).toBe(0);
  expect(reader.rowsGivenUp).toBe(1);
  expect(pool.columns.waiting[0]).toBe(7);
  table.write(0, rowOf(generation(0), 200, 8));
  expect(reader.refresh(pool)).toBe(1);
  expect(pool.columns.waiting[0]).toBe(8);
});

test("whoever waits for a row to move is called once, in a later turn, also when it moved before", async () => {
  const { generation, pool, reader, slots, table } = setUp();
  const [slot] = slots as [number];
  reader.refresh(pool);
  let calls = 0;
  const call = (): void => {
    calls++;
  };
  reader.whenMoved(call);
  await setImmediate();
  expect(calls).toBe(0);
  table.write(slot, rowOf(generation(slot), 1, 1));
  expect(calls).toBe(0);
  await vi.waitFor(() => expect(calls).toBe(1));
  table.write(slot, rowOf(generation(slot), 2, 2));
  reader.whenMoved(call);
  expect(calls).toBe(1);
  await vi.waitFor(() => expect(calls).toBe(2));
  reader.refresh(pool);
  reader.whenMoved(call);
  await setImmediate();
  expect(calls).toBe(2);
});

test("a row that another thread writes wakes whoever waits", async () => {
  const { generation, pool, reader, slots, table } = setUp();
  const [slot] = slots as [number];
  reader.refresh(pool);
  const moved = new Promise<void>((resolve) => reader.whenMoved(resolve));
  const words = new Int32Array(table.buffer);
  // The change counter stands in the second cache line; a thread of plain JavaScript does what a writer does last.
  const worker = new Worker(
    `const { workerData } = require("node:worker_threads");
     Atomics.add(workerData, 16, 1);
     Atomics.notify(workerData, 16);`,
    { eval: true, workerData: words },
  );
  await moved;
  await worker.terminate();
  expect(generation(slot)).toBeGreaterThan(0);
});

test("the columns agree with a model through any sequence of events", () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant("write" as const), name: fc.nat(40), waiting: fc.nat(100) }),
    fc.record({ kind: fc.constant("fail" as const), name: fc.nat(40) }),
    fc.record({ kind: fc.constant("leave" as const), name: fc.nat(40) }),
    fc.record({ kind: fc.constant("join" as const), name: fc.nat(40) }),
    fc.record({ kind: fc.constant("refresh" as const) }),
  );
  interface Model {
    row: EndpointRow;
    slot: number;
    waiting: number;
    failures: number;
  }
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      const { table, reader, pool } = setUp(0);
      const model = new Map<string, Model>();
      let nowMs = 0;
      const check = (): void => {
        reader.refresh(pool);
        for (const { slot, waiting, failures, row } of model.values()) {
          expect(pool.columns.waiting[slot]).toBe(waiting);
          expect(pool.columns.scrapeFailures[slot]).toBe(failures);
          expect(pool.columns.scrapedAtMs[slot]).toBe(row.scrapeStartMs);
        }
      };
      for (const each of events) {
        nowMs++;
        if (each.kind === "refresh") {
          check();
          continue;
        }
        const name = `pod-${each.name}`;
        const known = model.get(name);
        if (each.kind === "join" && known === undefined) {
          const slot = pool.upsert(metadataOf(name));
          const row = rowOf(pool.columns.generation[slot]!, 0, 0);
          model.set(name, { row, slot, waiting: 0, failures: 0 });
        } else if (each.kind === "leave" && known !== undefined) {
          pool.remove(`default/${name}`);
          model.delete(name);
          table.write(known.slot, known.row); // its scraper has not heard yet
        } else if (each.kind === "write" && known !== undefined) {
          known.row.waiting = known.waiting = each.waiting;
          known.row.scrapeStartMs = nowMs;
          known.row.scrapeFailures = known.failures = 0;
          table.write(known.slot, known.row);
        } else if (each.kind === "fail" && known !== undefined) {
          known.row.scrapeFailures = ++known.failures;
          table.write(known.slot, known.row);
        }
      }
      check();
    }),
  );
});
