import { expect, test } from "vitest";
import { bandSettings, FlowSetup } from "../../test/support/flow-setup.ts";
import { limits } from "../limits.ts";
import { BandTable } from "./band-table.ts";

const template = bandSettings({ maxRequests: 11 });
const negative = bandSettings({ maxRequests: 22 });
const settingsOf = (...priorities: number[]) => ({
  ...new FlowSetup().settings,
  bands: priorities.map((priority) => ({ priority, ...bandSettings({ maxRequests: 33 }) })),
  defaultBand: template,
  negativeBand: negative,
});

function tableOf(...priorities: number[]) {
  const removed: number[] = [];
  const table = new BandTable(settingsOf(...priorities), ({ priority }) => removed.push(priority));
  return { removed, table };
}

test("bands stand highest first, band 0 among them in any case", () => {
  const { table } = tableOf(-3, 7, 2);
  expect(table.priorities).toEqual([7, 2, 0, -3]);
  expect(table.sorted.map(({ settings }) => settings.maxRequests)).toEqual([33, 33, 11, 33]);
  expect(tableOf(0).table.of(0).settings.maxRequests).toBe(33);
});

test("a priority without a band is served in band 0", () => {
  const { table } = tableOf(2);
  expect(table.of(2).priority).toBe(2);
  expect(table.of(3).priority).toBe(0);
  expect(table.of(Number.NaN).priority).toBe(0);
});

test("asked for: made of the template of their sign; -0 is 0", () => {
  const { table } = tableOf(2);
  table.setPriorities([5, -5, -0]);
  expect(table.priorities).toEqual([5, 2, 0, -5]);
  expect(table.of(5).settings).toBe(template);
  expect(table.of(-5).settings).toBe(negative);
});

test("no longer asked for: gone when idle, the busy ones at their release", () => {
  const { removed, table } = tableOf(2);
  table.setPriorities([5, 6]);
  const busy = table.of(5);
  busy.running = 1;
  table.setPriorities([]);
  expect(removed).toEqual([6]);
  table.release(busy);
  expect(table.priorities).toEqual([5, 2, 0]);
  busy.running = 0;
  table.release(busy);
  expect(removed).toEqual([6, 5]);
  table.release(table.of(2));
  expect(table.priorities).toEqual([2, 0]);
});

test("asked for again before it is idle: it stays", () => {
  const { removed, table } = tableOf();
  table.setPriorities([5]);
  const band = table.of(5);
  band.requests = 1;
  table.setPriorities([]);
  table.setPriorities([5]);
  band.requests = 0;
  table.release(band);
  expect(removed).toEqual([]);
  expect(table.of(5)).toBe(band);
});

test("a configured band that is configured no more goes as the others do", () => {
  const { removed, table } = tableOf(2, 3);
  table.setPriorities([3]);
  table.reconfigure(settingsOf());
  expect(removed).toEqual([2]);
  expect(table.of(3).settings).toBe(template);
  expect(table.of(3).isStatic).toBe(false);
});

test("there are so many bands at most", () => {
  const { table } = tableOf();
  table.setPriorities(Array.from({ length: limits.bandsMax + 100 }, (_, i) => i));
  expect(table.sorted).toHaveLength(limits.bandsMax);
});
