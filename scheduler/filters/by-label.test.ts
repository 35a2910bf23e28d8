import { expect, test } from "vitest";
import { keptBy } from "../../test/support/kept.ts";
import { byLabel } from "./by-label.ts";

const pods = [{ hw: "h100" }, { hw: "l4" }, { hw: "" }, {}];
const kept = (parameters: object): number[] => keptBy(byLabel, pods, parameters);

test("keeps endpoints whose label has one of the values", () => {
  expect(kept({ label: "hw", validValues: ["h100", "a100"] })).toEqual([0]);
});

test("keeps endpoints without the label only when asked to", () => {
  expect(kept({ label: "hw", validValues: ["h100"], allowsNoLabel: true })).toEqual([0, 3]);
  expect(kept({ label: "hw", allowsNoLabel: true })).toEqual([3]);
});

test("an empty value among the valid ones stands for an absent label too", () => {
  expect(kept({ label: "hw", validValues: [""] })).toEqual([2, 3]);
});

test("needs a label, and something to keep", () => {
  const problems = (parameters: object): string[] =>
    byLabel.parameters.safeParse(parameters).error!.issues.map(({ path }) => path.join("."));
  expect(problems({ validValues: ["x"] })).toEqual(["label"]);
  expect(problems({ label: "hw" })).toEqual(["validValues"]);
});

test("is deprecated", () => {
  expect(byLabel.stability).toBe("deprecated");
});
