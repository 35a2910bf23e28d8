import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FairnessDriver, flowPlugin } from "../../test/support/flow-setup.ts";
import { programAwareFairness } from "./program-aware-fairness.ts";

const policyOf = (parameters: object = {}) =>
  flowPlugin("program-aware-fairness", parameters).fairnessPolicy!;
const driverOf = (parameters: object = {}) => new FairnessDriver(policyOf(parameters));

/** A request that is charged exactly so much. */
const costing = (tokens: number) => ({ promptTokens: tokens, maxOutputTokens: 0 });

/** (v − min) / (max − min), 0.5 for equal values. */
function norm(values: readonly number[]): number[] {
  const min = Math.min(...values);
  const range = Math.max(...values) - min;
  return values.map((value) => (range > 0 ? (value - min) / range : 0.5));
}

test("the highest score goes, for any service, waits and weights", () => {
  const flow = fc.record({ tokens: fc.nat(100_000), comesAtMs: fc.nat(10_000) });
  const flows = fc.array(flow, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(flows, fc.nat(10), fc.nat(10), (list, lasWeightService, lasWeightHeadWait) => {
      const driver = driverOf({ lasHalfLifeSeconds: 0, lasWeightService, lasWeightHeadWait });
      list.forEach(({ tokens }, i) => {
        driver.add(`${i}`, costing(tokens));
        driver.take();
      });
      const order = list.map((_, i) => i).sort((a, b) => list[a]!.comesAtMs - list[b]!.comesAtMs);
      for (const i of order) {
        driver.nowMs = list[i]!.comesAtMs;
        driver.add(`${i}`, costing(1));
      }
      driver.nowMs = 10_000;
      const service = norm(list.map(({ tokens }) => tokens));
      const wait = norm(list.map(({ comesAtMs }) => 10_000 - comesAtMs));
      const scores = list.map(
        (_, i) => lasWeightService * (1 - service[i]!) + lasWeightHeadWait * wait[i]!,
      );
      const next = Number(driver.take()!.flow.fairnessId);
      expect(scores[next]).toBeCloseTo(Math.max(...scores), 9);
    }),
  );
});

test("whoever has been served least goes next, and a burst is felt at once", () => {
  const driver = driverOf();
  for (let i = 0; i < 4; i++) driver.add("burst", costing(1000));
  for (let i = 0; i < 4; i++) driver.add("other", costing(400));
  // 1000 : 0, 1000 : 400, 1000 : 800, 1000 : 1200, 2000 : 1200
  expect(driver.order(6)).toBe("burstotherotherotherburstother");
});

test("output counts twice, by what is expected until the request ends", () => {
  const driver = driverOf({ lasHalfLifeSeconds: 0 });
  driver.add("a", { promptTokens: 100 });
  const taken = driver.take()!;
  expect(taken.charged).toBe(100 + 2 * 256);
  driver.settle(taken, { uncachedPromptTokens: 100, outputTokens: 20 }); // attained 140
  driver.add("b", costing(139));
  driver.take();
  driver.add("a", costing(0));
  driver.add("b", costing(0));
  expect(driver.order(1)).toBe("b");
});

test("equal service: the longest wait goes; equal waits too: the oldest", () => {
  const driver = driverOf();
  driver.add("a", costing(1));
  driver.add("b", costing(1));
  expect(driver.order(1)).toBe("a");
  const waits = driverOf();
  waits.add("late", costing(1));
  waits.drop("late");
  waits.nowMs = 5;
  waits.add("first", costing(1));
  waits.nowMs = 9;
  waits.add("late", costing(1));
  expect(waits.order(1)).toBe("first");
});

test("a request that was never served is not charged", () => {
  const driver = driverOf({ lasHalfLifeSeconds: 0 });
  driver.add("a", costing(500));
  driver.settle(driver.take()!, { uncachedPromptTokens: 0, outputTokens: 0 });
  driver.add("b", costing(1));
  driver.take();
  driver.add("b", costing(1));
  driver.add("a", costing(1));
  expect(driver.order(1)).toBe("a");
});

test("service of ten half-lives ago weighs a thousandth", () => {
  const driver = driverOf({ lasHalfLifeSeconds: 1 });
  driver.add("old", costing(102_400));
  driver.take();
  driver.nowMs = 10_000;
  driver.add("new", costing(101));
  driver.take();
  driver.add("new", costing(1));
  driver.add("old", costing(1));
  expect(driver.order(1)).toBe("old");
});

test("bands of one instance share what programs have attained", () => {
  const policy = policyOf();
  const high = new FairnessDriver(policy);
  const low = new FairnessDriver(policy);
  high.add("a", costing(1000));
  high.take();
  low.add("a", costing(1));
  low.add("b", costing(1));
  expect(low.order(1)).toBe("b");
  expect(low.fairness.stats!(0)).toMatchObject({ totalPrograms: 2, totalInFlight: 2 });
});

describe("parameters", () => {
  test("default to upstream's", () => {
    expect(programAwareFairness.parameters.parse({})).toEqual({
      strategy: "las",
      evictionTtlSeconds: 3600,
      evictionSweepSeconds: 300,
      lasWeightService: 0.8,
      lasWeightHeadWait: 0.2,
      lasHalfLifeSeconds: 60,
    });
  });

  test.each([
    [{ strategy: "drr" }],
    [{ evictionTtlSeconds: -1 }],
    [{ evictionSweepSeconds: 0 }],
    [{ lasWeightService: -0.1 }],
    [{ lasHalfLifeSeconds: -1 }],
    [{ lasDecayFactor: 0.9 }],
  ])("%j is refused", (parameters) => {
    expect(programAwareFairness.parameters.safeParse(parameters).success).toBe(false);
  });
});
