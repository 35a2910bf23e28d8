import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LoggedEngine, promptOf, SMALL_ENGINE } from "../test/support/sim-requests.ts";
import { Engine, type EngineConfig, type EngineStats } from "./engine.ts";

function statsOf(world: LoggedEngine, ...names: (keyof EngineStats)[]): number[] {
  const stats = world.engine.stats();
  return names.map((name) => stats[name]);
}

describe("batching", () => {
  test("a prefill gives the first token, and each step after it one more", () => {
    const world = new LoggedEngine();
    const id = world.submit(promptOf([1, 2], 3)); // 9 tokens: 10 + 9 ms
    world.drain();
    expect(world.tokenTimes(id)).toEqual([19, 29, 39]);
    expect(world.events.at(-1)).toEqual({ kind: "finished", id, atMs: 39, index: -1 });
  });

  test("who arrives while a step runs waits for its end", () => {
    const world = new LoggedEngine();
    world.submit(promptOf([1, 2], 1));
    world.pass(5);
    const late = world.submit(promptOf([3], 1));
    expect(statsOf(world, "running", "waiting")).toEqual([1, 1]);
    world.drain();
    expect(world.tokenTimes(late)).toEqual([19 + 15]);
  });

  test("a prompt above the token budget is computed in chunks", () => {
    const world = new LoggedEngine({ stepTokensMax: 8 });
    const id = world.submit(promptOf([1, 2, 3, 4], 1, null, 4)); // 20 tokens: 8, 8, 4
    world.drain();
    expect(world.tokenTimes(id)).toEqual([18 + 18 + 14]);
  });

  test("a decode in the same step as a prefill waits for all of it", () => {
    const world = new LoggedEngine();
    const decoding = world.submit(promptOf([1], 3));
    world.pass(15);
    world.submit(promptOf([2, 3, 4], 1)); // at 15 the next step has begun: it is in the one after, of 23 ms
    world.drain();
    expect(world.tokenTimes(decoding)).toEqual([15, 25, 48]);
  });

  test("requests are admitted in order, while there are seats and budget in the step", () => {
    const seats = new LoggedEngine({ sequencesMax: 2 });
    const ids = [1, 2, 3].map((name) => seats.submit(promptOf([name], 2)));
    seats.step();
    expect(statsOf(seats, "running", "waiting")).toEqual([2, 1]);
    seats.drain();
    const ends = seats.events.filter(({ kind }) => kind === "finished").map(({ id }) => id);
    expect(ends).toEqual(ids);

    const budget = new LoggedEngine({ stepTokensMax: 8 });
    budget.submit(promptOf([1], 1)); // starts a step of its own
    for (const name of [2, 3, 4]) budget.submit(promptOf([name], 1)); // 5 tokens each: 8 = 5 + 3
    budget.step();
    expect(statsOf(budget, "running", "waiting")).toEqual([2, 1]);
  });
});

describe("prefix cache", () => {
  test("a repeated prompt is computed for its last, open block only", () => {
    const world = new LoggedEngine();
    const first = world.submit(promptOf([1, 2, 3], 1));
    world.drain();
    const againAtMs = world.nowMs;
    const second = world.submit(promptOf([1, 2, 3], 1));
    expect(world.engine.cachedTokens(second)).toBe(12);
    world.drain();
    expect(world.tokenTimes(first)).toEqual([10 + 13]);
    expect(world.tokenTimes(second)).toEqual([againAtMs + 10 + 1]);
    expect(statsOf(world, "prefixQueryTokens", "prefixHitTokens")).toEqual([26, 12]);
  });

  test("of a prompt that is all full blocks the last one is computed, for something to sample from", () => {
    const world = new LoggedEngine();
    world.submit(promptOf([1, 2, 3], 1, null, 0));
    world.drain();
    const again = world.submit(promptOf([1, 2, 3], 1, null, 0));
    expect(world.engine.cachedTokens(again)).toBe(8);
  });

  test("what was never computed is not found: a request canceled in its prefill leaves its chunks", () => {
    const world = new LoggedEngine({ stepTokensMax: 8 });
    const canceled = world.submit(promptOf([1, 2, 3, 4, 5], 1));
    world.step();
    world.cancel(canceled);
    world.drain();
    const again = world.submit(promptOf([1, 2, 3, 4, 5], 1));
    expect(world.engine.cachedTokens(again)).toBe(8);
  });

  test("a request finds what another in the batch has computed so far", () => {
    const world = new LoggedEngine({ stepTokensMax: 8 });
    world.submit(promptOf([1, 2, 3, 4], 1));
    world.step();
    world.step();
    world.submit(promptOf([1, 2, 3, 4, 5], 1));
    world.step();
    expect(statsOf(world, "prefixHitTokens")).toEqual([16]);
  });

  test("an engine at rest uses no block, but remembers", () => {
    const world = new LoggedEngine();
    world.submit(promptOf([1, 2, 3], 20));
    world.step();
    expect(statsOf(world, "kvUtilization")[0]).toBeGreaterThan(0);
    world.drain();
    expect(statsOf(world, "kvUtilization")).toEqual([0]);
    world.submit(promptOf([1, 2, 3], 1));
    expect(statsOf(world, "prefixHitTokens")).toEqual([12]);
  });
});

describe("preemption", () => {
  /** Two prompts of 2 blocks and answers that grow to 5 blocks each, in a cache of 6. */
  function collision(): { world: LoggedEngine; older: number; younger: number } {
    const world = new LoggedEngine({ blocks: 6 });
    const older = world.submit(promptOf([1], 12, null, 3));
    const younger = world.submit(promptOf([2], 12, null, 3));
    return { world, older, younger };
  }

  test("the youngest gives way, comes back, and keeps what the client has", () => {
    const { older, world, younger } = collision();
    world.drain();
    const { finishedTotal, generatedTokensTotal, preemptions } = world.engine.stats();
    expect(preemptions).toBeGreaterThan(0);
    expect([finishedTotal, generatedTokensTotal]).toEqual([2, 24]);
    for (const id of [older, younger]) {
      const indexes = world.events
        .filter((event) => event.id === id && event.kind === "token")
        .map(({ index }) => index);
      expect(indexes).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
    const [endOfOlder, endOfYounger] = world.events.filter(({ kind }) => kind === "finished");
    expect([endOfOlder!.id, endOfYounger!.id]).toEqual([older, younger]);
  });

  test("a request that is admitted twice is counted once", () => {
    const { world } = collision();
    world.drain();
    expect(statsOf(world, "prefixQueryTokens", "promptTokensTotal")).toEqual([14, 14]);

    // Preempted in its prefill, before its first token.
    const early = new LoggedEngine({ blocks: 6, stepTokensMax: 5 });
    early.submit(promptOf([1], 9, null, 3));
    early.submit(promptOf([2, 3, 4, 5], 1, null, 1));
    early.drain();
    expect(statsOf(early, "prefixQueryTokens", "promptTokensTotal")).toEqual([24, 24]);
    expect(early.engine.stats().preemptions).toBeGreaterThan(0);
  });

  test("nobody is admitted in the step that preempts, though a first chunk would have room", () => {
    const world = new LoggedEngine({ blocks: 6, stepTokensMax: 4 });
    for (const name of [1, 2]) world.submit(promptOf([name], 12, null, 3));
    while (world.engine.stats().preemptions === 0) world.step();
    expect(statsOf(world, "running", "waiting")).toEqual([1, 1]);
  });
});

describe("adapters", () => {
  test("a request waits for the load of its adapter, the next one does not", () => {
    const world = new LoggedEngine();
    const first = world.submit(promptOf([1], 1, "a"));
    expect(statsOf(world, "running", "waiting")).toEqual([1, 0]);
    world.drain();
    expect(world.tokenTimes(first)).toEqual([100 + 15]);
    const second = world.submit(promptOf([2], 1, "a"));
    world.drain();
    expect(world.tokenTimes(second)).toEqual([115 + 15]);
    expect(statsOf(world, "adapterLoads")).toEqual([1]);
  });

  test("a load holds up nobody else, neither who is there nor who comes meanwhile", () => {
    const world = new LoggedEngine();
    world.submit(promptOf([1], 1, "a"));
    const base = world.submit(promptOf([2], 1));
    world.pass(50);
    const late = world.submit(promptOf([3], 1));
    world.drain();
    expect(world.tokenTimes(base)).toEqual([15]);
    expect(world.tokenTimes(late)).toEqual([65]);
  });

  test("a request whose adapter has no slot is passed over, and is next when one is free", () => {
    const world = new LoggedEngine({ adapterSlots: 1, adapterLoadMs: 0 });
    world.submit(promptOf([1], 3, "a"));
    const blocked = world.submit(promptOf([2], 1, "b"));
    const base = world.submit(promptOf([3], 1));
    expect(world.engine.adaptersInUse()).toEqual({ running: ["a"], waiting: ["b"] });
    world.drain();
    expect(world.tokenTimes(base)).toEqual([15 + 15]);
    expect(world.tokenTimes(blocked)).toEqual([15 + 15 + 10 + 15]);
  });

  test("a request that there are no blocks for does not load its adapter", () => {
    const world = new LoggedEngine({ blocks: 3, adapterLoadMs: 0 });
    world.submit(promptOf([1, 2], 3)); // 12 tokens: all blocks
    world.submit(promptOf([3], 1, "a"));
    world.step();
    expect(statsOf(world, "waiting", "adapterLoads")).toEqual([1, 0]);
    world.drain();
    expect(statsOf(world, "finishedTotal", "adapterLoads")).toEqual([2, 1]);
  });

  test("when the request that a load was for is canceled, the others go on at once", () => {
    const world = new LoggedEngine({ sequencesMax: 1 });
    const loading = world.submit(promptOf([1], 1, "a"));
    const next = world.submit(promptOf([2], 1));
    world.pass(30);
    world.cancel(loading);
    world.drain();
    expect(world.tokenTimes(next)).toEqual([30 + 15]);
  });
});

describe("bounds", () => {
  test("a full queue and what can never fit are told apart", () => {
    const { engine } = new LoggedEngine({ waitingMax: 1, sequencesMax: 1, blocks: 5 });
    expect(engine.submit(promptOf([1], 15, null, 2), 0)).toBe("too-long");
    expect(engine.submit(promptOf([1], 14, null, 2), 0)).toBe(1);
    expect(engine.submit(promptOf([1], 1), 0)).toBe(2);
    expect(engine.submit(promptOf([1], 1), 0)).toBe("queue-full");
  });

  test("an engine without adapter slots refuses adapters instead of letting them wait for ever", () => {
    const { engine } = new LoggedEngine({ adapterSlots: 0 });
    expect(engine.submit(promptOf([1], 1, "a"), 0)).toBe("no-adapter-slots");
    expect(engine.submit(promptOf([1], 1), 0)).toBe(1);
  });

  test("a request that needs each block of the cache is served", () => {
    const world = new LoggedEngine({ blocks: 5 });
    const id = world.submit(promptOf([1, 2, 3], 8, null, 0));
    world.drain();
    expect(world.tokenTimes(id)).toHaveLength(8);
    expect(statsOf(world, "preemptions")).toEqual([0]);
  });

  test.each(["blocks", "blockSizeTokens", "sequencesMax", "stepTokensMax"])(
    "%s must let a request through",
    (name) => {
      for (const value of [0, -1, 1.5, Number.NaN]) {
        expect(() => new Engine({ ...SMALL_ENGINE, [name]: value })).toThrow(
          `engine: ${name} must be an integer >= 1, got ${value}`,
        );
      }
    },
  );
});

describe("cancel", () => {
  test("frees what a request holds wherever it is; unknown and ended ones are ignored", () => {
    const world = new LoggedEngine({ sequencesMax: 1 });
    const running = world.submit(promptOf([1], 50, "a"));
    const waiting = world.submit(promptOf([2], 1));
    world.cancel(waiting);
    world.pass(140);
    world.cancel(running);
    world.cancel(running);
    world.cancel(999);
    world.drain();
    expect(
      statsOf(world, "running", "waiting", "kvUtilization", "canceledTotal", "finishedTotal"),
    ).toEqual([0, 0, 0, 2, 0]);
    expect(world.engine.adapters.unload("a")).toBe(true);
    expect(world.tokenTimes(waiting)).toEqual([]);
  });
});

describe("a sink may act on what it is told", () => {
  test("a next turn submitted at the end of the one before is in the next step and changes nothing in this one", () => {
    const world = new LoggedEngine({ stepTokensMax: 8 });
    const finished = world.finished.bind(world);
    let second = 0;
    world.finished = (id, atMs) => {
      finished(id, atMs);
      if (id !== first) return;
      world.nowMs = atMs;
      second = world.submit(promptOf([1, 2], 1));
    };
    world.submit(promptOf([9], 1)); // the others start together, in the step after it
    const first = world.submit(promptOf([1], 1));
    const bystander = world.submit(promptOf([4, 5, 6], 1));
    world.drain();
    // Tokens of the steps: 5; 5 + 3; 8; 2 + 5, of which the second turn's five follow a block that it found.
    expect(world.tokenTimes(first)).toEqual([15 + 18]);
    expect(world.tokenTimes(bystander)).toEqual([15 + 18 + 18 + 17]);
    expect(world.tokenTimes(second)).toEqual([15 + 18 + 18 + 17]);
  });

  test("who is canceled on the news of another gets nothing any more", () => {
    const world = new LoggedEngine();
    world.submit(promptOf([9], 1)); // the others start together, in the step after it
    const [first, ...others] = [1, 2, 3].map((name) => world.submit(promptOf([name], 3)));
    const token = world.token.bind(world);
    world.token = (id, index, atMs) => {
      token(id, index, atMs);
      if (id !== first || index === 0) return;
      for (const other of others) world.engine.cancel(other, atMs);
    };
    world.drain();
    expect(world.tokenTimes(first!)).toHaveLength(3);
    for (const id of others) expect(world.tokenTimes(id)).toHaveLength(1);
    expect(statsOf(world, "kvUtilization", "canceledTotal", "finishedTotal")).toEqual([0, 2, 2]);
  });

  test("a request that cancels itself with its last token did not finish", () => {
    const world = new LoggedEngine();
    world.token = (id, _, atMs) => world.engine.cancel(id, atMs);
    world.submit(promptOf([1], 1));
    world.drain();
    expect(statsOf(world, "kvUtilization", "canceledTotal", "finishedTotal")).toEqual([0, 1, 0]);
    expect(world.events).toEqual([]);
  });
});

// ── any traffic ─────────────────────────────────────────────────────────────────────────────────────────────────────

type Action =
  | { readonly kind: "submit"; readonly request: ReturnType<typeof promptOf> }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "cancel"; readonly at: number };

const path = fc.array(fc.nat({ max: 2 }), { maxLength: 6 });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        path,
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(null, null, "a", "b", "c"),
        fc.nat({ max: 3 }),
      )
      .filter(([blocks, , , tail]) => blocks.length + tail > 0)
      .map(([blocks, output, adapter, tail]) => ({
        kind: "submit" as const,
        request: promptOf(blocks, output, adapter, tail),
      })),
  },
  {
    weight: 3,
    arbitrary: fc.nat({ max: 60 }).map((ms) => ({ kind: "pass" as const, ms })),
  },
  { weight: 1, arbitrary: fc.nat().map((at) => ({ kind: "cancel" as const, at })) },
);
const actions = fc.array(action, { maxLength: 60 });
/** From nothing but room to nothing but pressure. */
const config: fc.Arbitrary<Partial<EngineConfig>> = fc.record({
  blocks: fc.integer({ min: 9, max: 30 }),
  sequencesMax: fc.integer({ min: 1, max: 6 }),
  stepTokensMax: fc.integer({ min: 1, max: 40 }),
  adapterSlots: fc.integer({ min: 1, max: 2 }),
  waitingMax: fc.integer({ min: 1, max: 20 }),
});

interface Played {
  readonly world: LoggedEngine;
  readonly taken: readonly number[];
  readonly canceled: ReadonlySet<number>;
}

/** @param check after each action; @param pieces that each pass of time is made of */
function play(
  engine: Partial<EngineConfig>,
  script: readonly Action[],
  check: (world: LoggedEngine, taken: number) => void = () => {},
  pieces = 1,
): Played {
  const world = new LoggedEngine(engine);
  const taken: number[] = [];
  const canceled = new Set<number>();
  for (const step of script) {
    if (step.kind === "submit") {
      const id = world.engine.submit(step.request, world.nowMs);
      if (typeof id === "number") taken.push(id);
    } else if (step.kind === "pass") {
      for (let i = 0; i < pieces; i++) world.pass(step.ms / pieces);
    } else if (taken.length > 0) {
      const id = taken[step.at % taken.length]!;
      const before = world.engine.stats().canceledTotal;
      world.cancel(id);
      if (world.engine.stats().canceledTotal > before) canceled.add(id);
    }
    check(world, taken.length);
  }
  return { world, taken, canceled };
}

describe("with any traffic", () => {
  test("no request is lost, no bound is passed, and all ends", () => {
    fc.assert(
      fc.property(config, actions, (engine, script) => {
        const { canceled, taken, world } = play(engine, script, ({ engine: live }, count) => {
          const stats = live.stats();
          const { adapterSlots, sequencesMax, waitingMax } = live.config;
          expect(stats.waiting + stats.running + stats.finishedTotal + stats.canceledTotal).toBe(
            count,
          );
          expect(stats.running).toBeLessThanOrEqual(sequencesMax);
          // Preempted requests come back to the queue beside those that wait.
          expect(stats.waiting).toBeLessThanOrEqual(waitingMax + sequencesMax);
          expect(stats.kvUtilization).toBeGreaterThanOrEqual(0);
          expect(stats.kvUtilization).toBeLessThanOrEqual(1);
          expect(live.adaptersInUse().running.length).toBeLessThanOrEqual(adapterSlots);
          expect(live.adapters.loaded.length).toBeLessThanOrEqual(adapterSlots);
          // A canceled request's step still ends: there may be an event and nothing to do, never the reverse.
          if (stats.waiting + stats.running > 0) {
            expect(live.nextEventMs()).toBeLessThan(Number.POSITIVE_INFINITY);
          }
        });
        world.drain();
        const stats = world.engine.stats();
        expect([stats.waiting, stats.running, stats.kvUtilization]).toEqual([0, 0, 0]);
        expect(stats.finishedTotal + stats.canceledTotal).toBe(taken.length);
        expect(stats.canceledTotal).toBe(canceled.size);
        for (const name of world.engine.adapters.loaded) {
          expect(world.engine.adapters.unload(name)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("time never goes back, and each finished request got its tokens one by one, once", () => {
    fc.assert(
      fc.property(config, actions, (engine, script) => {
        const { canceled, taken, world } = play(engine, script);
        world.drain();
        const times = world.events.map(({ atMs }) => atMs);
        expect(times).toEqual([...times].sort((a, b) => a - b));
        const requests = script.flatMap((step) => (step.kind === "submit" ? [step.request] : []));
        let wanted = 0;
        for (const id of taken) {
          const events = world.events.filter((event) => event.id === id);
          const indexes = events.filter(({ kind }) => kind === "token").map(({ index }) => index);
          expect(indexes).toEqual(indexes.map((_, i) => i));
          const ends = events.filter(({ kind }) => kind === "finished");
          expect(ends).toHaveLength(canceled.has(id) ? 0 : 1);
          if (!canceled.has(id)) expect(events.at(-1)).toBe(ends[0]);
          wanted += indexes.length;
        }
        expect(world.engine.stats().generatedTokensTotal).toBe(wanted);
        if (taken.length !== requests.length || canceled.size > 0) return;
        expect(wanted).toBe(requests.reduce((sum, { outputTokens }) => sum + outputTokens, 0));
        expect(world.engine.stats().promptTokensTotal).toBe(
          requests.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
        );
      }),
      { numRuns: 300 },
    );
  });

  test("a step holds at most the token budget", () => {
    fc.assert(
      fc.property(config, actions, (engine, script) => {
        const { world } = play(engine, script);
        const { adapterLoadMs, profile, stepTokensMax } = world.engine.config;
        while (world.step()) {
          const nextMs = world.engine.nextEventMs();
          if (nextMs === Number.POSITIVE_INFINITY) continue;
          // With this profile a prompt token is a millisecond; what is no step is the rest of a load.
          const longestMs = Math.max(profile.baseMs + stepTokensMax, adapterLoadMs);
          expect(nextMs - world.nowMs).toBeLessThanOrEqual(longestMs);
        }
      }),
    );
  });

  test("the same inputs give the same log, however time is cut into pieces", () => {
    fc.assert(
      fc.property(config, actions, fc.integer({ min: 2, max: 4 }), (engine, script, pieces) => {
        const whole = play(engine, script).world;
        const again = play(engine, script).world;
        // Powers of two: the pieces of a whole number of milliseconds add up to it exactly.
        const cut = play(engine, script, () => {}, 2 ** pieces).world;
        for (const world of [whole, again, cut]) world.drain();
        expect(again.events).toEqual(whole.events);
        expect(cut.events).toEqual(whole.events);
        expect(cut.engine.stats()).toEqual(whole.engine.stats());
      }),
    );
  });

  const prompts = fc.array(
    fc.tuple(path, fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 3 })),
    { maxLength: 30 },
  );

  /** Prompts one after the other. @returns tokens found in the cache by each */
  function hitsOf(blocks: number, script: readonly [number[], number, number][]): number[] {
    const world = new LoggedEngine({ blocks });
    return script.map(([blockNames, output, tail]) => {
      const id = world.submit(promptOf(blockNames, output, null, tail));
      const hits = world.engine.cachedTokens(id);
      world.drain();
      return hits;
    });
  }

  test("with room for all, hits are the longest beginning that was seen before", () => {
    fc.assert(
      fc.property(prompts, (script) => {
        const seen = new Set<string>();
        const expected = script.map(([blockNames]) => {
          let hits = 0;
          while (hits < blockNames.length && seen.has(blockNames.slice(0, hits + 1).join(","))) {
            hits++;
          }
          blockNames.forEach((_, i) => {
            seen.add(blockNames.slice(0, i + 1).join(","));
          });
          return hits * SMALL_ENGINE.blockSizeTokens;
        });
        expect(hitsOf(10_000, script)).toEqual(expected);
      }),
    );
  });

  test("a larger cache never finds less", () => {
    fc.assert(
      fc.property(prompts, fc.integer({ min: 10, max: 20 }), (script, blocks) => {
        const small = hitsOf(blocks, script);
        const large = hitsOf(blocks + 3, script);
        small.forEach((hits, i) => {
          expect(large[i]).toBeGreaterThanOrEqual(hits);
        });
      }),
    );
  });
});
