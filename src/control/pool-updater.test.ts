import fc from "fast-check";
import { expect, test } from "vitest";
import { type EndpointMetadata, EndpointPool, limits } from "../../scheduler/index.ts";
import { endpointMetadata } from "../../test/support/scheduler-setup.ts";
import { createLogger } from "../log.ts";
import { PoolUpdater } from "./pool-updater.ts";

function setup() {
  const pool = new EndpointPool();
  const lines: Record<string, unknown>[] = [];
  /** What is scraped: slot → generation and address, as the scrapers were told. */
  const scraped = new Map<number, { generation: number; metadata: EndpointMetadata }>();
  const calls: string[] = [];
  const scrapers = {
    add: (slot: number, generation: number, metadata: EndpointMetadata) => {
      calls.push(`add ${metadata.id}`);
      if (scraped.has(slot)) throw new Error(`slot ${slot} is scraped already`);
      scraped.set(slot, { generation, metadata });
    },
    remove: (slot: number) => {
      calls.push(`remove ${scraped.get(slot)?.metadata.id}`);
      scraped.delete(slot);
    },
  };
  const log = createLogger("info", { write: (line) => void lines.push(JSON.parse(line)) });
  const updater = new PoolUpdater(pool, scrapers, log);
  return {
    pool,
    calls,
    lines,
    scraped,
    apply: (...endpoints: EndpointMetadata[]) => {
      calls.length = 0;
      updater.apply(endpoints);
    },
  };
}

const [a, b, c] = [0, 1, 2].map((index) => endpointMetadata(index)) as [
  EndpointMetadata,
  EndpointMetadata,
  EndpointMetadata,
];

test("new endpoints are added, gone ones removed, the rest is left alone", () => {
  const { apply, calls, lines, pool } = setup();
  apply(a, b);
  expect(calls).toEqual(["add default/p0", "add default/p1"]);
  const slot = pool.slotOf(b.id);
  pool.columns.inflight[slot] = 3;
  apply(b, c);
  expect(calls).toEqual(["remove default/p0", "add default/p2"]);
  expect(pool.slotOf(b.id)).toBe(slot);
  expect(pool.columns.inflight[slot]).toBe(3);
  expect(lines.at(-1)).toMatchObject({ msg: "endpoints updated", endpoints: 2 });
});

test("the same list again changes nothing", () => {
  const { apply, calls } = setup();
  apply(a, b);
  apply(b, a);
  expect(calls).toEqual([]);
});

test("an endpoint that moves to another address is another engine", () => {
  const { apply, calls, pool, scraped } = setup();
  apply(a);
  const before = pool.slotOf(a.id);
  pool.columns.inflight[before] = 3;
  apply({ ...a, port: 9000 });
  expect(calls).toEqual(["remove default/p0", "add default/p0"]);
  const slot = pool.slotOf(a.id);
  expect(pool.columns.inflight[slot]).toBe(0);
  expect(scraped.get(slot)).toMatchObject({
    generation: pool.columns.generation[slot],
    metadata: { port: 9000 },
  });
});

test("endpoints that swap their addresses keep their own", () => {
  const { apply, pool, scraped } = setup();
  apply(a, b);
  apply({ ...a, address: b.address }, { ...b, address: a.address });
  expect(pool.hostPort(pool.slotOf(a.id))).toBe("10.0.0.1:8000");
  expect(pool.hostPort(pool.slotOf(b.id))).toBe("10.0.0.0:8000");
  expect(pool.slotOfHostPort("10.0.0.0:8000")).toBe(pool.slotOf(b.id));
  expect(scraped.get(pool.slotOf(a.id))?.metadata.address).toBe("10.0.0.1");
});

test("new labels reach the scrapers, which read the engine there, and cost nothing else", () => {
  const { apply, calls, pool, scraped } = setup();
  apply(a);
  const slot = pool.slotOf(a.id);
  const generation = pool.columns.generation[slot];
  pool.columns.inflight[slot] = 3;
  const labels = new Map([["llm-d.ai/engine-type", "sglang"]]);
  apply({ ...a, labels });
  expect(calls).toEqual(["remove default/p0", "add default/p0"]);
  expect(pool.slotOf(a.id)).toBe(slot);
  expect(pool.columns.generation[slot]).toBe(generation);
  expect(pool.columns.inflight[slot]).toBe(3);
  expect(scraped.get(slot)?.metadata.labels).toBe(labels);
  apply({ ...a, labels: new Map(labels) });
  expect(calls).toEqual([]);
});

test("an empty list empties the pool", () => {
  const { apply, pool, scraped } = setup();
  apply(a, b, c);
  apply();
  expect(pool.liveCount).toBe(0);
  expect(scraped.size).toBe(0);
});

test("what is beyond the pool's bound is told and left out, until there is room", () => {
  const { apply, lines, pool, scraped } = setup();
  const many = Array.from({ length: limits.endpointsMax + 2 }, (_, i) => endpointMetadata(i));
  apply(...many);
  expect(pool.liveCount).toBe(limits.endpointsMax);
  expect(scraped.size).toBe(limits.endpointsMax);
  expect(lines[0]).toMatchObject({ level: "error", msg: "pool is full", refused: 2 });
  apply(...many.slice(2));
  expect(pool.liveCount).toBe(limits.endpointsMax);
  expect(pool.slotOf(many.at(-1)!.id)).toBeGreaterThanOrEqual(0);
});

test("after any history pool and scrapers hold the last list", () => {
  const endpoint = fc
    .record({ index: fc.nat(5), port: fc.constantFrom(1, 2), role: fc.constantFrom("x", "y") })
    .map(({ index, port, role }) => ({ ...endpointMetadata(index, { role }), port }));
  const list = fc.uniqueArray(endpoint, { selector: ({ id }) => id });
  fc.assert(
    fc.property(fc.array(list, { minLength: 1, maxLength: 6 }), (history) => {
      const { apply, pool, scraped } = setup();
      for (const endpoints of history) apply(...endpoints);
      const last = history.at(-1)!;
      expect(pool.liveCount).toBe(last.length);
      expect(scraped.size).toBe(last.length);
      for (const metadata of last) {
        const slot = pool.slotOf(metadata.id);
        expect(pool.metadata(slot)).toEqual(metadata);
        expect(scraped.get(slot)).toEqual({
          generation: pool.columns.generation[slot],
          metadata,
        });
      }
    }),
  );
});
