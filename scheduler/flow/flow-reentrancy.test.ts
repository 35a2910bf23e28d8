import { expect, test } from "vitest";
import { FlowSetup, flowPlugin, type TestSink } from "../../test/support/flow-setup.ts";
import { SeededRandom } from "../random.ts";
import type { Ticket } from "./ticket.ts";

const WORLDS = 16;
const STEPS = 1000;
const MAX_REQUESTS = 100;
/** Calls that sinks make within one event. */
const NESTED_MAX = 3;

/** Sinks call back at random, and slices are resumed late: nothing may be lost, doubled or left behind. */
class UnrulyWorld {
  readonly flow: FlowSetup;
  readonly #random: SeededRandom;
  readonly #priorities = [-2, -1, 0, 1, 2];
  #nested = 0;
  #number = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const fairness = [
      "round-robin-fairness-policy",
      "deficit-round-robin-fairness-policy",
      "program-aware-fairness",
      "global-strict-fairness-policy",
    ][seed % 4]!;
    this.flow = new FlowSetup({
      endpoints: [3, 20],
      ceiling: seed % 2 === 0 ? 1 : 10,
      band: { fairness: flowPlugin(fairness).fairnessPolicy! },
      settings: {
        maxRequests: MAX_REQUESTS,
        maxBytes: 4000,
        requestTtlMs: 200,
        displaceLowerPriority: true,
        eviction: true,
        agingMs: 20,
        maxFlows: 5,
        flowIdleMs: 50,
        maxBypass: 4,
      },
    });
    this.flow.controller.setPriorities(this.#priorities);
  }

  #int(below: number): number {
    return Math.floor(this.#random.next() * below);
  }

  #ticket(state: Ticket["state"]): Ticket | undefined {
    const those = this.flow.tickets.filter((ticket) => ticket.state === state);
    return those[this.#int(those.length)];
  }

  step(): void {
    const { controller } = this.flow;
    this.#nested = 0;
    const at = this.#int(100);
    if (at < 6) for (let i = this.#int(100); i > 0; i--) this.#submit();
    else if (at < 50) this.#submit();
    else if (at < 70) this.#complete();
    else if (at < 80) this.#cancel();
    else if (at < 90) this.flow.pass(this.#int(60));
    else if (at < 92) controller.setPriorities(this.#priorities.filter(() => this.#int(2) === 0));
    else if (at < 96) controller.wake();
    else this.#tooLate();
    if (controller.hasMore && this.#int(3) === 0) controller.resume();
    this.#check();
  }

  #submit(): void {
    const priority = this.#priorities[this.#int(5)]!;
    const ticket = this.flow.submit(
      `${this.#number++}`,
      {
        priority,
        fairnessId: `${this.#int(12)}`,
        bodyBytes: this.#int(10) === 0 ? 1000 : this.#int(60),
        promptTokens: this.#int(5000),
      },
      this.#int(20) === 0 ? ["0"] : null,
    );
    const sink: TestSink = this.flow.sink(ticket);
    sink.whenTold = () => this.#callBack();
    sink.whenEvicted = () => {
      if (this.#int(2) === 0) this.flow.complete(ticket);
      else this.#callBack();
    };
  }

  #callBack(): void {
    if (this.#nested++ >= NESTED_MAX) return;
    const at = this.#int(6);
    if (at === 0) this.#submit();
    else if (at === 1) this.#cancel();
    else if (at === 2) this.#complete();
    else if (at === 3) this.flow.controller.wake();
    else if (at === 4) this.flow.controller.resume();
  }

  /** What comes when a request is over already does nothing. */
  #tooLate(): void {
    const { controller, tickets } = this.flow;
    const over = tickets.filter(({ state }) => state !== "queued");
    const ticket = over[this.#int(over.length)];
    if (ticket === undefined) return;
    expect(controller.cancel(ticket)).toBe(false);
    if (ticket.state === "ended") controller.complete(ticket, null);
  }

  #complete(): void {
    const ticket = this.#ticket("running");
    if (ticket !== undefined) this.flow.complete(ticket, this.#int(500));
  }

  #cancel(): void {
    const ticket = this.#ticket("queued");
    if (ticket !== undefined) expect(this.flow.controller.cancel(ticket)).toBe(true);
  }

  #check(): void {
    const { controller, tickets } = this.flow;
    const queued = tickets.filter(({ state }) => state === "queued");
    const running = tickets.filter(({ state }) => state === "running");
    const stats = controller.stats();
    const flows = stats.bands.flatMap((band) => band.flows);
    const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
    const gauges = [
      [stats.requests, queued.length],
      [stats.bytes, sum(queued.map(({ request }) => request.bodyBytes))],
      [stats.running, running.length],
      [sum(flows.map(({ requests }) => requests)), queued.length],
      [sum(flows.map((flow) => flow.running)), running.length],
      [sum(stats.bands.map(({ fairnessFaults }) => fairnessFaults)), 0],
    ];
    const isWrong = gauges.some(([actual, counted]) => actual !== counted);
    if (isWrong || queued.length > MAX_REQUESTS) {
      throw new Error(`gauges and recounts ${JSON.stringify(gauges)}`);
    }
    for (const ticket of tickets) {
      const told = this.flow.sink(ticket).outcomes.length;
      const isOutcomeRight = (ticket.state === "queued") === (ticket.outcome === null);
      if (told > 1 || !isOutcomeRight) {
        throw new Error(`${ticket.request.id} is ${ticket.state}, and was told ${told} outcomes`);
      }
    }
    const kept = tickets.filter(({ state }) => state !== "ended" || this.#int(20) === 0);
    tickets.splice(0, tickets.length, ...kept);
  }

  finish(): void {
    const { controller, tickets } = this.flow;
    this.#nested = NESTED_MAX;
    controller.close();
    this.#check();
    for (const ticket of tickets.filter(({ state }) => state === "running")) {
      this.flow.complete(ticket);
    }
    controller.setPriorities([]);
    expect(controller.stats()).toMatchObject({ requests: 0, bytes: 0, running: 0 });
    expect(controller.stats().bands.map(({ priority }) => priority)).toEqual([0]);
    expect(controller.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
    expect(controller.hasMore).toBe(false);
  }
}

test("sinks that call back and slices that are resumed late lose, double and leave nothing", {
  timeout: 60_000,
}, () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= WORLDS; seed++) {
    const world = new UnrulyWorld(seed);
    for (let i = 0; i < STEPS; i++) {
      world.step();
      for (const line of world.flow.takeLog()) seen.add(line.split(" ")[0]!);
    }
    world.finish();
  }
  expect([...seen]).toEqual(
    expect.arrayContaining([
      "Dispatched",
      "EvictedTTL",
      "EvictedOther",
      "EvictedContextCancelled",
      "RejectedCapacity",
      "revoked",
      "confirmed",
    ]),
  );
});
