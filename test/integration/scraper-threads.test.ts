/**
 * Scrapers in worker threads, from compiled files: facts cross the thread boundary whole, a thread that dies is started
 * anew, and a stop leaves nothing behind.
 * @module
 */
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { EndpointPool, hashName } from "../../scheduler/index.ts";
import { EndpointRow, EndpointTable } from "../../scrapers/endpoint-table.ts";
import type { ScraperHandle, ScraperOptions } from "../../scrapers/index.ts";
import { type Compiled, compileFolders } from "../support/compiled.ts";
import { until } from "../support/deadline.ts";
import { inPackage } from "../support/paths.ts";
import { type RawServer, startPageServer } from "../support/raw-server.ts";

const DEADLINE_MS = 20_000;

const PAGE = readFileSync(inPackage("test", "fixtures", "metrics", "vllm-v1-lora.prom"));

let compiled: Compiled;
let startScrapers: (options: ScraperOptions) => ScraperHandle;
beforeAll(async () => {
  compiled = compileFolders("scrapers", "scheduler");
  ({ startScrapers } = await import(compiled.url("scrapers/index.ts").href));
});
afterAll(() => compiled.remove());

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

class Fleet {
  readonly pool = new EndpointPool();
  readonly deaths: string[] = [];
  readonly scrapers: ScraperHandle;

  constructor(threads: number) {
    this.scrapers = startScrapers({
      threads,
      onThreadDied: (_, cause) => this.deaths.push(cause),
    });
    closers.push(() => this.scrapers.stop());
  }

  add(server: RawServer): number {
    const name = `pod-${server.port}`;
    const slot = this.pool.upsert({
      id: `default/${name}`,
      name,
      namespace: "default",
      address: "127.0.0.1",
      port: server.port,
      labels: new Map(),
      rankIndex: 0,
    });
    this.scrapers.add(slot, this.pool.columns.generation[slot]!, this.pool.metadata(slot));
    return slot;
  }

  row(slot: number): EndpointRow {
    const row = new EndpointRow();
    expect(this.scrapers.table.read(slot, row)).toBeGreaterThanOrEqual(0);
    return row;
  }

  async scrapes(slot: number, count: number): Promise<void> {
    const end = this.row(slot).scrapesOk + count;
    await until(
      () => (this.row(slot).scrapesOk >= end ? true : null),
      DEADLINE_MS,
      `${count} scrapes of slot ${slot}`,
    );
  }
}

async function serve(): Promise<RawServer> {
  const server = await startPageServer(() => PAGE);
  closers.push(() => server.close());
  return server;
}

test("facts, names and times of a thread arrive in the pool", async () => {
  const fleet = new Fleet(1);
  const before = performance.timeOrigin + performance.now();
  const slot = fleet.add(await serve());
  await fleet.scrapes(slot, 3);
  expect(fleet.scrapers.reader.refresh(fleet.pool)).toBe(1);
  const after = performance.timeOrigin + performance.now();
  const { columns } = fleet.pool;
  expect([columns.waiting[slot], columns.running[slot], columns.known[slot]]).toEqual([4, 23, 63]);
  // The thread's clock is this thread's clock.
  expect(columns.scrapedAtMs[slot]).toBeGreaterThanOrEqual(before);
  expect(columns.scrapedAtMs[slot]).toBeLessThanOrEqual(after);
  const { lo, hi } = hashName("code/py-3.12");
  await until(
    () => (fleet.scrapers.adapterName(lo, hi) === "code/py-3.12" ? true : null),
    DEADLINE_MS,
    "the adapter's name",
  );
  await until(
    () => (fleet.scrapers.stats().scrapesOk >= 3 ? true : null),
    DEADLINE_MS,
    "counters of the thread",
  );
});

test("a thread that dies is started anew; its rows keep their values and then go on", async () => {
  const fleet = new Fleet(2);
  const slots = [fleet.add(await serve()), fleet.add(await serve())];
  for (const slot of slots) await fleet.scrapes(slot, 3);
  fleet.scrapers.killThreadForTest(0);
  await until(() => (fleet.deaths.length === 1 ? true : null), DEADLINE_MS, "the death");
  const { scrapesOk, waiting } = fleet.row(slots[0]!);
  expect(waiting).toBe(4);
  // The other thread's endpoint is scraped on, and this one again.
  await fleet.scrapes(slots[1]!, 3);
  await fleet.scrapes(slots[0]!, 3);
  expect(fleet.row(slots[0]!).scrapesOk).toBeGreaterThanOrEqual(scrapesOk + 3);
  const stats = fleet.scrapers.stats();
  expect([stats.threadsRestarted, stats.threadsUp, stats.endpoints]).toEqual([1, 2, 2]);
});

test("a stop ends threads and sockets", async () => {
  const fleet = new Fleet(2);
  const server = await serve();
  await fleet.scrapes(fleet.add(server), 1);
  await fleet.scrapers.stop();
  await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed sockets");
  expect(fleet.scrapers.stats().threadsUp).toBe(0);
  expect(fleet.deaths).toEqual([]);
});

/** Writes rows whose fields all follow from one counter, as fast as it can, until the last word of the flag is set. */
const WRITER = `
import { workerData } from "node:worker_threads";
const { EndpointRow, EndpointTable } = await import(workerData.module);
const table = EndpointTable.attach(workerData.table);
const stop = new Int32Array(workerData.stop);
const row = new EndpointRow();
for (let n = 1; Atomics.load(stop, 0) === 0; n++) {
  for (const key of Object.keys(row)) if (typeof row[key] === "number") row[key] = n;
  row.kvUtilization = n + 0.5;
  row.activeAdapterCount = row.waitingAdapterCount = n % 33;
  row.activeAdapters.fill(n, 0, 2 * row.activeAdapterCount);
  row.waitingAdapters.fill(n, 0, 2 * row.waitingAdapterCount);
  table.write(n % 2, row);
}
`;

test("a reader beside a writer that never pauses sees whole rows only, ever newer ones", async () => {
  const table = EndpointTable.create(2);
  const stop = new SharedArrayBuffer(4);
  const source = Buffer.from(WRITER).toString("base64");
  const writer = new Worker(new URL(`data:text/javascript;base64,${source}`), {
    workerData: {
      module: compiled.url("scrapers/endpoint-table.ts").href,
      table: table.buffer,
      stop,
    },
  });
  closers.push(() => writer.terminate());
  await until(() => (table.version(0) > 0 ? true : null), DEADLINE_MS, "the first row");
  const row = new EndpointRow();
  let newest = 0;
  let newestVersion = 0;
  let rows = 0;
  while (rows < 200_000) {
    const version = table.read(0, row);
    if (version < 0) continue;
    rows++;
    const n = row.waiting;
    const count = n % 33;
    const whole =
      row.generation === n &&
      row.known === n &&
      row.running === n &&
      row.kvUtilization === n + 0.5 &&
      row.scrapeStartMs === n &&
      row.scrapeEndMs === n &&
      row.scrapesOk === n &&
      row.activeAdapterCount === count &&
      row.waitingAdapterCount === count &&
      row.activeAdapters.subarray(0, 2 * count).every((word) => word === n) &&
      row.waitingAdapters.subarray(0, 2 * count).every((word) => word === n);
    if (!whole || n < newest || version < newestVersion) {
      expect.fail(`row ${JSON.stringify(row)} at version ${version} after row ${newest}`);
    }
    newest = n;
    newestVersion = version;
  }
  Atomics.store(new Int32Array(stop), 0, 1);
  expect(newest, "the writer wrote meanwhile").toBeGreaterThan(1000);
});
