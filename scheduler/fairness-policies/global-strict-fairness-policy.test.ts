import fc from "fast-check";
import { expect, test } from "vitest";
import { FairnessDriver, flowPlugin } from "../../test/support/flow-setup.ts";

const driverOf = () =>
  new FairnessDriver(flowPlugin("global-strict-fairness-policy").fairnessPolicy!);

test("the oldest of all goes, whoever sent it", () => {
  const driver = driverOf();
  for (const id of "aaab") {
    driver.add(id);
    driver.nowMs++;
  }
  driver.add("c");
  expect(driver.order(6)).toBe("aaabc-");
});

test("follows a head that is canceled", () => {
  const driver = driverOf();
  for (const id of "abca") {
    driver.add(id);
    driver.nowMs++;
  }
  driver.drop("a");
  driver.drop("c");
  expect(driver.order(3)).toBe("ba-");
});

test("all that is queued goes in the order in which it came", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 60 }), (picks) => {
      const driver = driverOf();
      const ids = picks.map((pick) => "abcdef"[pick]!);
      for (const id of ids) driver.add(id);
      expect(driver.order(ids.length)).toBe(ids.join(""));
    }),
  );
});
