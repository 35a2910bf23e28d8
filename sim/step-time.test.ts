import fc from "fast-check";
import { expect, test } from "vitest";
import { type StepProfile, stepMs, stepProfiles } from "./step-time.ts";

const round: StepProfile = {
  baseMs: 10,
  prefillTokensPerSecond: 1000,
  perSequenceMs: 0.5,
  perContextTokenMs: 0.01,
};

test("a step costs its base, and each thing in it adds its own", () => {
  expect(stepMs(round, 0, 0, 0)).toBe(10);
  expect(stepMs(round, 64, 0, 0)).toBe(74);
  expect(stepMs(round, 0, 4, 0)).toBe(12);
  expect(stepMs(round, 0, 1, 100)).toBeCloseTo(11.5, 12);
  expect(stepMs(round, 64, 4, 100)).toBeCloseTo(77, 12);
});

test("the profiles say what their comments promise", () => {
  const h100 = stepProfiles["h100-32b"];
  // A second of nothing but prefill, in steps of 8192 tokens.
  const tokensPerSecond = (8192 / stepMs(h100, 8192, 0, 0)) * 1000;
  expect(tokensPerSecond).toBeGreaterThan(19_000);
  expect(tokensPerSecond).toBeLessThanOrEqual(h100.prefillTokensPerSecond);
  expect(stepMs(h100, 0, 8, 8 * 1000)).toBeGreaterThan(11.5);
  expect(stepMs(h100, 0, 8, 8 * 1000)).toBeLessThan(12.5);
  expect(stepMs(stepProfiles.demo, 512, 0, 0)).toBe(74);
});

test("more of anything never makes a step shorter, and two steps never cost less than one", () => {
  const amount = fc.nat({ max: 100_000 });
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(stepProfiles)),
      fc.tuple(amount, amount, amount),
      fc.tuple(amount, amount, amount),
      (profile, a, b) => {
        const both = stepMs(profile, a[0] + b[0], a[1] + b[1], a[2] + b[2]);
        const apart = stepMs(profile, ...a) + stepMs(profile, ...b);
        expect(both).toBeGreaterThanOrEqual(stepMs(profile, ...a));
        expect(both).toBeLessThan(apart);
      },
    ),
  );
});
