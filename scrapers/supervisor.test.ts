/**
 * Scrapers that die, hang, or can not start, and what becomes of their endpoints.
 * @module
 */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  BEAT_INTERVAL_MS,
  createCounters,
  type FromScraper,
  type ScrapeConfig,
  type ScraperInit,
  type ScrapeTarget,
  type ToScraper,
} from "./messages.ts";
import type { ScraperEvents, SpawnScraper } from "./spawn.ts";
import { RESTART_FIRST_MS, RESTART_LAST_MS, ScraperSupervisor } from "./supervisor.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const config: ScrapeConfig = {
  intervalMs: 50,
  scheme: "http",
  path: null,
  tls: {},
  aggregation: "sum",
  engineConfigs: [],
  defaultEngine: "vllm",
};

function targetOf(slot: number, generation = 1): ScrapeTarget {
  return { slot, generation, address: "10.0.0.1", port: 8000, engineLabel: "" };
}

/** A scraper that does what the test says. */
class FakeScraper {
  readonly index: number;
  readonly init: ScraperInit;
  readonly events: ScraperEvents;
  readonly posted: ToScraper[] = [];
  killed = false;

  constructor(index: number, init: ScraperInit, events: ScraperEvents) {
    this.index = index;
    this.init = init;
    this.events = events;
  }

  beat(scrapesOk = 0): void {
    this.events.message({ type: "beat", counters: { ...createCounters(), scrapesOk } });
  }

  slots(): number[] {
    return this.posted.flatMap((message) => (message.type === "add" ? [message.target.slot] : []));
  }
}

function setUp(count = 1) {
  const spawned: FakeScraper[] = [];
  const messages: FromScraper[] = [];
  const deaths: [number, string, number][] = [];
  const failing = { starts: 0 };
  const spawn: SpawnScraper = (index, init, events) => {
    if (failing.starts > 0) {
      failing.starts--;
      throw new Error("no memory");
    }
    const scraper = new FakeScraper(index, init, events);
    spawned.push(scraper);
    return {
      post: (message) => scraper.posted.push(message),
      kill: () => {
        scraper.killed = true;
        queueMicrotask(() => events.exit("killed"));
      },
    };
  };
  const supervisor = new ScraperSupervisor(
    count,
    { table: new SharedArrayBuffer(0), config, practices: false },
    spawn,
    {
      message: (message) => messages.push(message),
      died: (index, cause, restartMs) => deaths.push([index, cause, restartMs]),
    },
  );
  return { supervisor, spawned, messages, deaths, failing };
}

describe("endpoints", () => {
  test("go to scraper slot modulo count, always the same", () => {
    const { supervisor, spawned } = setUp(3);
    for (let slot = 0; slot < 7; slot++) supervisor.add(targetOf(slot));
    expect(spawned.map((scraper) => scraper.slots())).toEqual([
      [0, 3, 6],
      [1, 4],
      [2, 5],
    ]);
    supervisor.remove(4);
    expect(spawned[1]!.posted.at(-1)).toEqual({ type: "remove", slot: 4 });
    expect(supervisor.counters().endpoints).toBe(6);
  });

  test("are given to the successor of a dead scraper, as they are by then", async () => {
    const { supervisor, spawned, deaths } = setUp();
    for (const slot of [1, 2, 3]) supervisor.add(targetOf(slot));
    spawned[0]!.events.exit("exit code 1");
    supervisor.remove(2);
    supervisor.add(targetOf(3, 2));
    supervisor.configure({ ...config, intervalMs: 100 });
    expect(spawned).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(RESTART_FIRST_MS);
    expect(spawned[1]!.posted).toEqual([
      { type: "add", target: targetOf(1) },
      { type: "add", target: targetOf(3, 2) },
    ]);
    expect(spawned[1]!.init.config.intervalMs).toBe(100);
    expect(deaths).toEqual([[0, "exit code 1", RESTART_FIRST_MS]]);
    expect(supervisor.restarts).toBe(1);
  });
});

describe("a restart", () => {
  test("waits longer each time, up to 5 s, and not after ten sound seconds", async () => {
    const { spawned, deaths } = setUp();
    for (let i = 0; i < 8; i++) {
      spawned.at(-1)!.events.exit("crash");
      await vi.advanceTimersByTimeAsync(RESTART_LAST_MS);
    }
    expect(deaths.map(([, , ms]) => ms)).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    for (let i = 0; i < 40; i++) {
      spawned.at(-1)!.beat();
      await vi.advanceTimersByTimeAsync(BEAT_INTERVAL_MS);
    }
    spawned.at(-1)!.events.exit("crash");
    expect(deaths.at(-1)![2]).toBe(RESTART_FIRST_MS);
  });

  test("is tried again when the scraper can not be started", async () => {
    const { spawned, deaths, failing } = setUp();
    failing.starts = 2;
    spawned[0]!.events.exit("crash");
    await vi.advanceTimersByTimeAsync(1000);
    expect(spawned).toHaveLength(2);
    expect(deaths.map(([, cause]) => cause)).toEqual(["crash", "no memory", "no memory"]);
  });
});

describe("a scraper that hangs", () => {
  test("is killed after two seconds without a beat, and started anew", async () => {
    const { supervisor, spawned } = setUp();
    spawned[0]!.beat();
    expect(supervisor.up).toBe(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(spawned[0]!.killed).toBe(false);
    await vi.advanceTimersByTimeAsync(500);
    expect(spawned[0]!.killed).toBe(true);
    expect(spawned).toHaveLength(2);
    expect(supervisor.up).toBe(0);
  });

  test("at its start has ten seconds", async () => {
    const { spawned } = setUp();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(spawned[0]!.killed).toBe(false);
    await vi.advanceTimersByTimeAsync(500);
    expect(spawned[0]!.killed).toBe(true);
  });

  test("is not one that beats", async () => {
    const { spawned } = setUp();
    for (let i = 0; i < 100; i++) {
      spawned[0]!.beat();
      await vi.advanceTimersByTimeAsync(BEAT_INTERVAL_MS);
    }
    expect(spawned[0]!.killed).toBe(false);
  });
});

test("counters of former scrapers are kept", async () => {
  const { supervisor, spawned } = setUp();
  spawned[0]!.beat(10);
  spawned[0]!.beat(12);
  spawned[0]!.events.exit("crash");
  expect(supervisor.counters().scrapesOk).toBe(12);
  await vi.advanceTimersByTimeAsync(RESTART_FIRST_MS);
  spawned[1]!.beat(5);
  expect(supervisor.counters().scrapesOk).toBe(17);
});

test("messages other than beats are passed on", () => {
  const { spawned, messages } = setUp();
  const message: FromScraper = { type: "adapter", lo: 1, hi: 2, name: "a" };
  spawned[0]!.beat();
  spawned[0]!.events.message(message);
  expect(messages).toEqual([message]);
});

describe("stop", () => {
  test("asks each scraper and ends with the last exit; nothing is started anew", async () => {
    const { supervisor, spawned, deaths } = setUp(2);
    let stopped = false;
    const stop = supervisor.stop().then(() => {
      stopped = true;
    });
    for (const scraper of spawned) expect(scraper.posted).toEqual([{ type: "stop" }]);
    spawned[0]!.events.exit("exit code 0");
    await vi.advanceTimersByTimeAsync(10);
    expect(stopped).toBe(false);
    spawned[1]!.events.exit("exit code 0");
    await stop;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(spawned).toHaveLength(2);
    expect(deaths).toEqual([]);
  });

  test("kills a scraper that does not end", async () => {
    const { supervisor, spawned } = setUp();
    const stop = supervisor.stop();
    await vi.advanceTimersByTimeAsync(1000);
    await stop;
    expect(spawned[0]!.killed).toBe(true);
  });

  test("while a restart is due ends at once", async () => {
    const { supervisor, spawned } = setUp();
    spawned[0]!.events.exit("crash");
    await supervisor.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(spawned).toHaveLength(1);
  });
});
