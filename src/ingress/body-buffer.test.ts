import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteParts } from "../../proto/index.ts";
import { BodyBudget, BodyBuffer } from "./body-buffer.ts";

function chunk(...sizes: readonly number[]): ByteParts {
  const parts = new ByteParts();
  for (const size of sizes) parts.add(Buffer.alloc(size, size % 251));
  return parts;
}

const contents = (body: BodyBuffer): Buffer => Buffer.concat(body.pieces);

describe("a body", () => {
  test("is kept in order, and counted", () => {
    const budget = new BodyBudget(100);
    const body = new BodyBuffer(budget, 50);
    expect(body.append(chunk(3))).toBe("ok");
    expect(body.append(chunk(2, 1))).toBe("ok");
    expect(contents(body)).toEqual(Buffer.from([3, 3, 3, 2, 2, 1]));
    expect(body.byteLength).toBe(6);
    expect(budget.bytes).toBe(6);
  });

  test("may be as long as its limit, and not a byte longer", () => {
    const budget = new BodyBudget(1000);
    const body = new BodyBuffer(budget, 10);
    expect(body.append(chunk(10))).toBe("ok");
    expect(body.append(chunk())).toBe("ok");
    expect(body.append(chunk(1))).toBe("too-large");
    expect(body.byteLength).toBe(10);
    expect(budget.bytes).toBe(10);
  });

  test("stays as it was when the budget has no room for a chunk", () => {
    const budget = new BodyBudget(10);
    const other = new BodyBuffer(budget, 100);
    const body = new BodyBuffer(budget, 100);
    expect(other.append(chunk(8))).toBe("ok");
    expect(body.append(chunk(2))).toBe("ok");
    expect(body.append(chunk(1))).toBe("budget");
    expect(contents(body)).toEqual(Buffer.from([2, 2]));
    other.release();
    expect(body.append(chunk(1))).toBe("ok");
    expect(budget.bytes).toBe(3);
  });

  test("does not change when the chunk's owner uses it again", () => {
    const body = new BodyBuffer(new BodyBudget(100), 100);
    const parts = chunk(3);
    body.append(parts);
    parts.clear();
    parts.add(Buffer.from([9, 9, 9]));
    expect(contents(body)).toEqual(Buffer.from([3, 3, 3]));
  });
});

describe("what is expected", () => {
  test("counts in place of what was expected before", () => {
    const budget = new BodyBudget(10);
    const body = new BodyBuffer(budget, 100);
    expect(body.expect(6)).toBe(true);
    expect(body.expect(10)).toBe(true);
    expect(budget.bytes).toBe(10);
    expect(body.expect(0)).toBe(true);
    expect(budget.bytes).toBe(0);
  });

  test("counts for nothing when there is no room for it", () => {
    const budget = new BodyBudget(10);
    const body = new BodyBuffer(budget, 100);
    body.append(chunk(4));
    expect(body.expect(7)).toBe(false);
    expect(budget.bytes).toBe(4);
    expect(body.expect(6)).toBe(true);
  });
});

test("a released body is empty, gives back once, and can be filled again", () => {
  const budget = new BodyBudget(100);
  const body = new BodyBuffer(budget, 100);
  body.append(chunk(5000 % 90));
  body.expect(5);
  body.release();
  body.release();
  expect(body.pieces).toEqual([]);
  expect(budget.bytes).toBe(0);
  body.append(chunk(2));
  expect(contents(body)).toEqual(Buffer.from([2, 2]));
});

test("the budget is the sum of what its bodies hold, whatever they do", () => {
  const step = fc.record({
    body: fc.nat(2),
    act: fc.constantFrom("append", "expect", "release"),
    bytes: fc.nat(60),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const budget = new BodyBudget(100);
      const bodies = [0, 1, 2].map(() => new BodyBuffer(budget, 80));
      const pending = [0, 0, 0];
      for (const { act, body, bytes } of steps) {
        if (act === "append") bodies[body]!.append(chunk(bytes));
        else if (act === "expect") pending[body] = bodies[body]!.expect(bytes) ? bytes : 0;
        else {
          bodies[body]!.release();
          pending[body] = 0;
        }
        const held = bodies.map((each, i) => each.byteLength + pending[i]!);
        expect(budget.bytes).toBe(held[0]! + held[1]! + held[2]!);
        expect(budget.bytes).toBeLessThanOrEqual(100);
      }
    }),
  );
});
