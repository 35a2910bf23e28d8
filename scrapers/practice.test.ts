import { expect, test, vi } from "vitest";
import type { ScrapeConfig } from "./messages.ts";
import { practiceLimits, practiceScrapes } from "./practice.ts";

const config: ScrapeConfig = {
  intervalMs: 50,
  scheme: "https",
  path: "/elsewhere",
  tls: {},
  aggregation: "sum",
  engineConfigs: [],
  defaultEngine: "vllm",
};

const sockets = (): number =>
  process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length;

test("every scrape of practice finds facts, and no socket is left", async () => {
  const before = sockets();
  expect(await practiceScrapes(config, { nowMs: () => 1 })).toBe(4 * practiceLimits.rounds);
  await vi.waitFor(() => expect(sockets()).toBeLessThanOrEqual(before));
});

test("time ends it", async () => {
  let nowMs = 0;
  const scrapes = await practiceScrapes(config, { nowMs: () => nowMs++ });
  expect(scrapes).toBeLessThan(4 * practiceLimits.rounds);
});
