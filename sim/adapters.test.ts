import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Adapters, NO_SLOT } from "./adapters.ts";

describe("loading", () => {
  test("takes its time once; who comes meanwhile waits for the same load", () => {
    const adapters = new Adapters(2, 100);
    expect(adapters.acquire("a", 1000)).toBe(1100);
    expect(adapters.acquire("a", 1050)).toBe(1100);
    expect(adapters.acquire("a", 5000)).toBe(1100);
    expect(adapters.loads).toBe(1);
  });

  test("asking when an adapter would be ready loads nothing", () => {
    const adapters = new Adapters(1, 100);
    expect(adapters.readyAtMs("a", 10)).toBe(110);
    expect([adapters.loads, adapters.loaded]).toEqual([0, []]);
  });
});

describe("slots", () => {
  test("an adapter in use is never unloaded", () => {
    const adapters = new Adapters(1, 100);
    adapters.acquire("a", 0);
    expect(adapters.readyAtMs("b", 0)).toBe(NO_SLOT);
    expect(adapters.acquire("b", 0)).toBe(NO_SLOT);
    expect(adapters.unload("a")).toBe(false);
    expect(adapters.loaded).toEqual(["a"]);
  });

  test("the idle adapter whose last use ended first makes room", () => {
    const adapters = new Adapters(2, 100);
    adapters.acquire("a", 0);
    adapters.acquire("b", 1);
    adapters.release("b");
    adapters.release("a");
    adapters.acquire("c", 2);
    expect(adapters.loaded).toEqual(["a", "c"]);
  });

  test("an idle adapter is there at once, and one that was evicted is loaded again", () => {
    const adapters = new Adapters(1, 100);
    adapters.acquire("a", 0);
    adapters.release("a");
    expect(adapters.acquire("a", 500)).toBe(100);
    adapters.release("a");
    adapters.acquire("b", 600);
    adapters.release("b");
    expect(adapters.acquire("a", 700)).toBe(800);
    expect(adapters.loads).toBe(3);
  });

  test("an idle adapter can be unloaded, an unknown one can not", () => {
    const adapters = new Adapters(2, 100);
    adapters.acquire("a", 0);
    adapters.release("a");
    expect([adapters.unload("a"), adapters.unload("a"), adapters.unload("b")]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("without slots there is nothing to have", () => {
    expect(new Adapters(0, 100).acquire("a", 0)).toBe(NO_SLOT);
  });
});

test("slots are never exceeded, what is in use stays, and loads are counted, against a plain list", () => {
  const operation = fc.record({
    takes: fc.boolean(),
    name: fc.constantFrom("a", "b", "c", "d"),
  });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), fc.array(operation), (slotsMax, operations) => {
      const adapters = new Adapters(slotsMax, 10);
      let list: { name: string; users: number }[] = [];
      let loads = 0;
      operations.forEach(({ name, takes }, nowMs) => {
        const known = list.find((entry) => entry.name === name);
        if (!takes) {
          if (known === undefined || known.users === 0) return;
          adapters.release(name);
          known.users--;
          list = [...list.filter((entry) => entry !== known), known];
        } else if (known !== undefined) {
          expect(adapters.acquire(name, nowMs)).toBeLessThanOrEqual(nowMs + 10);
          known.users++;
          list = [...list.filter((entry) => entry !== known), known];
        } else {
          const idle = list.find(({ users }) => users === 0);
          const fits = list.length < slotsMax || idle !== undefined;
          expect(adapters.acquire(name, nowMs)).toBe(fits ? nowMs + 10 : NO_SLOT);
          if (!fits) return;
          if (list.length >= slotsMax) list = list.filter((entry) => entry !== idle);
          list.push({ name, users: 1 });
          loads++;
        }
        expect(adapters.loaded).toEqual(list.map((entry) => entry.name));
        expect(adapters.loads).toBe(loads);
      });
    }),
  );
});
