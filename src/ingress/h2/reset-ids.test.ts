/**
 * A bounded memory of ids.
 * @module
 */
import { expect, test } from "vitest";
import { ResetIds } from "./reset-ids.ts";

test("the newest ids are known, as many as were asked for", () => {
  const ids = new ResetIds(3);
  expect(ids.has(1)).toBe(false);
  for (const id of [1, 3, 5, 3, 7]) ids.add(id);
  expect([1, 3, 5, 7].map((id) => ids.has(id))).toEqual([false, true, true, true]);
  ids.add(9);
  expect([3, 5, 7, 9].map((id) => ids.has(id))).toEqual([false, true, true, true]);
});
