import fc from "fast-check";
import { expect, test } from "vitest";
import { FairnessDriver, flowPlugin } from "../../test/support/flow-setup.ts";
import { deficitRoundRobinFairnessPolicy } from "./deficit-round-robin-fairness-policy.ts";

const driverOf = (parameters: object = {}) =>
  new FairnessDriver(flowPlugin("deficit-round-robin-fairness-policy", parameters).fairnessPolicy!);

/** A request that costs exactly so much. */
const costing = (tokens: number) => ({ promptTokens: tokens, maxOutputTokens: 0 });

test("flows get equal tokens, not equal requests", () => {
  const driver = driverOf({ quantumTokens: 100 });
  for (let i = 0; i < 3; i++) driver.add("long", costing(300));
  for (let i = 0; i < 12; i++) driver.add("short", costing(50));
  const served = { long: 0, short: 0 };
  for (let i = 0; i < 8; i++) {
    const { flow, charged } = driver.take()!;
    served[flow.fairnessId as keyof typeof served] += charged;
  }
  expect(served).toEqual({ long: 300, short: 350 });
});

test("weights give shares", () => {
  const driver = driverOf({ quantumTokens: 100, weights: { gold: 3 } });
  for (let i = 0; i < 40; i++) {
    driver.add("gold", costing(100));
    driver.add("other", costing(100));
  }
  expect(driver.order(12)).toBe("goldgoldgoldothergoldgoldgoldothergoldgoldgoldother");
});

test("a request far beyond the quantum takes one call, not thousands of turns", () => {
  const driver = driverOf({ quantumTokens: 1 });
  driver.add("a", costing(1_000_000));
  driver.add("b", costing(900_000));
  driver.add("b", costing(100_001));
  expect(driver.order(4)).toBe("bab-");
});

test("what a flow saves is lost when it runs empty; what it owes is not", () => {
  const driver = driverOf({ quantumTokens: 100 });
  driver.add("a", costing(10));
  const taken = driver.take()!; // 90 saved, and lost
  driver.settle(taken, { uncachedPromptTokens: 10, outputTokens: 250 }); // 250 owed
  for (let i = 0; i < 9; i++) {
    driver.add("a", costing(100));
    driver.add("b", costing(100));
  }
  // a pays back 250 of what three turns give it
  expect(driver.order(5)).toBe("bbbab");
});

test("output that was expected and did not come is given back", () => {
  const driver = driverOf({ quantumTokens: 1000, expectedOutputTokens: 900 });
  driver.add("a", { promptTokens: 100 });
  for (let i = 0; i < 10; i++) driver.add("a", costing(450));
  for (let i = 0; i < 10; i++) driver.add("b", costing(1000));
  const taken = driver.take()!;
  expect(taken.charged).toBe(1000);
  driver.settle(taken, { uncachedPromptTokens: 100, outputTokens: 0 });
  expect(driver.order(4)).toBe("aaba");
});

test("unknown usage leaves the charge, a request that was not served costs nothing", () => {
  const order = (usage: { uncachedPromptTokens: number; outputTokens: number } | null) => {
    const driver = driverOf({ quantumTokens: 100 });
    for (let i = 0; i < 4; i++) {
      driver.add("a", costing(100));
      driver.add("b", costing(100));
    }
    driver.settle(driver.take()!, usage);
    return driver.order(3);
  };
  expect(order(null)).toBe("bab");
  expect(order({ uncachedPromptTokens: 0, outputTokens: 0 })).toBe("aba");
});

test("a forgotten flow owes nothing", () => {
  const driver = driverOf({ quantumTokens: 100 });
  driver.add("a", costing(10));
  driver.settle(driver.take()!, { uncachedPromptTokens: 10, outputTokens: 1000 });
  driver.fairness.forget(driver.flow("a"));
  driver.add("a", costing(100));
  driver.add("b", costing(100));
  expect(driver.order(2)).toBe("ab");
});

test("between flows that always have something queued, charges differ by a quantum and a request at most", () => {
  const QUANTUM = 500;
  const COST_MAX = 2000;
  const costs = fc.array(fc.integer({ min: 1, max: COST_MAX }), { minLength: 3, maxLength: 20 });
  fc.assert(
    fc.property(costs, costs, costs, (...lists) => {
      const driver = driverOf({ quantumTokens: QUANTUM });
      const charged = [0, 0, 0];
      const sent = [0, 0, 0];
      const send = (i: number) => {
        const list = lists[i]!;
        driver.add("abc"[i]!, costing(list[sent[i]!++ % list.length]!));
      };
      for (let i = 0; i < 3; i++) for (let n = 0; n < 2; n++) send(i);
      for (let n = 0; n < 200; n++) {
        const taken = driver.take()!;
        const i = "abc".indexOf(taken.flow.fairnessId);
        charged[i] = charged[i]! + taken.charged;
        send(i);
        expect(Math.max(...charged) - Math.min(...charged)).toBeLessThanOrEqual(QUANTUM + COST_MAX);
      }
    }),
  );
});

test.each([
  [{ quantumTokens: 0 }],
  [{ quantumTokens: 1.5 }],
  [{ weights: { a: 0 } }],
  [{ weights: { a: -1 } }],
  [{ expectedOutputTokens: -1 }],
  [{ quantum: 5 }],
])("%j is refused", (parameters) => {
  expect(deficitRoundRobinFairnessPolicy.parameters.safeParse(parameters).success).toBe(false);
});
