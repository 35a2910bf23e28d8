import fc from "fast-check";
import { expect, test } from "vitest";
import { bandSettings } from "../../test/support/flow-setup.ts";
import { limits } from "../limits.ts";
import { Band } from "./band.ts";
import type { FlowView } from "./contracts.ts";
import type { Flow } from "./flow.ts";
import { FlowTable } from "./flow-table.ts";

const IDLE_MS = 1000;

function tableOf(maxFlows: number, seed = 0) {
  const band = new Band(0, bandSettings(), true);
  const forgotten: string[] = [];
  band.fairness.forget = (flow: FlowView) => forgotten.push(flow.fairnessId);
  const table = new FlowTable(maxFlows, IDLE_MS, seed);
  const busy = (id: string, nowMs = 0): Flow => {
    const flow = table.find(band, id, nowMs);
    flow.running = 1;
    table.note(flow, nowMs);
    return flow;
  };
  const idle = (id: string, nowMs = 0): Flow => {
    const flow = table.find(band, id, nowMs);
    flow.running = 0;
    table.note(flow, nowMs);
    return flow;
  };
  return { band, busy, forgotten, idle, table };
}

test("an id finds its flow again", () => {
  const { band, busy, table } = tableOf(10);
  const flow = busy("a");
  expect(table.find(band, "a", 5)).toBe(flow);
  expect(table.find(band, "b", 5)).not.toBe(flow);
  expect(table.find(new Band(1, bandSettings(), true), "a", 5)).not.toBe(flow);
  expect(table.count).toBe(3);
});

test("ids that objects inherit are ids like others", () => {
  const { busy } = tableOf(10);
  for (const id of ["", "__proto__", "constructor", "toString"]) {
    expect(busy(id).fairnessId).toBe(id);
  }
});

test("idle flows are forgotten after their time, busy ones never", () => {
  const { busy, forgotten, idle, table } = tableOf(10);
  busy("busy");
  idle("a", 0);
  idle("b", 400);
  idle("again", 0);
  busy("again", 500);
  table.collect(999);
  expect(forgotten).toEqual([]);
  table.collect(1000);
  expect(forgotten).toEqual(["a"]);
  table.collect(1e9);
  expect(forgotten).toEqual(["a", "b"]);
  expect(table.count).toBe(2);
});

test("when there are too many, the longest idle gives way", () => {
  const { busy, forgotten, idle, table } = tableOf(3);
  busy("busy");
  idle("a", 1);
  idle("b", 2);
  expect(busy("c", 3).bucket).toBe(-1);
  expect(forgotten).toEqual(["a"]);
  expect(table.count).toBe(3);
});

test("with none idle, ids share a few queues, the same id always the same", () => {
  const { band, busy, table } = tableOf(2);
  busy("a");
  busy("b");
  const buckets = new Set<number>();
  for (let i = 0; i < 5000; i++) {
    const flow = busy(`rotating-${i}`);
    expect(flow.bucket).toBeGreaterThanOrEqual(0);
    expect(flow.fairnessId).toBe(`overflow-${flow.bucket}`);
    expect(table.find(band, `rotating-${i}`, 0)).toBe(flow);
    buckets.add(flow.bucket);
  }
  expect(buckets.size).toBe(limits.overflowFlowsPerBand);
  expect(table.count).toBe(2);
  expect(busy("a").bucket).toBe(-1);
});

test("who shares with whom depends on the seed", () => {
  const shares = (seed: number) => {
    const { busy } = tableOf(0, seed);
    return Array.from({ length: 100 }, (_, i) => busy(`id-${i}`).bucket);
  };
  expect(shares(1)).toEqual(shares(1));
  expect(shares(1)).not.toEqual(shares(2));
});

test("a client that calls itself like a shared queue gets a flow of its own", () => {
  const { busy } = tableOf(2);
  busy("a");
  const own = busy("overflow-0");
  expect(own.bucket).toBe(-1);
  expect(busy("other")).not.toBe(own);
});

test("long ids are cut, and stay apart", () => {
  const { busy } = tableOf(10);
  const head = "x".repeat(limits.fairnessIdCharsMax);
  const flows = [busy(head), busy(`${head}a`), busy(`${head}b`)];
  expect(new Set(flows.map(({ fairnessId }) => fairnessId)).size).toBe(3);
  for (const { fairnessId } of flows) {
    expect(fairnessId.length).toBeLessThanOrEqual(limits.fairnessIdCharsMax);
  }
  expect(busy(`${head}a`)).toBe(flows[1]);
});

test("forgetting a band forgets its flows, idle or shared, and no others", () => {
  const { band, busy, forgotten, idle, table } = tableOf(1);
  const other = new Band(1, bandSettings(), true);
  idle("a");
  const kept = table.find(other, "b", 0); // takes the place of a
  kept.running = 1;
  table.note(kept, 0);
  busy("shared").running = 0;
  forgotten.length = 0;
  table.forgetBand(band);
  expect(forgotten).toHaveLength(1);
  expect([...band.allFlows()]).toEqual([]);
  expect(table.count).toBe(1);
  table.collect(1e9);
  expect(table.find(other, "b", 0)).toBe(kept);
});

test("the count is that of the flows, whatever happens", () => {
  const step = fc.tuple(fc.nat(3), fc.nat(12), fc.nat(300));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { band, busy, idle, table } = tableOf(4);
      let nowMs = 0;
      for (const [what, id, ms] of steps) {
        nowMs += ms;
        if (what === 0) table.collect(nowMs);
        else if (what === 1) idle(`${id}`, nowMs);
        else busy(`${id}`, nowMs);
        expect(table.count).toBe(band.flows.size);
        expect(table.count).toBeLessThanOrEqual(4);
      }
    }),
  );
});
