import fc from "fast-check";
import { expect, test } from "vitest";
import { TestFlow } from "../../test/support/flow-setup.ts";
import { FlowRing } from "./flow-ring.ts";

test("an empty ring gives nobody the turn", () => {
  const ring = new FlowRing();
  expect(ring.current).toBeNull();
  ring.advance();
  expect(ring.current).toBeNull();
  expect(ring.has(new TestFlow("a"))).toBe(false);
});

test("is the list that begins with whose turn it is, whatever comes and goes", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat()), { maxLength: 100 }), (operations) => {
      const ring = new FlowRing();
      const list: TestFlow[] = [];
      for (const [what, pick] of operations) {
        if (what <= 1) {
          const flow = new TestFlow(`${pick}`);
          ring.add(flow);
          list.push(flow);
        } else if (what === 2 && list.length > 0) {
          const [flow] = list.splice(pick % list.length, 1);
          ring.remove(flow!);
          expect(ring.has(flow!)).toBe(false);
        } else if (list.length > 0) {
          ring.advance();
          list.push(list.shift()!);
        }
        expect(ring.size).toBe(list.length);
        for (const flow of list) {
          expect(ring.has(flow)).toBe(true);
          expect(ring.current).toBe(flow);
          ring.advance();
        }
      }
    }),
  );
});
