/**
 * Flow control with 10,000 requests queued over 1,000 flows: the end of one request, the dispatch of the next and the arrival
 * of another, for each fairness policy; the scheduler behind it does nothing. Baseline of the same run: the same step with
 * arrays and a scan over the heads of all flows (what first come first served over all flows needs at least).
 *
 * Then a storm of 10,000 cancels, and the heap that 100,000 queued requests take.
 * @module
 */
import { Bench } from "tinybench";
import {
  EndpointPool,
  Flight,
  FlowController,
  flowDefaults,
  InferenceRequest,
  ManualClock,
  type Ticket,
} from "../../../scheduler/index.ts";
import { bandSettings, flowPlugin } from "../../support/flow-setup.ts";
import { addEndpoint } from "../../support/plugin-setup.ts";

const QUEUED = 10_000;
const FLOWS = 1_000;
const MANY = 100_000;
const RUNNING = 64;
const WARMUP_MS = 200;
const ROUND_MS = 500;

const USAGE = { uncachedPromptTokens: 500, outputTokens: 200 };

const POLICIES = [
  "global-strict-fairness-policy",
  "round-robin-fairness-policy",
  "deficit-round-robin-fairness-policy",
  "program-aware-fairness",
] as const;

const requests = Array.from(
  { length: FLOWS },
  (_, i) =>
    new InferenceRequest({
      model: "llama",
      fairnessId: `tenant-${i}`,
      bodyBytes: 1000 + i,
      promptTokens: 200 + ((i * 37) % 2000),
    }),
);

/** A pool that takes so many requests; what waits is dispatched as they end. */
class Rig {
  readonly clock = new ManualClock(1000);
  readonly controller: FlowController;
  /** Running tickets, oldest first. */
  readonly running: Ticket[] = [];
  readonly waiting: Ticket[] = [];
  #oldest = 0;
  #taken = 0;
  #arrivals = 0;
  readonly #sink = { onOutcome() {}, onEvict() {} };

  constructor(fairness: string, maxRequests: number) {
    const pool = new EndpointPool();
    const slot = addEndpoint(pool, 0);
    const { generation } = pool.columns;
    const band = bandSettings({
      fairness: flowPlugin(fairness).fairnessPolicy!,
      maxRequests,
      maxBytes: 0,
    });
    this.controller = new FlowController({
      settings: {
        ...flowDefaults,
        bands: [],
        defaultBand: band,
        negativeBand: band,
        detector: {
          readsScrapes: false,
          saturation: () => this.#taken / RUNNING,
        },
        usageLimits: { limits() {} },
      },
      clock: this.clock,
      pool,
      schedule: (request) => {
        this.#taken++;
        const charge = { slot, generation: generation[slot]!, profile: "", tokens: 0, requests: 1 };
        return new Flight(request, "10.0.0.1:8000", [charge], [], 0);
      },
      observer: {
        finished: (ticket, outcome) => {
          if (outcome === "Dispatched") this.running.push(ticket);
        },
        revoked() {},
        revocationEnded() {},
      },
    });
  }

  submit(): Ticket {
    return this.controller.submit(requests[this.#arrivals++ % FLOWS]!, null, this.#sink);
  }

  fill(queued: number): void {
    while (this.controller.queued < queued) {
      const ticket = this.submit();
      if (ticket.outcome === null) this.waiting.push(ticket);
    }
  }

  /** One ends, the next is dispatched, another comes. */
  turn(): void {
    const ticket = this.running[this.#oldest++]!;
    if (this.#oldest === 4096) {
      this.running.splice(0, this.#oldest);
      this.#oldest = 0;
    }
    this.#taken--;
    this.controller.complete(ticket, USAGE);
    this.clock.advance(0.01);
    this.submit();
  }
}

/** First come first served over all flows with an array each. */
class NaiveQueue {
  readonly #flows = new Map<string, { request: InferenceRequest; sequence: number }[]>();
  #arrivals = 0;

  add(): void {
    const request = requests[this.#arrivals % FLOWS]!;
    const flow = this.#flows.get(request.fairnessId) ?? [];
    this.#flows.set(request.fairnessId, flow);
    flow.push({ request, sequence: this.#arrivals++ });
  }

  take(): InferenceRequest {
    let first: { request: InferenceRequest; sequence: number }[] | null = null;
    for (const flow of this.#flows.values()) {
      if (flow.length === 0) continue;
      if (first === null || flow[0]!.sequence < first[0]!.sequence) first = flow;
    }
    return first!.shift()!.request;
  }
}

function cancelStormMs(): number {
  const rig = new Rig("global-strict-fairness-policy", QUEUED);
  rig.fill(QUEUED);
  const startMs = performance.now();
  for (const ticket of rig.waiting) rig.controller.cancel(ticket);
  const ms = performance.now() - startMs;
  if (rig.controller.queued !== 0) throw new Error(`${rig.controller.queued} are still queued`);
  return ms;
}

/** Heap of one queued request, its ticket and places included, bytes. */
function bytesPerQueued(): number {
  const rig = new Rig("global-strict-fairness-policy", MANY);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  rig.fill(MANY);
  rig.waiting.length = 0;
  globalThis.gc?.();
  const bytes = (process.memoryUsage().heapUsed - before) / MANY;
  if (rig.controller.queued !== MANY) throw new Error(`${rig.controller.queued} are queued`);
  return bytes;
}

/** Prints median microseconds of a turn for each policy, the ratio to the baseline, and the storm and the heap. */
export async function run(): Promise<void> {
  const bench = new Bench({ time: ROUND_MS, warmupTime: WARMUP_MS });
  for (const policy of POLICIES) {
    const rig = new Rig(policy, QUEUED);
    rig.fill(QUEUED);
    bench.add(policy, () => rig.turn());
  }
  const naive = new NaiveQueue();
  for (let i = 0; i < QUEUED; i++) naive.add();
  bench.add("naive", () => {
    naive.take();
    naive.add();
  });
  await bench.run();
  const us = new Map<string, number>();
  for (const { name, result } of bench.tasks) {
    if (result.state !== "completed") throw new Error(`${name}: ${result.state}`);
    us.set(name, result.latency.p50 * 1000);
  }
  const baseline = us.get("naive")!;
  for (const policy of POLICIES) {
    const turn = us.get(policy)!;
    console.log(
      `${policy.padEnd(36)} ${turn.toFixed(2).padStart(7)} us   ratio ${(baseline / turn).toFixed(1)}`,
    );
  }
  console.log(
    `${"arrays, head of each flow looked at".padEnd(36)} ${baseline.toFixed(2).padStart(7)} us`,
  );
  const storms = Array.from({ length: 9 }, cancelStormMs);
  console.log(
    `cancel of ${QUEUED} queued requests ${Math.min(...storms).toFixed(1)} ms, the quickest of ${storms.length}`,
  );
  console.log(`heap of a queued request, ${MANY} of them ${bytesPerQueued().toFixed(0)} bytes`);
}
