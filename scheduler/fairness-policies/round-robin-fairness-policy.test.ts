import fc from "fast-check";
import { expect, test } from "vitest";
import { FairnessDriver, flowPlugin } from "../../test/support/flow-setup.ts";

const driverOf = () =>
  new FairnessDriver(flowPlugin("round-robin-fairness-policy").fairnessPolicy!);

test("flows take turns, whatever each has queued", () => {
  const driver = driverOf();
  for (let i = 0; i < 5; i++) driver.add("a");
  driver.add("b");
  driver.add("b");
  driver.add("c");
  expect(driver.order(9)).toBe("abcabaaa-");
});

test("a flow that comes, or comes back, waits for all others", () => {
  const driver = driverOf();
  for (const id of "aabb") driver.add(id);
  expect(driver.order(1)).toBe("a");
  driver.add("c");
  expect(driver.order(2)).toBe("ba");
  driver.add("a");
  expect(driver.order(9)).toBe("cba------");
});

test("a flow whose requests are all canceled loses its turn to the next", () => {
  const driver = driverOf();
  for (const id of "aabbcc") driver.add(id);
  expect(driver.order(1)).toBe("a");
  driver.drop("b");
  driver.drop("b");
  expect(driver.order(3)).toBe("cac");
});

test("nobody waits for more turns than there were flows when it became active", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(5)), { maxLength: 200 }), (steps) => {
      const driver = driverOf();
      const due = new Map<string, number>();
      let turn = 0;
      for (const [adds, pick] of steps) {
        const id = "abcdef"[pick]!;
        if (adds) {
          driver.add(id);
          const active = [...driver.flows.values()].filter(({ items }) => items.length > 0).length;
          if (driver.flow(id).items.length === 1) due.set(id, turn + active);
          continue;
        }
        const taken = driver.take();
        if (taken === null) continue;
        turn++;
        const { fairnessId } = taken.flow;
        expect(turn).toBeLessThanOrEqual(due.get(fairnessId)!);
        const active = [...driver.flows.values()].filter(({ items }) => items.length > 0).length;
        due.set(fairnessId, turn + active);
      }
    }),
  );
});

test("each band has turns of its own", () => {
  const policy = flowPlugin("round-robin-fairness-policy").fairnessPolicy!;
  expect(policy.band()).not.toBe(policy.band());
});
