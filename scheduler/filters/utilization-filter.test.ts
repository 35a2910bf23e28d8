import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { START_MS, scrape } from "../../test/support/scheduler-setup.ts";
import { InflightLoad } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { utilizationFilter } from "./utilization-filter.ts";

interface Load {
  readonly waiting?: number;
  readonly running?: number;
  readonly kvUtilization?: number;
  readonly active?: number;
}

function keptOf(loads: readonly Load[], parameters: object): number[] {
  const load = new InflightLoad();
  load.ensure(loads.length);
  load.requests.set(loads.map(({ active = 0 }) => active));
  const { candidates, handle, pool } = pluginSetup(loads.length, { "inflight-load": load });
  loads.forEach(({ active: _active, ...facts }, slot) => {
    scrape(pool, slot, facts, START_MS);
  });
  const parsed = utilizationFilter.parameters.parse(parameters);
  const { filter } = utilizationFilter.create(parsed, handle);
  filter!.filter(new InferenceRequest({}), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}

test("keeps endpoints within all bounds, the bounds included", () => {
  const conditions = [
    { metric: "active-requests", maxValue: 8 },
    { metric: "kv-cache-utilization", maxValue: 0.9 },
  ];
  const loads = [
    { active: 8, kvUtilization: 0.9 },
    { active: 9, kvUtilization: 0.5 },
    { active: 1, kvUtilization: 0.91 },
  ];
  expect(keptOf(loads, { conditions })).toEqual([0]);
});

test("each metric is its own column", () => {
  const loads = [{ waiting: 5 }, { running: 5 }, { kvUtilization: 0.5 }, { active: 5 }];
  const kept = (metric: string, maxValue: number) =>
    keptOf(loads, { conditions: [{ metric, maxValue }] });
  expect(kept("waiting-queue", 4)).toEqual([1, 2, 3]);
  expect(kept("running-requests", 4)).toEqual([0, 2, 3]);
  expect(kept("kv-cache-utilization", 0.4)).toEqual([0, 1, 3]);
  expect(kept("active-requests", 4)).toEqual([0, 1, 2]);
});

test("nobody within the bounds: none, or all where that is asked for", () => {
  const conditions = [{ metric: "waiting-queue", maxValue: 1 }];
  const loads = [{ waiting: 5 }, { waiting: 6 }];
  expect(keptOf(loads, { conditions })).toEqual([]);
  expect(keptOf(loads, { conditions, fallbackOnEmpty: true })).toEqual([0, 1]);
});

test("with the fallback nobody is ever left without an endpoint", () => {
  const load = fc.record({ waiting: fc.nat(10), active: fc.nat(10) });
  fc.assert(
    fc.property(fc.array(load, { minLength: 1, maxLength: 10 }), fc.nat(10), (loads, maxValue) => {
      const conditions = [
        { metric: "waiting-queue", maxValue },
        { metric: "active-requests", maxValue },
      ];
      const within = loads.flatMap(({ active, waiting }, i) =>
        active <= maxValue && waiting <= maxValue ? [i] : [],
      );
      const all = loads.map((_, i) => i);
      expect(keptOf(loads, { conditions })).toEqual(within);
      expect(keptOf(loads, { conditions, fallbackOnEmpty: true })).toEqual(
        within.length === 0 ? all : within,
      );
    }),
  );
});

test("needs a condition, and one that can be", () => {
  const problems = (conditions: unknown): string[] =>
    utilizationFilter.parameters
      .safeParse({ conditions })
      .error!.issues.map(({ path }) => path.join("."));
  expect(problems(undefined)).toEqual(["conditions"]);
  expect(problems([])).toEqual(["conditions"]);
  expect(problems([{ metric: "kv-cache-utilization", maxValue: 1.5 }])).toEqual([
    "conditions.0.maxValue",
  ]);
  expect(problems([{ metric: "mood", maxValue: 1 }])).toEqual(["conditions.0.metric"]);
});

test("reads the load only where it is bounded", () => {
  const consumed = (metric: string) =>
    utilizationFilter.consumes!(
      utilizationFilter.parameters.parse({ conditions: [{ metric, maxValue: 1 }] }),
    );
  expect(consumed("waiting-queue")).toEqual([]);
  expect(consumed("active-requests")).toEqual([
    { type: "inflight-load", producer: "inflight-load-producer", required: true },
  ]);
});
