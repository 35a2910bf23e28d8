import { expect, test } from "vitest";
import { EndpointPool } from "../endpoints.ts";
import type { SaturationDetector } from "./contracts.ts";
import { PoolSaturation } from "./pool-saturation.ts";

/** Mean of the waiting requests, and the slots and time it was asked with. */
class MeanWaiting implements SaturationDetector {
  readonly readsScrapes = true;
  readonly asked: string[] = [];

  saturation({ columns, count, nowMs, slots }: Parameters<SaturationDetector["saturation"]>[0]) {
    this.asked.push(`${[...slots.subarray(0, count)]} at ${nowMs}`);
    let sum = 0;
    for (let i = 0; i < count; i++) sum += columns.waiting[slots[i]!]!;
    return sum / count;
  }
}

function poolOf(roles: readonly (string | null)[], waiting: readonly number[]): EndpointPool {
  const pool = new EndpointPool();
  roles.forEach((role, i) => {
    const slot = pool.upsert({
      id: `default/p${i}`,
      name: `p${i}`,
      namespace: "default",
      address: `10.0.0.${i}`,
      port: 8000,
      labels: new Map(role === null ? [] : [["llm-d.ai/role", role]]),
      rankIndex: 0,
    });
    pool.columns.waiting[slot] = waiting[i]!;
  });
  return pool;
}

function measure(roles: readonly (string | null)[], waiting: readonly number[]) {
  const saturation = new PoolSaturation(poolOf(roles, waiting), new MeanWaiting());
  const effective = saturation.measure(5);
  expect(saturation.effective).toBe(effective);
  return [saturation.prefill, saturation.decode, effective];
}

test("an empty pool is full, and the detector is not asked", () => {
  const detector = new MeanWaiting();
  expect(new PoolSaturation(new EndpointPool(), detector).measure(0)).toBe(1);
  expect(detector.asked).toEqual([]);
});

test("endpoints without a role decode; the greater stage counts", () => {
  expect(measure([null, ""], [1, 3])).toEqual([Number.NaN, 2, 2]);
  expect(measure(["prefill", "decode"], [5, 1])).toEqual([5, 1, 5]);
  expect(measure(["encode-prefill", "decode"], [1, 4])).toEqual([1, 4, 4]);
  expect(measure(["prefill"], [3])).toEqual([3, Number.NaN, 3]);
});

test.each(["prefill-decode", "both", "encode-prefill-decode"])(
  "%s counts in both stages",
  (role) => {
    expect(measure([role, "prefill", "decode"], [2, 4, 0])).toEqual([3, 1, 3]);
  },
);

test("when nobody has a role that counts, the whole pool is looked at", () => {
  expect(measure(["encode", "referee"], [2, 4])).toEqual([Number.NaN, Number.NaN, 3]);
});

test("follows the pool, and asks with the time it is given", () => {
  const pool = poolOf([null], [1]);
  const detector = new MeanWaiting();
  const saturation = new PoolSaturation(pool, detector);
  saturation.measure(1);
  const slot = pool.upsert({
    id: "default/new",
    name: "new",
    namespace: "default",
    address: "10.0.1.0",
    port: 8000,
    labels: new Map(),
    rankIndex: 0,
  });
  pool.columns.waiting[slot] = 3;
  expect(saturation.measure(2)).toBe(2);
  pool.remove("default/p0");
  expect(saturation.measure(3)).toBe(3);
  expect(detector.asked).toEqual(["0 at 1", "0,1 at 2", "1 at 3"]);
});

test("a detector that does not answer with a number makes the pool full, not open", () => {
  const saturation = new PoolSaturation(poolOf([null], [0]), {
    readsScrapes: false,
    saturation: () => Number.NaN,
  });
  expect(saturation.measure(0)).toBe(1);
});
