import { expect, test } from "vitest";
import { parseExposition, sumOf } from "../../test/support/exposition.ts";
import { catalog } from "./catalog.ts";
import { Metrics } from "./metrics.ts";

test("a page has every family of the catalog, twins and process included, sorted by name", async () => {
  const page = await new Metrics().render();
  const names = [...page.matchAll(/^# TYPE (\S+) /gm)].map((match) => match[1]!);
  expect(names).toEqual([...new Set(names)].sort());
  for (const family of Object.values(catalog)) {
    expect(names).toContain(family.name);
    if ("twin" in family) expect(names).toContain(family.twin.name);
  }
  expect(names).toContain("process_resident_memory_bytes");
  expect(page).toMatch(/^# HELP endpoint_picker_\S+ \[ALPHA\] /);
});

test("collectors fill gauges anew before each page", async () => {
  const metrics = new Metrics();
  let streams = 0;
  metrics.onCollect(() => metrics.families.openStreams.set(0, ++streams));
  const name = "endpoint_picker_open_streams";
  expect(sumOf(parseExposition(await metrics.render()), name)).toBe(1);
  expect(sumOf(parseExposition(await metrics.render()), name)).toBe(2);
});

test("a long page lets others have a turn, and is of one moment per family", async () => {
  const metrics = new Metrics();
  const { requestTotal } = metrics.families;
  for (let i = 0; i < 1000; i++) requestTotal.add(requestTotal.row("m", "t", `f${i}`, "0"));
  let turns = 0;
  let isWritten = false;
  const tick = (): void => {
    if (isWritten) return;
    turns++;
    for (let i = 0; i < 1000; i++) requestTotal.add(requestTotal.row("m", "t", `f${i}`, "0"));
    setImmediate(tick);
  };
  setImmediate(tick);
  const page = await metrics.render();
  isWritten = true;
  expect(turns).toBeGreaterThan(5);
  const values = parseExposition(page).filter(({ name }) => name === "llm_d_epp_request_total");
  expect(values).toHaveLength(1000);
  expect(new Set(values.map(({ value }) => value)).size).toBe(1);
});
