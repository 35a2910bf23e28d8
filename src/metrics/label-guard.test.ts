import { expect, test } from "vitest";
import { LABEL_LENGTH_MAX, LABEL_VALUES_MAX, LabelGuard } from "./label-guard.ts";

test("a thousand values pass, later ones are other, and those that passed still do", () => {
  const guard = new LabelGuard();
  for (let i = 0; i < LABEL_VALUES_MAX; i++) expect(guard.admit(`m${i}`)).toBe(`m${i}`);
  expect(guard.admit("one more")).toBe("other");
  expect(guard.admit("m0")).toBe("m0");
});

test("the empty value passes and takes no place", () => {
  const guard = new LabelGuard();
  expect(guard.admit("")).toBe("");
  for (let i = 0; i < LABEL_VALUES_MAX; i++) guard.admit(`m${i}`);
  expect(guard.admit("")).toBe("");
  expect(guard.admit("m999")).toBe("m999");
});

test("names of the operator pass, whatever room there is, and take none", () => {
  const guard = new LabelGuard();
  guard.exempt(new Set(["ours"]));
  for (let i = 0; i < LABEL_VALUES_MAX; i++) expect(guard.admit(`m${i}`)).toBe(`m${i}`);
  expect(guard.admit("ours")).toBe("ours");
  guard.exempt(new Set(["theirs"]));
  expect(guard.admit("theirs")).toBe("theirs");
  expect(guard.admit("ours")).toBe("other");
});

test("a name as long as a body is other and takes no place", () => {
  const guard = new LabelGuard();
  expect(guard.admit("x".repeat(LABEL_LENGTH_MAX))).toHaveLength(LABEL_LENGTH_MAX);
  expect(guard.admit("x".repeat(LABEL_LENGTH_MAX + 1))).toBe("other");
});
