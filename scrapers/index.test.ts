/**
 * The scrapers as the application uses them, on the calling thread's event loop: model servers on loopback, facts in
 * the pool's columns.
 * @module
 */
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import {
  type EndpointMetadata,
  EndpointPool,
  hashName,
  Known,
  limits,
} from "../scheduler/index.ts";
import { until } from "../test/support/deadline.ts";
import {
  answerOf,
  onRequest,
  type RawServer,
  startPageServer,
  startRawServer,
} from "../test/support/raw-server.ts";
import { metric } from "./engines/engine.ts";
import {
  EndpointRow,
  type ScraperHandle,
  type ScraperOptions,
  type ScrapeWarning,
  startScrapers,
} from "./index.ts";

const DEADLINE_MS = 5000;

const LORA_PAGE = readFileSync(
  new URL("../test/fixtures/metrics/vllm-v1-lora.prom", import.meta.url),
);
const SGLANG_PAGE = readFileSync(new URL("../test/fixtures/metrics/sglang.prom", import.meta.url));

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(body: (path: string) => string | Buffer): Promise<RawServer> {
  const server = await startPageServer(body);
  closers.push(() => server.close());
  return server;
}

/** A pool and its scrapers, as the application has them. */
class Fleet {
  readonly pool = new EndpointPool();
  readonly warnings: ScrapeWarning[] = [];
  readonly scrapers: ScraperHandle;

  constructor(options: ScraperOptions = {}) {
    this.scrapers = startScrapers({
      threads: 0,
      onWarning: (warning) => this.warnings.push(warning),
      ...options,
    });
    closers.push(() => this.scrapers.stop());
  }

  add(port: number, labels: Record<string, string> = {}): number {
    const name = `pod-${port}`;
    const metadata: EndpointMetadata = {
      id: `default/${name}`,
      name,
      namespace: "default",
      address: "127.0.0.1",
      port,
      labels: new Map(Object.entries(labels)),
      rankIndex: 0,
    };
    const slot = this.pool.upsert(metadata);
    this.scrapers.add(slot, this.pool.columns.generation[slot]!, metadata);
    return slot;
  }

  remove(slot: number): void {
    this.scrapers.remove(slot);
    this.pool.remove(this.pool.metadata(slot).id);
  }

  row(slot: number): EndpointRow {
    const row = new EndpointRow();
    this.scrapers.table.read(slot, row);
    return row;
  }

  scrapesOk(slot: number): number {
    return this.row(slot).scrapesOk;
  }

  /** Waits until the columns satisfy `isSo`. */
  async until(isSo: (columns: EndpointPool["columns"]) => boolean, what: string): Promise<void> {
    await until(
      () => {
        this.scrapers.reader.refresh(this.pool);
        return isSo(this.pool.columns) ? true : null;
      },
      DEADLINE_MS,
      what,
      5,
    );
  }

  /** Waits for `count` more good scrapes of a slot. */
  async scrapes(slot: number, count: number): Promise<void> {
    const end = this.scrapesOk(slot) + count;
    await this.until(() => this.scrapesOk(slot) >= end, `${count} scrapes`);
  }
}

describe("facts", () => {
  test("of a page come into the columns, with its adapters and their names", async () => {
    const server = await serve(() => LORA_PAGE);
    const fleet = new Fleet();
    const before = performance.timeOrigin + performance.now();
    const slot = fleet.add(server.port);
    await fleet.until((columns) => columns.scrapedAtMs[slot]! > 0, "a scrape");
    const { columns } = fleet.pool;
    expect([columns.waiting[slot], columns.running[slot]]).toEqual([4, 23]);
    expect(columns.kvUtilization[slot]).toBe(0.6182);
    expect([columns.cacheBlockSize[slot], columns.cacheBlocks[slot]]).toEqual([16, 27407]);
    expect([columns.maxAdapters[slot], columns.activeAdapterCount[slot]]).toEqual([4, 3]);
    expect(columns.waitingAdapterCount[slot]).toBe(2);
    expect(columns.known[slot]).toBe(63);
    expect(columns.scrapedAtMs[slot]).toBeGreaterThanOrEqual(before);
    const row = fleet.row(slot);
    expect(row.scrapeEndMs).toBeGreaterThanOrEqual(row.scrapeStartMs);
    const { lo, hi } = hashName("tenant-a.v2");
    expect(Array.from(columns.activeAdapters.subarray(64 * slot + 4, 64 * slot + 6))).toEqual([
      lo,
      hi,
    ]);
    expect(fleet.scrapers.adapterName(lo, hi)).toBe("tenant-a.v2");
    expect(fleet.scrapers.adapterName(hi, lo)).toBeUndefined();
  });

  test("that a page leaves out keep their value and lose their known bit", async () => {
    let page = "vllm:num_requests_waiting 7\nvllm:num_requests_running 1\n";
    const server = await serve(() => page);
    const fleet = new Fleet();
    const slot = fleet.add(server.port);
    await fleet.until((columns) => columns.waiting[slot] === 7, "the first page");
    page = "vllm:num_requests_running 2\n";
    await fleet.until((columns) => columns.running[slot] === 2, "the second page");
    expect(fleet.pool.columns.waiting[slot]).toBe(7);
    expect(fleet.pool.columns.known[slot]).toBe(Known.running);
  });

  test("stay as they were, with their time, while scrapes fail", async () => {
    let page = "vllm:num_requests_waiting 7\n";
    const server = await serve(() => page);
    const fleet = new Fleet();
    const slot = fleet.add(server.port);
    await fleet.until((columns) => columns.waiting[slot] === 7, "a page");
    page = "<html>vllm:num_requests_waiting 9</html>";
    await fleet.until((columns) => columns.scrapeFailures[slot]! >= 1, "a failure");
    const { scrapedAtMs } = fleet.pool.columns;
    const goodAtMs = scrapedAtMs[slot];
    await fleet.until((columns) => columns.scrapeFailures[slot]! >= 3, "three failures");
    expect(fleet.pool.columns.waiting[slot]).toBe(7);
    expect(fleet.pool.columns.known[slot]).toBe(Known.waiting);
    expect(fleet.pool.columns.scrapedAtMs[slot]).toBe(goodAtMs);
    expect(fleet.scrapers.stats().scrapesFailed["no-facts"]).toBeGreaterThanOrEqual(3);
    page = "vllm:num_requests_waiting 8\n";
    await fleet.until((columns) => columns.waiting[slot] === 8, "a good page");
    expect(fleet.pool.columns.scrapeFailures[slot]).toBe(0);
  });

  test("of data-parallel ranks are summed, or those of the first with upstream's rule", async () => {
    const page =
      'vllm:num_requests_waiting{engine="0"} 2\nvllm:num_requests_waiting{engine="1"} 3\n';
    const server = await serve(() => page);
    for (const [aggregation, expected] of [
      ["sum", 5],
      ["upstream", 2],
    ] as const) {
      const fleet = new Fleet({ aggregation });
      const slot = fleet.add(server.port);
      await fleet.until((columns) => columns.waiting[slot] === expected, aggregation);
    }
  });
});

describe("an endpoint", () => {
  test("that nobody serves is counted as refused and does not disturb the others", async () => {
    const gone = await startRawServer(() => {});
    await gone.close();
    const server = await serve(() => LORA_PAGE);
    const fleet = new Fleet();
    const refused = fleet.add(gone.port);
    const good = fleet.add(server.port);
    await fleet.until((columns) => columns.scrapeFailures[refused]! >= 3, "three refusals");
    await fleet.scrapes(good, 3);
    expect(fleet.scrapers.stats().scrapesFailed.refused).toBeGreaterThanOrEqual(3);
    expect(fleet.pool.columns.scrapedAtMs[refused]).toBe(0);
  });

  test("that hangs, drips or never ends delays nobody, and its sockets are closed", async () => {
    const bad = await Promise.all([
      startRawServer((socket) => socket.resume()),
      startRawServer((socket) =>
        onRequest(socket, () => {
          socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
          const drip = setInterval(() => socket.write("x"), 20);
          socket.on("close", () => clearInterval(drip));
        }),
      ),
      startRawServer((socket) =>
        onRequest(socket, () => {
          socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
          const chunk = Buffer.from(`8000\r\n${"x".repeat(0x8000)}\r\n`);
          const more = (): void => {
            while (!socket.destroyed && socket.write(chunk));
          };
          socket.on("drain", more);
          more();
        }),
      ),
    ]);
    for (const server of bad) closers.push(() => server.close());
    const server = await serve(() => LORA_PAGE);
    const fleet = new Fleet();
    const badSlots = bad.map(({ port }) => fleet.add(port));
    const good = fleet.add(server.port);
    const stats = (): ReturnType<ScraperHandle["stats"]> => fleet.scrapers.stats();
    await fleet.until(() => stats().scrapesFailed.timeout >= 2, "two time-outs");
    // Twenty are due in the second until the time-outs; half of them leaves room for a busy machine.
    expect(fleet.scrapesOk(good)).toBeGreaterThanOrEqual(10);
    expect(stats().scrapesFailed["too-large"]).toBeGreaterThanOrEqual(1);
    expect(stats().scrapesSkipped).toBeGreaterThanOrEqual(10);
    for (const slot of badSlots) fleet.remove(slot);
    await until(
      () => (bad.every((each) => each.open() === 0) ? true : null),
      DEADLINE_MS,
      "closed sockets",
    );
  });

  test("that is removed is asked no more, and its slot serves the next one", async () => {
    let requests = 0;
    const first = await serve(() => {
      requests++;
      return "vllm:num_requests_waiting 1\n";
    });
    const second = await serve(() => "vllm:num_requests_waiting 2\n");
    const fleet = new Fleet();
    const slot = fleet.add(first.port);
    await fleet.until((columns) => columns.waiting[slot] === 1, "the first endpoint");
    fleet.remove(slot);
    const requestsAtRemoval = requests;
    expect(fleet.add(second.port)).toBe(slot);
    fleet.scrapers.reader.refresh(fleet.pool);
    expect(fleet.pool.columns.waiting[slot]).toBe(0);
    await fleet.until((columns) => columns.waiting[slot] === 2, "the second endpoint");
    await fleet.scrapes(slot, 3);
    expect(fleet.row(slot).generation).toBe(fleet.pool.columns.generation[slot]);
    expect(requests).toBe(requestsAtRemoval);
    expect(fleet.scrapers.stats().endpoints).toBe(1);
  });

  test("keeps one connection", async () => {
    const server = await serve(() => LORA_PAGE);
    const fleet = new Fleet();
    const slot = fleet.add(server.port);
    await fleet.scrapes(slot, 5);
    expect(server.connections()).toBe(1);
  });
});

describe("the path", () => {
  test.each([
    ["is JSON", answerOf('[{"iter": 1}]')],
    ["is missing", answerOf("", "404 Not Found")],
  ])("is /prometheus/metrics where /metrics %s", async (_, answer) => {
    const server = await startRawServer((socket) =>
      onRequest(socket, (path) =>
        socket.write(path === "/metrics" ? answer : answerOf("trtllm_num_requests_waiting 3\n")),
      ),
    );
    closers.push(() => server.close());
    const fleet = new Fleet();
    const slot = fleet.add(server.port, { "llm-d.ai/engine-type": "trtllm-serve" });
    await fleet.until((columns) => columns.waiting[slot] === 3, "a scrape");
    const failures = fleet.row(slot).scrapeFailures;
    await fleet.scrapes(slot, 3);
    expect(failures).toBe(0);
    expect(fleet.row(slot).scrapeFailures).toBe(0);
  });

  test("is the configured one, at the configured port, and can be changed", async () => {
    const server = await serve((path) => `vllm:num_requests_waiting ${path.length}\n`);
    const fleet = new Fleet({ path: "/my/metrics", port: server.port });
    const slot = fleet.add(1);
    await fleet.until((columns) => columns.waiting[slot] === "/my/metrics".length, "a scrape");
    fleet.scrapers.configure({ path: "/other" });
    await fleet.until((columns) => columns.waiting[slot] === "/other".length, "a scrape");
    expect(() => fleet.scrapers.configure({ path: "x" })).toThrow(/path must begin with/);
    await fleet.scrapes(slot, 2);
  });
});

describe("the engine", () => {
  test("of an endpoint without label is the default, or what the page shows", async () => {
    const server = await serve(() => SGLANG_PAGE);
    const fleet = new Fleet();
    const slot = fleet.add(server.port);
    await fleet.until((columns) => columns.waiting[slot] === 6, "a scrape");
    expect(fleet.pool.columns.cacheBlocks[slot]).toBe(27232);
    expect(fleet.warnings).toEqual([
      { kind: "engine-detected", slot, generation: 1, detail: "sglang" },
    ]);
  });

  test("of a label that is unknown is what the page shows, and told once", async () => {
    const server = await serve(() => LORA_PAGE);
    const fleet = new Fleet();
    const slot = fleet.add(server.port, { "llm-d.ai/engine-type": "vllm-fork" });
    await fleet.scrapes(slot, 3);
    expect(fleet.warnings).toEqual([
      { kind: "unknown-engine", slot, generation: 1, detail: "vllm-fork" },
    ]);
  });

  test("of a known label is not doubted", async () => {
    const server = await serve(() => LORA_PAGE);
    const fleet = new Fleet();
    const slot = fleet.add(server.port, { "llm-d.ai/engine-type": "sglang" });
    await fleet.until((columns) => columns.scrapeFailures[slot]! >= 2, "failures");
    expect(fleet.row(slot).scrapesOk).toBe(0);
  });

  test("may be the user's own", async () => {
    const server = await serve(() => 'mine{kind="queue"} 5\nmine{kind="other"} 6\n');
    const fleet = new Fleet({
      engineConfigs: [{ name: "mine", queuedRequests: metric("mine", ["kind", "queue"]) }],
      engineLabelKey: "engine",
    });
    const slot = fleet.add(server.port, { engine: "mine" });
    await fleet.until((columns) => columns.waiting[slot] === 5, "a scrape");
  });

  test("that reports percent is told once", async () => {
    const server = await serve(() => "vllm:kv_cache_usage_perc 61.5\n");
    const fleet = new Fleet();
    const slot = fleet.add(server.port);
    await fleet.scrapes(slot, 3);
    expect(fleet.row(slot).kvUtilization).toBeCloseTo(0.615, 12);
    expect(fleet.warnings.map(({ kind }) => kind)).toEqual(["kv-percent"]);
  });
});

test("a loop that was killed is started anew, and its endpoints go on where they were", async () => {
  const server = await serve(() => LORA_PAGE);
  const deaths: number[] = [];
  const fleet = new Fleet({ onThreadDied: (index) => deaths.push(index) });
  const slot = fleet.add(server.port);
  await fleet.scrapes(slot, 3);
  const before = fleet.row(slot);
  fleet.scrapers.killThreadForTest(0);
  await until(() => (deaths.length === 1 ? true : null), DEADLINE_MS, "the death");
  expect(fleet.row(slot).waiting).toBe(before.waiting);
  await fleet.scrapes(slot, 3);
  expect(fleet.row(slot).scrapesOk).toBeGreaterThan(before.scrapesOk);
  expect(fleet.scrapers.stats()).toMatchObject({ threadsRestarted: 1, threadsUp: 1, endpoints: 1 });
});

test("after stop nothing is asked and no socket is open", async () => {
  const server = await serve(() => LORA_PAGE);
  const fleet = new Fleet();
  const slot = fleet.add(server.port);
  await fleet.scrapes(slot, 2);
  await fleet.scrapers.stop();
  await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed sockets");
  expect(fleet.scrapers.stats().threadsUp).toBe(0);
});

describe("options", () => {
  test.each([
    [{ threads: -1 }, "scrapers: threads must be an integer from 0 to 16, got -1"],
    [{ threads: 0, port: 70_000 }, "scrapers: port must be an integer from 1 to 65535, got 70000"],
    [
      { threads: 0, path: "metrics" },
      'scrapers: path must begin with / and have no blanks, got "metrics"',
    ],
    [
      { threads: 0, path: "/a b" },
      'scrapers: path must begin with / and have no blanks, got "/a b"',
    ],
    [
      { threads: 0, intervalMs: 0 },
      "scrapers: intervalMs must be above 0 and at most 3600000, got 0",
    ],
    [{ threads: 0, defaultEngine: "x" }, 'defaultEngine "x" is not an engine'],
    [{ threads: 1 }, "scraper threads need the compiled package; from sources use threads: 0"],
  ])("%j are refused", (options, message) => {
    expect(() => startScrapers(options)).toThrow(message);
  });
});

describe("attributes", () => {
  const scalars = [{ index: 2, metric: metric("pool_queue", ["cluster", "east"]) }];

  test("come with the facts of the engine, and go when the page loses them", async () => {
    let page = `${LORA_PAGE}pool_queue{cluster="east"} 7.5\npool_queue{cluster="west"} 9\n`;
    const server = await serve(() => page);
    const fleet = new Fleet({ scalars });
    const slot = fleet.add(server.port);
    await until(() => (fleet.row(slot).scalars[2] === 7.5 ? true : null), DEADLINE_MS, "row");
    expect(fleet.row(slot).known & Known.waiting).toBe(Known.waiting);
    fleet.scrapers.reader.refresh(fleet.pool);
    const at = slot * limits.scalarsPerEndpointMax;
    expect(fleet.pool.columns.scalars[at + 2]).toBe(7.5);
    expect(fleet.pool.columns.scalars[at]).toBeNaN();
    page = String(LORA_PAGE);
    await until(
      () => (Number.isNaN(fleet.row(slot).scalars[2]!) ? true : null),
      DEADLINE_MS,
      "row",
    );
  });

  test("are read of a page that has nothing else, and do not hide which engine it is", async () => {
    const alone = await serve(() => 'pool_queue{cluster="east"} 3\n');
    const sglang = await serve(() => `${SGLANG_PAGE}pool_queue{cluster="east"} 4\n`);
    const fleet = new Fleet({ scalars });
    const first = fleet.add(alone.port);
    const second = fleet.add(sglang.port);
    await until(() => (fleet.row(first).scalars[2] === 3 ? true : null), DEADLINE_MS, "row");
    expect(fleet.row(first).known).toBe(Known.scalars);
    await until(
      () => ((fleet.row(second).known & Known.waiting) !== 0 ? true : null),
      DEADLINE_MS,
      "row",
    );
    expect(fleet.row(second).scalars[2]).toBe(4);
  });

  test("of an engine are read of its pages alone", async () => {
    const server = await serve(() => "my_waiting 5\nmy_heat 60\n");
    const fleet = new Fleet({
      engineConfigs: [
        {
          name: "mine",
          queuedRequests: metric("my_waiting"),
          scalars: [{ index: 0, metric: metric("my_heat") }],
        },
      ],
    });
    const slot = fleet.add(server.port, { "llm-d.ai/engine-type": "mine" });
    await until(() => (fleet.row(slot).scalars[0] === 60 ? true : null), DEADLINE_MS, "row");
    expect(fleet.row(slot).waiting).toBe(5);
  });
});
