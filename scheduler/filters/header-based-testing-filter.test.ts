import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { headerBasedTestingFilter } from "./header-based-testing-filter.ts";

/** 10.0.0.1:8000, 10.0.0.1:8001, 10.0.0.2:8000, [fd00::1]:8000 */
const ENDPOINTS = [
  ["10.0.0.1", 8000],
  ["10.0.0.1", 8001],
  ["10.0.0.2", 8000],
  ["fd00::1", 8000],
] as const;

function keptFor(header: string | null): number[] {
  const { candidates, handle, pool } = pluginSetup(0);
  ENDPOINTS.forEach(([address, port], i) => {
    const name = `p${i}`;
    const id = `default/${name}`;
    const namespace = "default";
    pool.upsert({ id, name, namespace, address, port, labels: new Map(), rankIndex: 0 });
  });
  candidates.reset(0);
  const { filter } = headerBasedTestingFilter.create({}, handle);
  const headers = new Map(header === null ? [] : [["test-epp-endpoint-selection", header]]);
  filter!.filter(new InferenceRequest({ headers }), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}

test("an address is all its ports, an address with a port one endpoint", () => {
  expect(keptFor("10.0.0.1")).toEqual([0, 1]);
  expect(keptFor("10.0.0.1:8001")).toEqual([1]);
  expect(keptFor("[fd00::1]:8000")).toEqual([3]);
  expect(keptFor("fd00::1")).toEqual([3]);
});

test("a list keeps its order, each endpoint once, and what is not in the pool is nobody", () => {
  expect(keptFor("10.0.0.2, 10.0.0.1:8001 ,10.9.9.9,10.0.0.1,10.0.0.2:8000")).toEqual([2, 1, 0]);
});

test("without the header, or with a blank one, nobody is left", () => {
  expect(keptFor(null)).toEqual([]);
  expect(keptFor("  ")).toEqual([]);
  expect(keptFor(",,")).toEqual([]);
});

test("whatever the header holds, each endpoint is there once at most", () => {
  const entry = fc.constantFrom(
    "10.0.0.1",
    "10.0.0.1:8000",
    "10.0.0.2",
    "fd00::1",
    "",
    "x",
    "1:2:3",
  );
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
      const kept = keptFor(entries.join(","));
      expect(new Set(kept).size).toBe(kept.length);
    }),
  );
});

test("says at load what it is for", () => {
  const { handle, warnings } = pluginSetup(0);
  headerBasedTestingFilter.create({}, handle);
  expect(warnings[0]).toContain("for tests only");
});
