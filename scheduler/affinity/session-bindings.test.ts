import fc from "fast-check";
import { expect, test } from "vitest";
import { SessionBindings, sessionBindingLimits } from "./session-bindings.ts";

test("a session stays with its endpoint until it is moved", () => {
  const bindings = new SessionBindings(1000);
  bindings.use("s", "a", false, 0);
  bindings.use("s", "b", false, 1);
  expect(bindings.get("s", 2)).toBe("a");
  bindings.use("s", "b", true, 3);
  expect(bindings.get("s", 4)).toBe("b");
  expect(bindings.get("other", 4)).toBeUndefined();
});

test("a binding lives as long as it is used", () => {
  const bindings = new SessionBindings(1000);
  bindings.use("s", "a", false, 0);
  bindings.use("s", "a", false, 900);
  expect(bindings.get("s", 1900)).toBe("a");
  expect(bindings.get("s", 1901)).toBeUndefined();
});

test("a use by another endpoint that does not move the session is no use", () => {
  const bindings = new SessionBindings(1000);
  bindings.use("s", "a", false, 0);
  bindings.use("s", "b", false, 900);
  expect(bindings.get("s", 1001)).toBeUndefined();
  bindings.use("s", "b", false, 1001);
  expect(bindings.get("s", 1002)).toBe("b");
});

test("outdated ones are dropped, some a call", () => {
  const bindings = new SessionBindings(1000);
  const { droppedPerCallMax } = sessionBindingLimits;
  for (let i = 0; i < droppedPerCallMax + 10; i++) bindings.use(`s${i}`, "a", false, i);
  bindings.use("new", "a", false, 1_000_000);
  expect(bindings.size).toBe(11);
  bindings.use("new", "a", false, 1_000_000);
  expect(bindings.size).toBe(1);
});

test("there are never more than the bound; the one unused for longest goes", () => {
  const bindings = new SessionBindings(1e9);
  const { sessionsMax } = sessionBindingLimits;
  for (let i = 0; i <= sessionsMax; i++) bindings.use(`s${i}`, "a", false, i);
  expect(bindings.size).toBe(sessionsMax);
  expect(bindings.get("s0", sessionsMax)).toBeUndefined();
  expect(bindings.get("s1", sessionsMax)).toBe("a");
});

test("agrees with a map of last uses", () => {
  const call = fc.record({
    session: fc.constantFrom("a", "b", "c"),
    endpoint: fc.constantFrom("x", "y"),
    moves: fc.boolean(),
    afterMs: fc.nat(80),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
      const bindings = new SessionBindings(100);
      const model = new Map<string, { endpoint: string; atMs: number }>();
      let nowMs = 0;
      for (const { afterMs, endpoint, moves, session } of calls) {
        nowMs += afterMs;
        for (const [name, { atMs }] of model) if (nowMs - atMs > 100) model.delete(name);
        const bound = model.get(session)?.endpoint;
        if (bound === undefined || bound === endpoint || moves) {
          model.set(session, { endpoint, atMs: nowMs });
        }
        bindings.use(session, endpoint, moves, nowMs);
        for (const name of ["a", "b", "c"]) {
          expect(bindings.get(name, nowMs)).toBe(model.get(name)?.endpoint);
        }
      }
    }),
  );
});
