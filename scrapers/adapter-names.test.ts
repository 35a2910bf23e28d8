/**
 * Names by hash on both sides of the thread boundary.
 * @module
 */
import { expect, test } from "vitest";
import { hashName } from "../scheduler/index.ts";
import { ADAPTER_NAMES_MAX, AdapterNames, SentNames } from "./adapter-names.ts";
import { AdapterList } from "./page-facts.ts";

function listOf(names: string): AdapterList {
  const list = new AdapterList();
  const bytes = Buffer.from(names);
  list.read(bytes, 0, bytes.length);
  return list;
}

test("a name is sent once, with the hash that the scheduler computes", () => {
  const sent = new SentNames();
  const names = new AdapterNames();
  let sends = 0;
  const send = (lo: number, hi: number, name: string): void => {
    names.set(lo, hi, name);
    sends++;
  };
  sent.each(listOf("a,b"), send);
  sent.each(listOf("b,grüße"), send);
  expect(sends).toBe(3);
  const { lo, hi } = hashName("grüße");
  expect(names.get(lo, hi)).toBe("grüße");
  expect(names.get(lo, hi + 1)).toBeUndefined();
});

test("the oldest name is forgotten beyond the bound", () => {
  const names = new AdapterNames();
  for (let i = 0; i <= ADAPTER_NAMES_MAX; i++) names.set(i, 1, `n${i}`);
  expect(names.get(0, 1)).toBeUndefined();
  expect(names.get(1, 1)).toBe("n1");
  expect(names.get(ADAPTER_NAMES_MAX, 1)).toBe(`n${ADAPTER_NAMES_MAX}`);
});
