import { describe, expect, test } from "vitest";
import { bandSettings, FlowSetup, flowPlugin } from "../../test/support/flow-setup.ts";
import { limits } from "../limits.ts";
import { QUEUE_TTL_HEADER } from "./queue-ttl.ts";

const NEVER = Number.POSITIVE_INFINITY;
const roundRobin = flowPlugin("round-robin-fairness-policy").fairnessPolicy!;

describe("submit", () => {
  test("gives the outcome at once when nothing is in the way, and tells the sink nothing", () => {
    const flow = new FlowSetup({ endpoints: [2] });
    const ticket = flow.submit("a");
    expect(ticket.outcome?.kind).toBe("picked");
    expect(ticket.state).toBe("running");
    expect(flow.sink(ticket).outcomes).toEqual([]);
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    expect(flow.takeLog()).toEqual(["Dispatched a"]);
  });

  test("queues what the pool has no room for, until an end makes room", () => {
    const flow = new FlowSetup();
    const running = flow.submit("a");
    const waiting = flow.submit("b");
    expect(waiting.outcome).toBeNull();
    expect(flow.controller.queued).toBe(1);
    expect(flow.asked).toBe(1);
    flow.complete(running);
    expect(waiting.outcome?.kind).toBe("picked");
    expect(flow.sink(waiting).outcomes).toEqual([waiting.outcome]);
    expect(flow.controller.queued).toBe(0);
  });

  test("a final answer of the scheduler is the outcome", () => {
    const flow = new FlowSetup({ endpoints: [2] });
    const ticket = flow.submit("a", {}, ["7"]);
    expect(ticket.outcome).toEqual({ kind: "rejected", reason: "no-candidates" });
    expect(ticket.state).toBe("ended");
    expect(flow.takeLog()).toEqual(["Dispatched a"]);
  });

  test("an unknown priority is served in band 0", () => {
    const flow = new FlowSetup();
    flow.submit("running");
    const ticket = flow.submit("a", { priority: 7 });
    expect(flow.controller.explain(ticket)).toMatchObject({ band: 0, requestedPriority: 7 });
  });
});

describe("bounds", () => {
  const full = (options: ConstructorParameters<typeof FlowSetup>[0]) => {
    const flow = new FlowSetup(options);
    flow.submit("running");
    flow.takeLog();
    return flow;
  };

  test("of a band, of a flow and of all refuse the newcomer", () => {
    for (const options of [
      { band: { maxRequests: 2 } },
      { band: { maxRequestsPerFlow: 2 } },
      { band: { maxBytes: 250 } },
      { settings: { maxRequests: 2 } },
      { settings: { maxBytes: 250 } },
    ]) {
      const flow = full(options);
      for (const id of ["a", "b", "c"]) flow.submit(id, { bodyBytes: 100 });
      expect(flow.takeLog(), JSON.stringify(options)).toEqual(["RejectedCapacity c"]);
      expect(flow.controller.stats()).toMatchObject({ requests: 2, bytes: 200 });
    }
  });

  test("0 is no bound", () => {
    const flow = full({ band: { maxRequests: 0, maxBytes: 0, maxRequestsPerFlow: 0 } });
    for (let i = 0; i < 10_000; i++) flow.submit("a", { bodyBytes: 1e9 });
    expect(flow.controller.queued).toBe(10_000);
  });

  test("say that the pool is empty when it is", () => {
    const flow = new FlowSetup({ endpoints: [], band: { maxRequests: 1 } });
    flow.submit("a");
    const refused = flow.submit("b");
    expect(refused.outcome).toMatchObject({ reason: "queue-full-no-endpoints" });
    expect(flow.takeLog()).toEqual(["RejectedNoEndpoints b"]);
  });

  test("a refused request is told when to ask again, from the queue ahead and the drain rate", () => {
    const flow = new FlowSetup({ endpoints: [1], band: { maxRequests: 10 } });
    let running = flow.submit("first");
    for (let i = 0; i < 10; i++) flow.submit("a");
    for (let i = 0; i < 200; i++) {
      flow.pass(500); // two a second
      const next = flow.submit("refused");
      expect(next.outcome).toMatchObject({ reason: "queue-full" });
      flow.complete(running);
      running = flow.tickets.find(({ state }) => state === "running")!;
      flow.submit("again");
    }
    const last = flow.submit("refused");
    expect(last.outcome).toMatchObject({ retryAfterSeconds: 5 });
  });

  test("displacement removes the newest of the lowest band, as many as are needed", () => {
    const flow = full({ settings: { displaceLowerPriority: true, maxBytes: 300 } });
    flow.controller.setPriorities([-2, -1, 1]);
    flow.submit("low-old", { priority: -2, bodyBytes: 100 });
    flow.submit("low-new", { priority: -2, bodyBytes: 100 });
    flow.submit("mid", { priority: -1, bodyBytes: 100 });
    const high = flow.submit("high", { priority: 1, bodyBytes: 150 });
    expect(flow.takeLog()).toEqual(["EvictedOther low-new", "EvictedOther low-old"]);
    expect(high.state).toBe("queued");
    flow.submit("huge", { priority: 1, bodyBytes: 300 });
    flow.submit("lowest", { priority: -2, bodyBytes: 100 });
    expect(flow.takeLog()).toEqual(["RejectedCapacity huge", "RejectedCapacity lowest"]);
    expect(flow.controller.stats()).toMatchObject({ requests: 2, bytes: 250 });
  });
});

describe("deadlines", () => {
  test("expire at their millisecond, and are all that the timer is for", () => {
    const flow = new FlowSetup({ settings: { requestTtlMs: 500 } });
    flow.submit("running");
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    const ticket = flow.submit("a");
    expect(flow.controller.wakeAtMs).toBe(1500);
    flow.pass(499.5);
    expect(ticket.outcome).toBeNull();
    flow.pass(0.5);
    expect(ticket.outcome).toMatchObject({ reason: "queue-expired" });
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    expect(flow.takeLog()).toEqual(["Dispatched running", "EvictedTTL a"]);
  });

  test("endpoints that appear at 0.9 of the budget start a fresh one", () => {
    const flow = new FlowSetup({
      endpoints: [],
      settings: { noEndpointTtlMs: 1000, requestTtlMs: 400 },
    });
    const ticket = flow.submit("a", {}, ["1"]);
    flow.pass(900);
    const slot = flow.addEndpoint(1);
    flow.pool.columns.inflight[slot] = 1;
    flow.controller.wake();
    expect(flow.controller.wakeAtMs).toBe(2300);
    flow.removeEndpoint(slot);
    flow.pass(399);
    expect(flow.controller.wakeAtMs).toBe(3299);
    flow.pass(1000);
    expect(ticket.outcome).toMatchObject({ reason: "queue-expired-no-endpoints" });
    expect(flow.takeLog()).toEqual(["EvictedNoEndpoints a"]);
  });

  test("a pool that has just become empty lets nothing go, also before the driver says so", () => {
    const flow = new FlowSetup({ ceiling: 100 });
    const running = flow.submit("running");
    const ticket = flow.submit("a");
    expect(ticket.state).toBe("queued");
    flow.removeEndpoint(0);
    flow.complete(running);
    expect(ticket.outcome).toBeNull();
    flow.addEndpoint(1);
    flow.controller.wake();
    expect(ticket.state).toBe("running");
  });

  test("0 is never, in either regime", () => {
    const flow = new FlowSetup({
      endpoints: [],
      settings: { noEndpointTtlMs: 0, requestTtlMs: 200 },
    });
    const ticket = flow.submit("a");
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    flow.pass(1e9);
    const slot = flow.addEndpoint(1);
    flow.pool.columns.inflight[slot] = 1;
    flow.controller.wake();
    flow.pass(200);
    expect(ticket.outcome).toMatchObject({ reason: "queue-expired" });
  });

  test("of a band go before those of all, and a client may ask for less", () => {
    const flow = new FlowSetup({ band: { requestTtlMs: 300 } });
    flow.submit("running");
    flow.submit("a");
    expect(flow.controller.wakeAtMs).toBe(1300);
    flow.submit("b", { headers: new Map([[QUEUE_TTL_HEADER, "50"]]) });
    expect(flow.controller.wakeAtMs).toBe(1050);
    flow.pass(50);
    expect(flow.takeLog()).toEqual(["Dispatched running", "EvictedTTL b"]);
  });

  test("what has expired is not dispatched, whatever becomes free at that moment", () => {
    const flow = new FlowSetup({ settings: { requestTtlMs: 100 } });
    const running = flow.submit("running");
    flow.submit("a");
    flow.clock.advance(100);
    flow.complete(running);
    expect(flow.takeLog()).toEqual(["Dispatched running", "EvictedTTL a"]);
  });
});

describe("bands", () => {
  test("the highest goes first; an empty one that is gated is passed by", () => {
    const flow = new FlowSetup({
      settings: {
        usageLimits: {
          limits: (_saturation, priorities, ceilings) => {
            priorities.forEach((priority, i) => {
              ceilings[i] = priority === 2 ? 0 : 1;
            });
          },
        },
      },
    });
    flow.controller.setPriorities([2, 1, -1]);
    const running = flow.submit("running");
    flow.submit("low", { priority: -1 });
    flow.submit("high", { priority: 1 });
    flow.complete(running);
    expect(flow.takeLog()).toEqual(["Dispatched running", "Dispatched high"]);
  });

  test("nobody passes a held request of a higher band", () => {
    const flow = new FlowSetup({
      endpoints: [4],
      settings: {
        usageLimits: {
          limits: (_saturation, priorities, ceilings) => {
            priorities.forEach((priority, i) => {
              ceilings[i] = priority === 1 ? 0 : 1;
            });
          },
        },
      },
    });
    flow.controller.setPriorities([1]);
    const held = flow.submit("held", { priority: 1 });
    flow.submit("a");
    expect(flow.takeLog()).toEqual([]);
    flow.controller.cancel(held);
    expect(flow.takeLog()).toEqual(["EvictedContextCancelled held", "Dispatched a"]);
  });

  test("a request of a low band waits as long as higher ones come, but no longer than its budget", () => {
    const flow = new FlowSetup({ settings: { requestTtlMs: 1000 } });
    flow.controller.setPriorities([1]);
    let running = flow.submit("high", { priority: 1 });
    const low = flow.submit("low");
    for (let i = 0; i < 99; i++) {
      const next = flow.submit("high", { priority: 1 });
      flow.pass(10);
      flow.complete(running);
      expect(low.outcome).toBeNull();
      running = next;
    }
    flow.pass(10);
    expect(low.outcome).toMatchObject({ reason: "queue-expired" });
  });

  test("with aging, one turn in a few goes to the oldest that has waited long enough", () => {
    const flow = new FlowSetup({ settings: { requestTtlMs: 0, agingMs: 100 } });
    flow.controller.setPriorities([1, -1]);
    let running = flow.submit("running", { priority: 1 });
    flow.submit("mid-1");
    flow.clock.advance(1);
    flow.submit("low-1", { priority: -1 });
    flow.submit("low-2", { priority: -1 });
    const turns = (count: number, ms: number) => {
      flow.takeLog();
      for (let i = 0; i < count; i++) {
        flow.submit("high", { priority: 1 });
        flow.clock.advance(ms);
        flow.complete(running);
        running = flow.tickets.findLast(({ state }) => state === "running")!;
      }
      return flow.takeLog().map((line) => line.replace("Dispatched ", ""));
    };
    const high = (count: number) => Array.from({ length: count }, () => "high");
    const every = limits.agedTurnEvery;
    expect(turns(every * 2, 0)).toEqual(high(every * 2)); // nobody has waited long enough
    flow.clock.advance(97);
    expect(turns(2, 1)).toEqual(["high", "mid-1"]);
    // two bands above: twice the time, when both have something queued
    flow.submit("mid-2");
    flow.clock.advance(98);
    expect(turns(every + 1, 0)).toEqual(high(every + 1));
    flow.clock.advance(3);
    expect(turns(every + 1, 0)).toEqual(["low-1", ...high(every - 1), "low-2"]);
  });

  test("with aging, a ceiling of its own still holds a band, and a held band still holds those below", () => {
    for (const held of [1, -1]) {
      const flow = new FlowSetup({
        endpoints: [100],
        settings: {
          agingMs: 1,
          usageLimits: {
            limits: (_saturation, priorities, ceilings) => {
              ceilings[priorities.indexOf(held)] = 0;
            },
          },
        },
      });
      flow.controller.setPriorities([1, -1]);
      flow.pool.columns.inflight[0] = 100;
      flow.submit("low", { priority: -1 });
      for (let i = 0; i < 20; i++) flow.submit("high", { priority: 1 });
      flow.pass(1000);
      flow.pool.columns.inflight[0] = 0;
      flow.controller.wake();
      expect(flow.takeLog()).not.toContain("Dispatched low");
    }
  });

  test("that objectives ask for come, and go when they are idle and nobody asks", () => {
    const flow = new FlowSetup();
    const bands = () => flow.controller.stats().bands.map(({ priority }) => priority);
    expect(bands()).toEqual([0]);
    flow.controller.setPriorities([5, -5, 5, 1.5, Number.NaN]);
    expect(bands()).toEqual([5, 0, -5]);
    const running = flow.submit("a", { priority: 5 });
    const waiting = flow.submit("b", { priority: 5 });
    flow.controller.setPriorities([-5]);
    expect(bands()).toEqual([5, 0, -5]);
    flow.controller.cancel(waiting);
    expect(bands()).toEqual([5, 0, -5]);
    flow.complete(running);
    expect(bands()).toEqual([0, -5]);
    flow.controller.setPriorities([]);
    expect(bands()).toEqual([0]);
  });

  test("below 0 are made from the template of their own", () => {
    const flow = new FlowSetup({ settings: { negativeBand: bandSettings({ maxRequests: 7 }) } });
    flow.controller.setPriorities([1, -1]);
    const bands = flow.controller.stats().bands;
    expect(bands.map(({ maxRequests }) => maxRequests)).toEqual([5000, 5000, 7]);
  });

  test("ceilings see all bands, or those with something queued", () => {
    for (const activeBandsOnly of [false, true]) {
      const seen: string[] = [];
      const flow = new FlowSetup({
        settings: {
          activeBandsOnly,
          usageLimits: {
            limits: (_saturation, priorities) => {
              seen.push(`${priorities}`);
            },
          },
        },
      });
      flow.controller.setPriorities([2, -2]);
      flow.submit("a", { priority: -2 });
      expect(seen).toEqual([activeBandsOnly ? "-2" : "2,0,-2"]);
    }
  });
});

describe("a request that no endpoint has room for", () => {
  /** Two endpoints: 0 is full, 1 takes ten; the ceiling is out of the way. */
  const setup = (settings: object = {}, band: object = {}) => {
    const flow = new FlowSetup({ endpoints: [1, 10], ceiling: 100, settings, band });
    const first = flow.submit("first", {}, ["0"]);
    flow.takeLog();
    return { flow, first };
  };

  test("stays first in line, is tried again at each change, and not between", () => {
    const { flow, first } = setup();
    const blocked = flow.submit("blocked", {}, ["0"]);
    expect(flow.asked).toBe(2);
    flow.submit("other");
    expect(flow.asked).toBe(3);
    flow.controller.wake();
    expect(flow.asked).toBe(4);
    expect(blocked.outcome).toBeNull();
    flow.complete(first);
    expect(flow.takeLog()).toEqual(["Dispatched other", "Dispatched blocked"]);
  });

  test("is overtaken by so many at most; then all wait for it", () => {
    const { flow, first } = setup({ maxBypass: 3 });
    flow.controller.setPriorities([1, -1]);
    flow.submit("blocked", { priority: 1 }, ["0"]);
    for (const [id, priority] of [
      ["a", 1],
      ["b", 0],
      ["c", -1],
      ["d", 1],
      ["e", -1],
    ] as const) {
      flow.submit(id, { priority });
    }
    expect(flow.takeLog()).toEqual(["Dispatched a", "Dispatched b", "Dispatched c"]);
    flow.complete(first);
    expect(flow.takeLog()).toEqual(["Dispatched blocked", "Dispatched d", "Dispatched e"]);
  });

  test("lets nobody pass when that is not wanted", () => {
    const { flow, first } = setup({ maxBypass: 0 });
    const blocked = flow.submit("blocked", {}, ["0"]);
    flow.submit("a");
    expect(flow.takeLog()).toEqual([]);
    flow.controller.cancel(blocked);
    expect(flow.takeLog()).toEqual(["EvictedContextCancelled blocked", "Dispatched a"]);
    flow.complete(first);
  });

  test("is one of a few: more of them are not tried, and hold the band and those below", () => {
    const { flow } = setup();
    flow.controller.setPriorities([-1]);
    for (let i = 0; i <= limits.setAsidePerBandMax; i++) flow.submit("blocked", {}, ["0"]);
    const asked = flow.asked;
    flow.submit("a");
    const low = flow.submit("low", { priority: -1 });
    expect(flow.asked).toBe(asked);
    expect(flow.takeLog()).toEqual([]);
    for (const ticket of flow.tickets)
      if (ticket.state === "queued" && ticket !== low) flow.controller.cancel(ticket);
    expect(low.state).toBe("running");
  });

  test("has had its turn: its flow is charged, and gets it back when it leaves unserved", () => {
    const fairness = flowPlugin("program-aware-fairness").fairnessPolicy!;
    const { flow } = setup({}, { fairness });
    const blocked = flow.submit("blocked", { fairnessId: "a", promptTokens: 999 }, ["0"]);
    const inFlight = () => flow.controller.stats().bands[0]!.fairness["totalInFlight"];
    expect(inFlight()).toBe(2);
    flow.controller.cancel(blocked);
    expect(inFlight()).toBe(1);
  });
});

describe("cancel", () => {
  test("takes a request out at once, is heard once, and is no outcome for the sink", () => {
    const flow = new FlowSetup();
    const running = flow.submit("running");
    const ticket = flow.submit("a");
    expect(flow.controller.cancel(ticket)).toBe(true);
    expect(flow.controller.cancel(ticket)).toBe(false);
    expect(flow.controller.cancel(running)).toBe(false);
    expect(flow.controller.queued).toBe(0);
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    expect(ticket.outcome).toMatchObject({ reason: "canceled" });
    expect(flow.sink(ticket).outcomes).toEqual([]);
    flow.complete(running);
    expect(flow.takeLog()).toEqual(["Dispatched running", "EvictedContextCancelled a"]);
  });

  test("a storm leaves nothing behind, and its room is there at once", () => {
    const flow = new FlowSetup({ band: { maxRequests: 2000 } });
    flow.submit("running");
    const tickets = Array.from({ length: 2000 }, (_, i) =>
      flow.submit("a", { fairnessId: `${i % 50}`, bodyBytes: 10 }),
    );
    expect(flow.submit("refused").outcome).toMatchObject({ reason: "queue-full" });
    for (const ticket of tickets) flow.controller.cancel(ticket);
    const stats = flow.controller.stats();
    expect(stats).toMatchObject({ requests: 0, bytes: 0 });
    expect(stats.bands[0]).toMatchObject({ requests: 0, bytes: 0 });
    for (const { bytes, requests } of stats.bands[0]!.flows)
      expect([bytes, requests]).toEqual([0, 0]);
    expect(flow.submit("a").state).toBe("queued");
  });
});

describe("slices", () => {
  test("a call does so much and says that there is more; resume goes on", () => {
    const flow = new FlowSetup();
    flow.submit("running");
    for (let i = 0; i < limits.flowSliceRequests + 10; i++) flow.submit(`${i}`);
    flow.addEndpoint(1000);
    flow.takeLog();
    flow.controller.wake();
    expect(flow.takeLog()).toHaveLength(limits.flowSliceRequests);
    expect(flow.controller.hasMore).toBe(true);
    const late = flow.submit("late"); // comes between: does not jump the queue, nor start a slice of its own
    expect(late.outcome).toBeNull();
    flow.controller.resume();
    expect(flow.takeLog()).toHaveLength(11);
    expect(flow.controller.hasMore).toBe(false);
    expect(flow.controller.queued).toBe(0);
  });

  test("so does a crowd that expires at once", () => {
    const flow = new FlowSetup();
    flow.submit("running");
    for (let i = 0; i < 1000; i++) flow.submit("a");
    flow.takeLog();
    flow.pass(60_000);
    let calls = 1;
    for (; flow.controller.hasMore; calls++) flow.controller.resume();
    expect(flow.takeLog()).toHaveLength(1000);
    expect(calls).toBe(Math.ceil(1000 / limits.flowSliceRequests));
  });
});

describe("sinks may call back", () => {
  test("submit within an outcome is queued behind what waits", () => {
    const flow = new FlowSetup();
    const running = flow.submit("running");
    const a = flow.submit("a");
    flow.submit("b");
    flow.sink(a).whenTold = () => {
      flow.submit("nested");
    };
    flow.complete(running);
    flow.addEndpoint(5);
    flow.controller.wake();
    expect(flow.takeLog()).toEqual(["running", "a", "b", "nested"].map((id) => `Dispatched ${id}`));
  });

  test("cancel of another within an outcome keeps it from being dispatched", () => {
    const flow = new FlowSetup();
    flow.submit("running");
    const a = flow.submit("a");
    const b = flow.submit("b");
    flow.submit("c");
    flow.sink(a).whenTold = () => flow.controller.cancel(b);
    flow.addEndpoint(5);
    flow.controller.wake();
    expect(flow.takeLog()).toEqual([
      "Dispatched running",
      "Dispatched a",
      "EvictedContextCancelled b",
      "Dispatched c",
    ]);
  });

  test("cancel of one that is being displaced too comes too late, and is counted once", () => {
    const flow = new FlowSetup({ settings: { displaceLowerPriority: true, maxBytes: 20 } });
    flow.controller.setPriorities([1]);
    flow.submit("running", { priority: 1 });
    const [a, b] = ["a", "b"].map((id) => flow.submit(id, { bodyBytes: 10 }));
    flow.sink(b!).whenTold = () => {
      expect(flow.controller.cancel(a!)).toBe(false);
    };
    flow.submit("high", { priority: 1, bodyBytes: 20 });
    expect(flow.takeLog()).toEqual(["Dispatched running", "EvictedOther b", "EvictedOther a"]);
    expect(flow.sink(a!).outcomes).toHaveLength(1);
    expect(flow.controller.stats()).toMatchObject({ requests: 1, bytes: 20 });
  });

  test("complete within an outcome frees its place in the same slice", () => {
    const flow = new FlowSetup();
    const running = flow.submit("running");
    for (const id of ["a", "b", "c"]) {
      const ticket = flow.submit(id);
      flow.sink(ticket).whenTold = () => flow.complete(ticket);
    }
    flow.complete(running);
    expect(flow.controller.queued).toBe(0);
    expect(flow.controller.stats().running).toBe(0);
  });
});

test("a sink that throws costs nobody else an outcome: the rest is done at resume", () => {
  const flow = new FlowSetup();
  const running = flow.submit("running");
  const a = flow.submit("a");
  flow.submit("b");
  flow.sink(a).whenTold = () => {
    throw new Error("broken sink");
  };
  flow.addEndpoint(5);
  expect(() => flow.controller.wake()).toThrow("broken sink");
  expect(flow.controller.hasMore).toBe(true);
  flow.controller.resume();
  expect(flow.takeLog()).toEqual(["running", "a", "b"].map((id) => `Dispatched ${id}`));
  flow.complete(running);
});

describe("close", () => {
  test("refuses what waits and what comes, once each; what runs runs on", () => {
    const flow = new FlowSetup();
    const running = flow.submit("running");
    const waiting = [flow.submit("a", { fairnessId: "x" }), flow.submit("b")];
    flow.sink(waiting[0]!).whenTold = () => {
      flow.submit("nested");
    };
    flow.takeLog();
    flow.controller.close();
    flow.controller.close();
    flow.submit("late");
    expect(flow.takeLog()).toEqual([
      "EvictedOther a",
      "RejectedOther nested",
      "EvictedOther b",
      "RejectedOther late",
    ]);
    for (const ticket of waiting) {
      expect(flow.sink(ticket).outcomes).toEqual([{ kind: "rejected", reason: "shutting-down" }]);
    }
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    expect(running.state).toBe("running");
    flow.complete(running);
    expect(flow.controller.stats().running).toBe(0);
  });
});

describe("reconfigure", () => {
  test("with other policies orders what is queued anew, and keeps it", () => {
    const flow = new FlowSetup();
    const running = flow.submit("running");
    for (const id of ["a1", "a2", "b1"]) flow.submit(id, { fairnessId: id[0]! });
    const band = bandSettings({ fairness: roundRobin });
    flow.controller.reconfigure({ ...flow.settings, defaultBand: band });
    flow.complete(running);
    flow.addEndpoint(5);
    flow.controller.wake();
    expect(flow.takeLog()).toEqual(["running", "a1", "b1", "a2"].map((id) => `Dispatched ${id}`));
  });

  test("a bound that is lower now refuses newcomers and nobody who waits", () => {
    const flow = new FlowSetup();
    flow.submit("running");
    for (const id of ["a", "b", "c"]) flow.submit(id);
    flow.controller.reconfigure({ ...flow.settings, maxRequests: 2 });
    expect(flow.controller.queued).toBe(3);
    expect(flow.submit("d").outcome).toMatchObject({ reason: "queue-full" });
  });
});

describe("explain", () => {
  test("says where a request stands and why", () => {
    const flow = new FlowSetup({ ceiling: 0.8 });
    flow.submit("running");
    flow.submit("a", { fairnessId: "x" });
    const ticket = flow.submit("b", { fairnessId: "x", priority: 3 });
    flow.pass(250);
    expect(flow.controller.explain(ticket)).toEqual({
      band: 0,
      requestedPriority: 3,
      fairnessId: "x",
      position: 1,
      waitedMs: 250,
      expiresInMs: 59_750,
      saturationAtSubmit: 1,
      ceilingAtSubmit: 0.8,
      saturation: 1,
      ceiling: 0.8,
      noRoom: false,
    });
  });

  test("still knows when the wait is over, and says nothing of who has not waited", () => {
    const flow = new FlowSetup();
    const running = flow.submit("running");
    const ticket = flow.submit("a");
    flow.clock.advance(70);
    flow.complete(running);
    flow.clock.advance(500);
    expect(flow.controller.explain(ticket)).toMatchObject({
      position: -1,
      waitedMs: 70,
      expiresInMs: NEVER,
    });
    expect(flow.controller.explain(running)).toBeNull();
  });
});

describe("a policy or detector that is at fault", () => {
  test("fairness that names nobody: the oldest goes, and it is counted", () => {
    const nobody = {
      ...roundRobin.band(),
      activate() {},
      deactivate() {},
      next: () => null,
    };
    const flow = new FlowSetup({ band: { fairness: { band: () => nobody } } });
    const running = flow.submit("running");
    flow.submit("a", { fairnessId: "x" });
    flow.submit("b", { fairnessId: "y" });
    flow.addEndpoint(5);
    flow.complete(running);
    expect(flow.takeLog()).toEqual(["running", "a", "b"].map((id) => `Dispatched ${id}`));
    expect(flow.controller.stats().bands[0]!.fairnessFaults).toBe(3);
  });

  test("a ceiling that is no number holds", () => {
    const flow = new FlowSetup({ ceiling: Number.NaN });
    expect(flow.submit("a").state).toBe("queued");
  });
});

describe("the timer", () => {
  test("follows ceilings and saturation that move by time alone, while something is held", () => {
    const flow = new FlowSetup({
      settings: {
        requestTtlMs: 0,
        usageLimits: {
          changesAtMs: 1700,
          limits: (_saturation, _priorities, ceilings) => {
            ceilings[0] = flow.clock.nowMs() >= 1700 ? 1 : 0;
          },
        },
      },
    });
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    flow.submit("a");
    expect(flow.controller.wakeAtMs).toBe(1700);
    flow.pass(700);
    expect(flow.takeLog()).toEqual(["Dispatched a"]);
    expect(flow.controller.wakeAtMs).toBe(NEVER);
  });
});

describe("in-flight eviction", () => {
  const evicting = (options: ConstructorParameters<typeof FlowSetup>[0] = {}) => {
    const flow = new FlowSetup({ ...options, settings: { eviction: true, requestTtlMs: 0 } });
    flow.controller.setPriorities([1, -1, -2]);
    return flow;
  };

  test("ends the newest of the lowest priority, two at most, when a higher band is held", () => {
    const flow = evicting({ endpoints: [5] });
    const low = ["a", "b", "c"].map((id) => flow.submit(id, { priority: -2 }));
    flow.submit("d", { priority: -1 });
    flow.submit("e");
    flow.takeLog();
    flow.submit("demand", { priority: 1 });
    expect(flow.takeLog()).toEqual(["revoked 1 for 1"]);
    expect(low.map((ticket) => flow.sink(ticket).evictions)).toEqual([0, 0, 1]);
  });

  test("is sized by how far the pool is above the ceiling", () => {
    const flow = evicting({ endpoints: [8], ceiling: 0.5 });
    for (let i = 0; i < 4; i++) flow.submit("low", { priority: -1 });
    flow.pool.columns.inflight[0] = 8; // load of others
    flow.takeLog();
    flow.submit("demand");
    // 1.0 at a ceiling of 0.5, four running: 0.25 each
    expect(flow.takeLog()).toEqual(["revoked 2 for 0"]);
    expect(flow.controller.stats()).toMatchObject({
      revocationsOutstanding: 2,
      reclaimTarget: 0.5,
      pendingReclaim: 0.5,
    });
  });

  test("never for a band that does not outrank the victim, nor for nobody", () => {
    const flow = evicting();
    const low = flow.submit("low", { priority: -1 });
    flow.submit("same", { priority: -1 });
    flow.submit("lower", { priority: -2 });
    flow.controller.wake();
    expect(flow.sink(low).evictions).toBe(0);
  });

  test("is off unless it is switched on", () => {
    const flow = new FlowSetup();
    flow.controller.setPriorities([-1]);
    const low = flow.submit("low", { priority: -1 });
    flow.submit("demand");
    expect(flow.sink(low).evictions).toBe(0);
    expect(flow.controller.wakeAtMs).toBe(61_000);
  });

  test("the demand goes when the victim has ended, even within onEvict", () => {
    const flow = evicting();
    const low = flow.submit("low", { priority: -1 });
    flow.sink(low).whenEvicted = () => flow.complete(low);
    const demand = flow.submit("demand");
    expect(demand.outcome?.kind).toBe("picked");
    expect(flow.takeLog()).toEqual([
      "Dispatched low",
      "revoked 1 for 0",
      "confirmed after 0",
      "Dispatched demand",
    ]);
  });

  test("one decision at a time: nobody else is asked until the victim has ended", () => {
    const flow = evicting({ endpoints: [2] });
    const low = ["a", "b"].map((id) => flow.submit(id, { priority: -1 }));
    flow.submit("demand");
    flow.submit("more");
    flow.pass(100);
    expect(low.map((ticket) => flow.sink(ticket).evictions)).toEqual([0, 1]);
    flow.complete(low[1]!);
    expect(low.map((ticket) => flow.sink(ticket).evictions)).toEqual([1, 1]);
  });

  test("one that does not end is given up after its time, and not asked again", () => {
    const flow = evicting();
    const low = flow.submit("low", { priority: -1 });
    flow.submit("demand");
    expect(flow.controller.wakeAtMs).toBe(11_000);
    flow.pass(9_999);
    expect(flow.controller.stats().revocationsOutstanding).toBe(1);
    flow.pass(1);
    expect(flow.controller.stats().revocationsOutstanding).toBe(0);
    expect(flow.controller.wakeAtMs).toBe(NEVER);
    flow.pass(20_000);
    expect(flow.sink(low).evictions).toBe(1);
    flow.complete(low);
    expect(flow.takeLog()).toEqual([
      "Dispatched low",
      "revoked 1 for 0",
      "timed_out after 10000",
      "Dispatched demand",
    ]);
  });

  test("a detector that reads scrapes is given one before the next decision", () => {
    for (const [scrapes, expected] of [
      [true, 1],
      [false, 0],
    ] as const) {
      const flow = evicting({ endpoints: [2], readsScrapes: true });
      const low = ["a", "b"].map((id) => flow.submit(id, { priority: -1 }));
      flow.submit("demand");
      flow.controller.complete(low[1]!, null); // the pool does not show it yet
      flow.pass(50);
      expect(flow.sink(low[0]!).evictions).toBe(0);
      if (scrapes) flow.pool.columns.scrapedAtMs[0] = flow.clock.nowMs();
      flow.controller.wake();
      expect(flow.sink(low[0]!).evictions).toBe(expected);
      if (scrapes) continue;
      expect(flow.controller.wakeAtMs).toBe(1000 + limits.revocationCoolingMaxMs);
      flow.pass(limits.revocationCoolingMaxMs - 50);
      expect(flow.sink(low[0]!).evictions).toBe(1);
    }
  });

  test("a request that has ended by itself is no victim; one whose client leaves meanwhile frees its place once", () => {
    const flow = evicting({ endpoints: [2] });
    const [a, b] = ["a", "b"].map((id) => flow.submit(id, { priority: -1 }));
    flow.complete(b!);
    flow.submit("c");
    flow.submit("demand");
    expect([flow.sink(a!).evictions, flow.sink(b!).evictions]).toEqual([1, 0]);
    flow.complete(a!);
    flow.complete(a!);
    expect(flow.controller.stats()).toMatchObject({ running: 2, revocationsOutstanding: 0 });
  });
});

test("a hundred thousand requests wait in bounded memory, and leave in order", () => {
  const flow = new FlowSetup({ band: { maxRequests: 100_000, fairness: roundRobin } });
  flow.submit("running");
  for (let i = 0; i < 100_000; i++) flow.submit("a", { fairnessId: `${i % 1000}` });
  expect(flow.controller.queued).toBe(100_000);
  expect(flow.controller.stats().bands[0]!.flows).toHaveLength(1001);
  flow.addEndpoint(200_000);
  flow.controller.wake();
  while (flow.controller.hasMore) flow.controller.resume();
  expect(flow.controller.queued).toBe(0);
  expect(flow.controller.stats().running).toBe(100_001);
});
