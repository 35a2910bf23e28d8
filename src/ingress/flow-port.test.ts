/**
 * Flow control as clients meet it: through ext_proc, with clock and timers in the test's hand.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  defaultDocument,
  type Flight,
  QUEUE_TTL_HEADER,
  type TokenUsage,
} from "../../scheduler/index.ts";
import {
  CHAT,
  chatBody,
  type Exchange,
  type IngressSetup,
  type IngressSetupOptions,
  ingressSetup,
  NOTHING_HELD,
  post,
  subsetOf,
} from "../../test/support/ingress-exchange.ts";
import { requestOf, schedulerOf } from "../../test/support/scheduler-setup.ts";

const FULL = { waiting: 5 };
const FREE = { waiting: 0 };
const PRIORITIES = { batch: -1, urgent: 10 };

function documentOf(
  flowControl: object,
  plugins: readonly { type: string; parameters?: unknown }[],
) {
  return {
    ...defaultDocument,
    plugins: [...defaultDocument.plugins, ...plugins],
    featureGates: ["flowControl"],
    flowControl,
  };
}

interface Options extends IngressSetupOptions {
  readonly flowControl?: object;
  readonly plugins?: readonly { type: string; parameters?: unknown }[];
}

function setupOf({ flowControl = {}, plugins = [], ...options }: Options = {}): IngressSetup {
  return ingressSetup({
    document: documentOf(flowControl, plugins),
    priorities: PRIORITIES,
    ...options,
  });
}

/** Facts of all endpoints at once. */
function scrapeAll({ pool, scrape }: IngressSetup, facts: typeof FULL): void {
  for (let i = 0; i < pool.liveCount; i++) scrape(pool.live[i]!, facts);
}

function send(setup: IngressSetup, objective = "", headers: [string, string][] = []): Exchange {
  const own: [string, string][] =
    objective === "" ? [] : [["x-llm-d-inference-objective", objective]];
  return setup
    .open()
    .requestHeaders(post(CHAT, [...own, ...headers]))
    .requestBody(chatBody(), true);
}

/** A setup whose pool is full, and a counter of outcomes from now on. */
function fullSetup(options: Options = {}) {
  const setup = setupOf(options);
  scrapeAll(setup, FULL);
  const before = setup.total("flowRequests");
  const outcomes = (outcome: string) => setup.total("flowRequests", `outcome="${outcome}"`);
  const had = new Map(OUTCOMES.map((outcome) => [outcome, outcomes(outcome)]));
  return {
    setup,
    finished: () => setup.total("flowRequests") - before,
    outcomesOf: (outcome: string) => outcomes(outcome) - had.get(outcome)!,
  };
}

const OUTCOMES = [
  "Dispatched",
  "RejectedCapacity",
  "RejectedNoEndpoints",
  "RejectedOther",
  "EvictedTTL",
  "EvictedNoEndpoints",
  "EvictedContextCancelled",
  "EvictedOther",
];

/** Replies to a request that was sent on. */
const PASSED = ["requestHeaders", `requestBody ${chatBody().length}.`];

const reason = (value: string) => `x-llm-d-request-dropped-reason: ${value}`;

describe("what clients are told", () => {
  test("RejectedCapacity: 429, saturated, and when to ask again", () => {
    const { setup, outcomesOf } = fullSetup({ flowControl: { maxRequests: 1 } });
    const waiting = send(setup);
    expect(waiting.replies()).toEqual([]);
    expect(send(setup).rejection()).toMatchObject({
      http: 429,
      text: "inference error: ResourceExhausted - request rejected: the queue is at capacity",
      // Nothing has been dispatched: nobody knows how fast the queue goes, so it is the longest.
      dropped: [reason("rejected-saturated"), "retry-after: 30"],
      details: "rejected-saturated",
    });
    expect(outcomesOf("RejectedCapacity")).toBe(1);
    expect(setup.flow!.queued).toBe(1);
    waiting.cancel();
  });

  test("RejectedNoEndpoints: 503", () => {
    const { setup, outcomesOf } = fullSetup({ endpoints: 0, flowControl: { maxRequests: 1 } });
    send(setup);
    expect(send(setup).rejection()).toMatchObject({
      http: 503,
      dropped: [reason("rejected-no-endpoints"), "retry-after: 30"],
    });
    expect(outcomesOf("RejectedNoEndpoints")).toBe(1);
  });

  test("EvictedTTL: 429 at the moment the budget is spent", () => {
    const { setup, outcomesOf } = fullSetup({ flowControl: { defaultRequestTTL: "2s" } });
    const exchange = send(setup);
    setup.timers.advance(1999);
    expect(exchange.replies()).toEqual([]);
    setup.timers.advance(1);
    expect(exchange.rejection()).toMatchObject({
      http: 429,
      dropped: [reason("rejected-ttl-expired"), "retry-after: 1"],
    });
    expect(outcomesOf("EvictedTTL")).toBe(1);
    expect(exchange.ended).toBe("ok");
  });

  test("EvictedTTL: sooner when the client says how long it wants to wait, never later", () => {
    const { setup } = fullSetup({
      flowControl: { defaultRequestTTL: "2s" },
      ingress: { pluginHeaders: [QUEUE_TTL_HEADER] },
    });
    const hasty = send(setup, "", [[QUEUE_TTL_HEADER, "500"]]);
    const patient = send(setup, "", [[QUEUE_TTL_HEADER, "60000"]]);
    setup.timers.advance(500);
    expect(hasty.rejection().details).toBe("rejected-ttl-expired");
    setup.timers.advance(1499);
    expect(patient.replies()).toEqual([]);
    setup.timers.advance(1);
    expect(patient.rejection().details).toBe("rejected-ttl-expired");
  });

  test("EvictedNoEndpoints: 503 when the pool stayed empty", () => {
    const { setup, outcomesOf } = fullSetup({
      endpoints: 0,
      flowControl: { defaultRequestTTL: "9s", noEndpointRequestTTL: "2s" },
    });
    const exchange = send(setup);
    setup.timers.advance(2000);
    expect(exchange.rejection()).toMatchObject({
      http: 503,
      dropped: [reason("rejected-no-endpoints"), "retry-after: 1"],
    });
    expect(outcomesOf("EvictedNoEndpoints")).toBe(1);
  });

  test("EvictedContextCancelled: nobody is there to be told; all is given back at once", () => {
    const { setup, outcomesOf } = fullSetup();
    const exchange = send(setup);
    expect(setup.flow!.queued).toBe(1);
    exchange.cancel();
    expect(setup.flow!.queued).toBe(0);
    expect(exchange.replies()).toEqual([]);
    expect(exchange.stream.lateCalls).toBe(0);
    expect(outcomesOf("EvictedContextCancelled")).toBe(1);
    expect(setup.errorsOf("ContextCancelled")).toBe(1);
    expect(setup.held()).toEqual(NOTHING_HELD);
    expect(setup.timers.pending).toBe(0);
  });

  test("a shutdown: 503 to all that wait, and to all that come", () => {
    const { setup, outcomesOf } = fullSetup();
    const waiting = send(setup);
    setup.flow!.close();
    setup.timers.settle();
    const late = send(setup);
    for (const exchange of [waiting, late]) {
      expect(exchange.rejection()).toMatchObject({
        http: 503,
        dropped: [reason("rejected-shutting-down"), "retry-after: 1"],
      });
    }
    expect(outcomesOf("EvictedOther")).toBe(1);
    expect(outcomesOf("RejectedOther")).toBe(1);
  });

  test("the end of the time to finish: 503 from the stream itself", () => {
    const { setup } = fullSetup();
    const waiting = send(setup).expire();
    expect(waiting.rejection()).toMatchObject({ http: 503, details: "rejected-shutting-down" });
    expect(setup.flow!.queued).toBe(0);
  });

  test("a fault that leaves not even a plain pick: 500, no reason", () => {
    const { setup } = fullSetup();
    scrapeAll(setup, FREE);
    const broken = (): never => {
      throw new Error("broken");
    };
    setup.scheduler.schedule = broken;
    setup.scheduler.scheduleFallback = broken;
    expect(send(setup).rejection()).toMatchObject({ http: 500, dropped: [] });
    expect(setup.faults.length).toBeGreaterThan(0);
  });

  test("a hint that names nobody: 503, though others have room", () => {
    const setup = setupOf();
    scrapeAll(setup, FREE);
    const exchange = setup
      .open()
      .requestHeaders(post(CHAT), false, subsetOf(["10.9.9.9:1"]))
      .requestBody(chatBody(), true);
    expect(exchange.rejection()).toMatchObject({
      http: 503,
      dropped: [reason("rejected-no-endpoints"), "retry-after: 1"],
    });
  });

  test("an admitter's refusal: 429, gate on or off", () => {
    const plugins = [{ type: "probabilistic-admitter", parameters: { k: 1e9, power: 0.001 } }];
    const facts = { waiting: 1 };
    const gateOff = ingressSetup({
      document: { ...defaultDocument, plugins: [...defaultDocument.plugins, ...plugins] },
      priorities: PRIORITIES,
    });
    for (const setup of [setupOf({ plugins }), gateOff]) {
      scrapeAll(setup, facts);
      expect(send(setup, "batch").rejection()).toMatchObject({
        http: 429,
        text: "inference error: ResourceExhausted - request cannot be admitted",
        dropped: [reason("rejected-saturated"), "retry-after: 1"],
      });
      expect(send(setup).pick().destination).not.toBe("");
    }
  });

  test("with the gate off a full pool sheds what is sheddable: 429 with its reason; others go", () => {
    const setup = ingressSetup({ priorities: PRIORITIES });
    scrapeAll(setup, FULL);
    expect(send(setup, "batch").rejection()).toMatchObject({
      http: 429,
      text: "inference error: ResourceExhausted - system saturated, sheddable request dropped",
      dropped: [reason("rejected-saturated"), "retry-after: 1"],
    });
    expect(send(setup).pick().destination).not.toBe("");
    scrapeAll(setup, FREE);
    expect(send(setup, "batch").pick().destination).not.toBe("");
  });

  test("with the gate off an empty pool is full for what is sheddable, and empty for others", () => {
    const setup = ingressSetup({ priorities: PRIORITIES, endpoints: 0 });
    expect(send(setup, "batch").rejection().http).toBe(429);
    expect(send(setup).rejection().http).toBe(503);
  });
});

describe("a request that waits", () => {
  test("goes when a scrape shows room, and is counted with its wait", () => {
    const { setup, outcomesOf } = fullSetup();
    const exchange = send(setup);
    setup.timers.advance(40);
    expect(exchange.replies()).toEqual([]);
    scrapeAll(setup, FREE);
    setup.timers.advance(5);
    expect(exchange.shape()).toEqual(PASSED);
    expect(outcomesOf("Dispatched")).toBe(1);
    exchange.responseHeaders().responseBody("x", true);
    exchange.cancel();
    expect(setup.held()).toEqual(NOTHING_HELD);
    expect(setup.timers.pending).toBe(0);
  });

  test("goes when an endpoint comes to an empty pool", () => {
    const setup = setupOf({ endpoints: 0 });
    const exchange = send(setup);
    setup.timers.advance(1000);
    expect(exchange.replies()).toEqual([]);
    setup.pool.upsert({
      id: "default/new",
      name: "new",
      namespace: "default",
      address: "10.0.0.9",
      port: 8000,
      labels: new Map(),
      rankIndex: 0,
    });
    setup.scrape(setup.pool.slotOf("default/new"), FREE);
    setup.timers.advance(5);
    expect(exchange.pick().destination).toBe("10.0.0.9:8000");
  });

  test("goes when another one ends, in a turn of its own", () => {
    const detector = { type: "concurrency-detector", parameters: { maxConcurrency: 1 } };
    const saturationDetector = { pluginRef: "concurrency-detector" };
    const own = setupOf({
      endpoints: 1,
      plugins: [detector],
      flowControl: { saturationDetector },
    });
    const first = send(own);
    const second = send(own);
    expect(first.pick().destination).toBe("10.0.0.0:8000");
    expect(second.replies()).toEqual([]);
    first.responseHeaders().responseBody("x", true);
    expect(second.replies()).toEqual([]);
    own.timers.settle();
    expect(second.pick().destination).toBe("10.0.0.0:8000");
    // The replies of the two have not mixed.
    expect(first.shape().at(-1)).toBe("responseBody 1.");
  });

  test("goes by priority, then by arrival", () => {
    const setup = setupOf({
      endpoints: 1,
      flowControl: { priorityBands: [{ priority: 10 }, { priority: -1 }] },
    });
    scrapeAll(setup, FULL);
    const order = ["batch", "", "urgent", "urgent", ""].map((objective) => send(setup, objective));
    const gone: number[] = [];
    for (let round = 0; round < order.length; round++) {
      setup.scrape(0, { waiting: 4 });
      setup.timers.advance(50);
      order.forEach((exchange, i) => {
        if (!gone.includes(i) && exchange.replies().length > 0) gone.push(i);
      });
    }
    expect(gone).toEqual([2, 3, 1, 4, 0]);
  });

  test("whose client leaves between the pick and its telling gives the flight back", () => {
    const { setup } = fullSetup();
    const exchange = send(setup);
    scrapeAll(setup, FREE);
    // The next arrival lets it go; it is told in the next turn.
    const other = send(setup);
    expect(setup.scheduler.openFlights).toBe(2);
    exchange.cancel();
    setup.timers.settle();
    expect(exchange.replies()).toEqual([]);
    expect(setup.scheduler.openFlights).toBe(1);
    other.cancel();
    expect(setup.held()).toEqual(NOTHING_HELD);
  });

  test("has the scores of its own pick told, whatever was picked since", () => {
    const setup = setupOf({ ingress: { emitScores: true } });
    scrapeAll(setup, FULL);
    const exchange = send(setup);
    setup.scrape(0, { waiting: 0, kvUtilization: 0 });
    setup.scrape(1, { waiting: 4, kvUtilization: 0.5 });
    const other = send(setup);
    setup.timers.settle();
    const scoresOf = (each: Exchange) => each.pick().lb["x-gateway-destination-endpoint-scores"];
    expect(Object.keys(scoresOf(exchange) as object).length).toBe(2);
    expect(Object.keys(scoresOf(other) as object).length).toBe(2);
  });
});

test("a request waits when its own endpoints are full; others pass it, and it them", () => {
  const detector = { type: "utilization-detector", parameters: { aggregation: "slots" } };
  const profile = defaultDocument.schedulingProfiles[0].plugins;
  const document = {
    ...documentOf({}, [detector]),
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: detector.type }, ...profile] }],
  };
  const setup = ingressSetup({ document });
  setup.scrape(0, FULL);
  setup.scrape(1, FREE);
  const bound = setup
    .open()
    .requestHeaders(post(CHAT), false, subsetOf(["10.0.0.0:8000"]))
    .requestBody(chatBody(), true);
  const free = send(setup);
  setup.timers.settle();
  expect(bound.replies()).toEqual([]);
  expect(free.pick().destination).toBe("10.0.0.1:8000");
  setup.scrape(0, FREE);
  setup.timers.advance(5);
  expect(bound.pick().destination).toBe("10.0.0.0:8000");
});

test("with the gate off filters that leave nobody are a 429, not a wait", () => {
  const detector = { type: "concurrency-detector", parameters: { maxConcurrency: 1 } };
  const { plugins, schedulingProfiles } = defaultDocument;
  const setup = ingressSetup({
    endpoints: 1,
    document: {
      plugins: [...plugins, detector],
      schedulingProfiles: [
        {
          name: "default",
          plugins: [{ pluginRef: detector.type }, ...schedulingProfiles[0].plugins],
        },
      ],
    },
  });
  expect(send(setup).pick().destination).toBe("10.0.0.0:8000");
  expect(send(setup).rejection()).toMatchObject({
    http: 429,
    dropped: [reason("rejected-saturated"), "retry-after: 1"],
  });
});

test("what an answer tells of its tokens reaches the fairness policy, whether others wait or not", () => {
  const settings = schedulerOf(documentOf({}, [])).flowControl!;
  const told: (TokenUsage | null)[] = [];
  const fairness = {
    band: () => {
      const band = settings.defaultBand.fairness.band();
      const settle = band.settle.bind(band);
      band.settle = (flow, item, charged, usage, nowMs) => {
        told.push(usage);
        settle(flow, item, charged, usage, nowMs);
      };
      return band;
    },
  };
  const defaultBand = { ...settings.defaultBand, fairness };
  const { flow, scheduler, ...setup } = setupOf({
    flow: { settings: { ...settings, defaultBand } },
  });
  scrapeAll({ flow, scheduler, ...setup }, FREE);
  const flights: Flight[] = [];
  const submit = () =>
    flow!.submit(requestOf(scheduler, [1]), null, {
      onOutcome: (outcome) => {
        if (outcome.kind === "picked") flights.push(outcome);
      },
      onEvict: () => {},
    });
  submit();
  submit();
  submit();
  const usage = { uncachedPromptTokens: 3, outputTokens: 7 };
  flow!.complete(flights[0]!, "natural", usage);
  flow!.complete(flights[1]!, "error");
  expect(told).toEqual([usage, null]);
  scrapeAll({ flow, scheduler, ...setup }, FULL);
  submit();
  expect(flow!.queued).toBe(1);
  flow!.complete(flights[2]!, "natural", usage);
  flow!.complete(flights[2]!, "natural", usage);
  expect(told).toEqual([usage, null, usage]);
});

test("a priority that is asked for gets a band of its own", () => {
  const { setup } = fullSetup();
  const bands = () => setup.flow!.stats().bands.map(({ priority }) => priority);
  expect(bands()).toEqual([0]);
  setup.flow!.setPriorities([10, -1]);
  expect(bands()).toEqual([10, 0, -1]);
  send(setup, "urgent");
  expect(setup.flow!.stats().bands.map(({ requests }) => requests)).toEqual([1, 0, 0]);
  setup.flow!.setPriorities([]);
  expect(bands()).toEqual([10, 0]); // the one that something waits in stays until it is empty
});

test("whatever clients, engines and time do: what waits is what the gauges tell, and all comes back", () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ act: fc.constant("send" as const), n: fc.nat(2) }) },
    { weight: 3, arbitrary: fc.record({ act: fc.constant("leave" as const), n: fc.nat(30) }) },
    { weight: 3, arbitrary: fc.record({ act: fc.constant("answer" as const), n: fc.nat(30) }) },
    { weight: 2, arbitrary: fc.record({ act: fc.constant("scrape" as const), n: fc.nat(6) }) },
    { weight: 2, arbitrary: fc.record({ act: fc.constant("wait" as const), n: fc.nat(700) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("turn" as const), n: fc.constant(0) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const setup = setupOf({
        flowControl: {
          maxRequests: 8,
          defaultRequestTTL: "2s",
          enableEviction: true,
          priorityBands: [{ priority: 10 }, { priority: -1 }],
        },
      });
      scrapeAll(setup, FREE);
      const open: Exchange[] = [];
      for (const { act, n } of steps) {
        const exchange = open[n % Math.max(1, open.length)];
        if (act === "send") open.push(send(setup, ["", "batch", "urgent"][n]));
        else if (act === "scrape") scrapeAll(setup, { waiting: n });
        else if (act === "wait") setup.timers.advance(n);
        else if (act === "turn") setup.timers.turn();
        else if (exchange === undefined) continue;
        else if (act === "leave") open.splice(open.indexOf(exchange), 1)[0]!.cancel();
        else if (exchange.replies().length > 0 && exchange.ended === "open") {
          exchange.responseHeaders().responseBody("x", true);
        }
        setup.collectFlow();
        expect(setup.total("flowQueueSize")).toBe(setup.flow!.queued);
      }
      setup.timers.settle();
      const waiting = open.filter((exchange) => exchange.replies().length === 0);
      expect(setup.flow!.queued).toBe(waiting.length);
      for (const exchange of open) {
        exchange.cancel();
        expect(exchange.stream.lateCalls).toBe(0);
      }
      setup.timers.settle();
      expect(setup.held()).toEqual(NOTHING_HELD);
      expect(setup.flow!.queued).toBe(0);
      expect(setup.timers.pending).toBe(0);
      expect(setup.faults).toEqual([]);
    }),
  );
});

describe("cost", () => {
  test("with nothing queued nothing wakes, however many requests have come and gone", () => {
    const setup = setupOf();
    scrapeAll(setup, FREE);
    for (let i = 0; i < 100; i++) {
      const exchange = send(setup);
      exchange.responseHeaders().responseBody("x", true);
      exchange.cancel();
      scrapeAll(setup, FREE);
    }
    expect(setup.timers.pending).toBe(0);
    setup.timers.advance(60_000);
    expect(setup.timers.fired).toBe(0);
  });

  test("a storm of cancellations leaves nothing, and the gauges follow at each step", () => {
    const { setup } = fullSetup({ flowControl: { priorityBands: [{ priority: 10 }] } });
    const exchanges = Array.from({ length: 500 }, (_, i) =>
      send(setup, i % 2 ? "urgent" : "", [["x-llm-d-inference-fairness-id", `t${i % 7}`]]),
    );
    for (const [i, exchange] of exchanges.entries()) {
      if (i % 50 === 0) {
        setup.collectFlow();
        expect(setup.total("flowQueueSize")).toBe(500 - i);
        expect(setup.total("flowQueueBytes")).toBe((500 - i) * chatBody().length);
        expect(setup.flow!.queued).toBe(500 - i);
      }
      exchange.cancel();
    }
    setup.collectFlow();
    expect(setup.total("flowQueueSize")).toBe(0);
    expect(setup.flow!.queued).toBe(0);
    expect(setup.held()).toEqual(NOTHING_HELD);
    expect(setup.timers.pending).toBe(0);
  });
});

describe("between two scrapes", () => {
  test("a burst fills the engines' queues to the threshold, and the rest waits in order", () => {
    // One prompt for all: its cache draws them to one endpoint, and the detector as a filter keeps them from it.
    const profile = defaultDocument.schedulingProfiles[0].plugins;
    const document = {
      ...documentOf({}, [{ type: "utilization-detector" }]),
      schedulingProfiles: [
        { name: "default", plugins: [{ pluginRef: "utilization-detector" }, ...profile] },
      ],
    };
    const setup = ingressSetup({ endpoints: 4, document });
    scrapeAll(setup, FREE);
    const exchanges = Array.from({ length: 1000 }, () => send(setup));
    setup.timers.settle();
    const sent = exchanges.filter((exchange) => exchange.replies().length > 0);
    const perEndpoint = new Map<string, number>();
    for (const exchange of sent) {
      const { destination } = exchange.pick();
      perEndpoint.set(destination, (perEndpoint.get(destination) ?? 0) + 1);
    }
    expect([...perEndpoint.values()]).toEqual([5, 5, 5, 5]);
    expect(sent).toEqual(exchanges.slice(0, sent.length));
    expect(setup.flow!.queued).toBe(1000 - sent.length);
    // The engines have begun with half of them when the next scrapes start.
    setup.clock.advance(50);
    for (let slot = 0; slot < 4; slot++) setup.scrape(slot, { waiting: 2 });
    setup.timers.advance(5);
    const later = exchanges.filter((exchange) => exchange.replies().length > 0);
    expect(later.length - sent.length).toBe(4 * 3);
    expect(later).toEqual(exchanges.slice(0, later.length));
  });

  test("a pool of one whose scrape hangs for a second goes on by its last value", () => {
    const setup = setupOf({ endpoints: 1 });
    setup.scrape(0, FREE);
    for (let atMs = 0; atMs < 1000; atMs += 50) {
      const exchange = send(setup);
      setup.timers.advance(50);
      expect(exchange.replies().length, `at ${atMs} ms`).toBeGreaterThan(0);
      exchange.responseHeaders().responseBody("x", true);
      exchange.cancel();
    }
  });
});

describe("eviction", () => {
  const document = documentOf(
    {
      enableEviction: true,
      saturationDetector: { pluginRef: "concurrency-detector" },
      priorityBands: [{ priority: 10 }, { priority: -1 }],
    },
    [{ type: "concurrency-detector", parameters: { maxConcurrency: 2 } }],
  );
  const setup = () => ingressSetup({ document, endpoints: 1, priorities: PRIORITIES });

  test("ends the newest sheddable request with 429, and its place goes to the urgent one", () => {
    const own = setup();
    const older = send(own, "batch");
    const newer = send(own, "batch");
    const urgent = send(own, "urgent");
    expect(urgent.replies()).toEqual([]);
    own.timers.settle();
    expect(newer.rejection()).toMatchObject({
      http: 429,
      text: "inference error: ResourceExhausted - request evicted by flow control",
      dropped: [reason("evicted"), "retry-after: 1"],
    });
    expect(newer.ended).toBe("ok");
    expect(older.shape()).toEqual(PASSED);
    expect(urgent.pick().destination).toBe("10.0.0.0:8000");
  });

  test("of an answer that has begun is told all the same: the gateway breaks it off", () => {
    const own = setup();
    send(own, "batch").responseHeaders();
    const newer = send(own, "batch").responseHeaders();
    newer.responseBody("some");
    send(own, "urgent");
    own.timers.settle();
    expect(newer.rejection()).toMatchObject({ http: 429, details: "evicted" });
    expect(newer.ended).toBe("ok");
  });

  test("leaves an answer alone that is complete by then, and the place is free anyway", () => {
    const own = setup();
    send(own, "batch");
    const newer = send(own, "batch");
    const urgent = send(own, "urgent");
    newer.responseHeaders().responseBody("all", true); // before the victim is told
    own.timers.settle();
    expect(newer.shape().at(-1)).toBe("responseBody 3.");
    expect(newer.ended).toBe("open");
    expect(urgent.pick().destination).toBe("10.0.0.0:8000");
  });

  test("of a client that leaves before it is told does nothing more", () => {
    const own = setup();
    const older = send(own, "batch");
    const newer = send(own, "batch");
    const urgent = send(own, "urgent");
    newer.cancel();
    own.timers.settle();
    expect(newer.stream.lateCalls).toBe(0);
    expect(urgent.pick().destination).toBe("10.0.0.0:8000");
    for (const exchange of [older, urgent]) exchange.cancel();
    expect(own.held()).toEqual(NOTHING_HELD);
  });

  test("asks no more than two at a time, and none that is not sheddable", () => {
    const own = setup();
    const ordinary = [send(own), send(own)];
    const urgent = send(own, "urgent");
    own.timers.advance(1000);
    for (const exchange of ordinary) expect(exchange.ended).toBe("open");
    expect(urgent.replies()).toEqual([]);
  });
});

test("that the metrics of all endpoints are stale while requests wait is told", () => {
  const told: number[] = [];
  const setup = setupOf({ flow: { onAllStale: (endpoints) => told.push(endpoints) } });
  scrapeAll(setup, FREE);
  setup.clock.advance(500);
  const exchange = send(setup);
  setup.timers.advance(10);
  expect(exchange.replies()).toEqual([]);
  expect(told).toEqual([2]);
  setup.timers.advance(2000);
  expect(told.length).toBe(3);
  scrapeAll(setup, FREE);
  setup.timers.advance(5);
  expect(exchange.pick().destination).not.toBe("");
});
