import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Candidates } from "./candidates.ts";
import { EndpointPool } from "./endpoints.ts";
import { SubsetFilter, type SubsetHint } from "./subset.ts";

function poolOf(addresses: readonly (readonly [address: string, port: number])[]): EndpointPool {
  const pool = new EndpointPool();
  addresses.forEach(([address, port], i) => {
    const name = `p${i}`;
    const id = `default/${name}`;
    pool.upsert({ id, name, namespace: "default", address, port, labels: new Map(), rankIndex: 0 });
  });
  return pool;
}

function keptOf(pool: EndpointPool, filter: SubsetFilter, hint: SubsetHint): string[] {
  const candidates = new Candidates(pool);
  candidates.reset(0);
  filter.apply(hint, candidates);
  return [...candidates.slots.subarray(0, candidates.count)].map(
    (slot) => pool.metadata(slot).name,
  );
}

const pool = poolOf([
  ["10.0.0.1", 8000],
  ["10.0.0.1", 8001],
  ["10.0.0.2", 8000],
  ["2001:db8::1", 8000],
  ["2001:db8::1", 8001],
]);
const filter = new SubsetFilter(pool);
const kept = (...hint: string[]): string[] => keptOf(pool, filter, hint);

describe("an entry", () => {
  test("with a port names the endpoint that listens there, and no other rank of the pod", () => {
    expect(kept("10.0.0.1:8001")).toEqual(["p1"]);
    expect(kept("[2001:db8::1]:8001")).toEqual(["p4"]);
  });

  test("without a port names all ports of the address", () => {
    expect(kept("10.0.0.1")).toEqual(["p0", "p1"]);
    expect(kept("2001:db8::1")).toEqual(["p3", "p4"]);
    expect(kept("[2001:db8::1]")).toEqual(["p3", "p4"]);
  });

  test("may write an IPv6 address in any spelling", () => {
    expect(kept("[2001:0DB8:0:0:0:0:0:1]:8000")).toEqual(["p3"]);
    expect(kept("2001:db8:0::1")).toEqual(["p3", "p4"]);
  });

  test("may be a comma list with blanks and empty places", () => {
    expect(kept(" 10.0.0.2:8000 ,, 10.0.0.1:8000,")).toEqual(["p0", "p2"]);
  });

  test("that names nobody keeps nobody", () => {
    for (const entry of [
      "",
      ",",
      "10.0.0.9",
      "10.0.0.1:9",
      "10.0.0.1:",
      ":8000",
      "[",
      "[]",
      "p0",
    ]) {
      expect(kept(entry), entry).toEqual([]);
    }
    expect(kept("10.0.0.1:8000x", "10.0.0.1:08000000", "[10.0.0.1:8000")).toEqual([]);
  });
});

test("an empty hint allows nobody", () => {
  expect(kept()).toEqual([]);
});

test("the order is the pool's, whatever the hint's, and naming twice changes nothing", () => {
  expect(kept("10.0.0.2", "10.0.0.1:8001", "10.0.0.2:8000")).toEqual(["p1", "p2"]);
});

test("one hint leaves nothing behind for the next", () => {
  expect(kept("10.0.0.1")).toEqual(["p0", "p1"]);
  expect(kept("10.0.0.2")).toEqual(["p2"]);
});

test("endpoints that come and go later are seen", () => {
  const changing = poolOf([["10.0.0.1", 8000]]);
  const changingFilter = new SubsetFilter(changing);
  const hint = ["10.0.0.1", "10.0.0.5"];
  expect(keptOf(changing, changingFilter, hint)).toEqual(["p0"]);
  for (let i = 5; i < 40; i++) {
    const name = `q${i}`;
    const id = `default/${name}`;
    const address = `10.0.0.${i}`;
    changing.upsert({
      id,
      name,
      namespace: "default",
      address,
      port: 8000,
      labels: new Map(),
      rankIndex: 0,
    });
  }
  expect(keptOf(changing, changingFilter, hint)).toEqual(["p0", "q5"]);
  changing.remove("default/p0");
  expect(keptOf(changing, changingFilter, hint)).toEqual(["q5"]);
});

test("a hint of any length costs a bounded time: what stands behind 8192 entries is not read", () => {
  const hint = [Array.from({ length: 8192 }, () => "10.0.0.9").join(","), "10.0.0.1"];
  expect(kept(...hint)).toEqual([]);
  expect(kept(...hint.reverse())).toEqual(["p0", "p1"]);
});

test("any hint keeps exactly the candidates that one of its entries names", () => {
  const address = fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1", "10.0.0.7");
  const port = fc.constantFrom(8000, 8001, 9000);
  const entry = fc.tuple(address, fc.option(port));
  const text = ([name, at]: readonly [string, number | null]): string => {
    if (at === null) return name;
    return name.includes(":") ? `[${name}]:${at}` : `${name}:${at}`;
  };
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), (entries) => {
      const expected = [0, 1, 2, 3, 4]
        .filter((slot) => {
          const metadata = pool.metadata(slot);
          return entries.some(
            ([name, at]) => name === metadata.address && (at === null || at === metadata.port),
          );
        })
        .map((slot) => `p${slot}`);
      expect(kept(...entries.map(text))).toEqual(expected);
      expect(kept(entries.map(text).join(","))).toEqual(expected);
    }),
  );
});
