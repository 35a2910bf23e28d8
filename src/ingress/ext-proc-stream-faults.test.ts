/**
 * Exchanges that do not go well: refusals, limits, broken messages, faults of ours, and every way to end early. Whatever
 * happens, what was held is given back once.
 */
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../scheduler/index.ts";
import {
  CHAT,
  chatBody,
  type Exchange,
  frameOf,
  type IngressSetupOptions,
  ingressSetup,
  Mode,
  NOTHING_HELD,
  post,
  subsetOf,
  watchedSetup,
} from "../../test/support/ingress-exchange.ts";
import { parserLimits } from "../request/parsers/json-facts.ts";
import type { Parser } from "../request/parsers/parser.ts";
import { ParserTable } from "../request/parsers/registry.ts";
import { requestHeaderLimits } from "./request-headers.ts";
import type { OutcomeSink } from "./scheduler-port.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A body this long is looked at over several turns. */
async function longWorkDone(exchange: Exchange): Promise<void> {
  while (exchange.stream.segments.length === 0) await setImmediate();
}

describe("requests that are refused", () => {
  const refusals: readonly (readonly [
    what: string,
    options: IngressSetupOptions,
    play: (exchange: Exchange) => void,
    http: number,
    text: RegExp,
    dropped: string,
  ])[] = [
    [
      "broken JSON",
      {},
      (e) => e.requestHeaders(post(CHAT)).requestBody('{"model":', true),
      400,
      /^inference error: BadRequest - .*unexpected end of JSON/,
      "",
    ],
    [
      "an empty body",
      {},
      (e) => e.requestHeaders(post(CHAT)).requestBody("", true),
      400,
      /^inference error: BadRequest - /,
      "",
    ],
    [
      "trailers in place of a body",
      {},
      (e) => e.requestHeaders(post(CHAT)).requestTrailers(),
      400,
      /^inference error: BadRequest - /,
      "",
    ],
    [
      "trailers in place of a body that the gateway was to hold",
      {},
      (e) => e.begin(post("/v1/files"), Mode.buffered).requestTrailers(),
      400,
      /BadRequest - request has trailers but no body/,
      "",
    ],
    [
      "no model",
      {},
      (e) => e.requestHeaders(post("/v1/completions")).requestBody('{"prompt":"p"}', true),
      400,
      /^inference error: BadRequest - model not found in request body$/,
      "",
    ],
    [
      "a path without a parser",
      { hasPassthrough: false },
      (e) => e.requestHeaders(post("/v1/files?x=1")),
      400,
      /no parser registered matching path suffix: \/v1\/files\?x=1$/,
      "",
    ],
    [
      "a path without a parser, whose body the gateway holds",
      { hasPassthrough: false },
      (e) => e.begin(post("/v1/files"), Mode.buffered).requestBody("x", true),
      400,
      /no parser registered/,
      "",
    ],
    [
      "a model name of the header that is longer than those of bodies",
      {},
      (e) =>
        e
          .requestHeaders(
            post(CHAT, [
              ["x-llm-d-model-name-rewrite", "é".repeat(parserLimits.modelNameBytesMax / 2 + 1)],
            ]),
          )
          .requestBody(chatBody(), true),
      400,
      /x-llm-d-model-name-rewrite: /,
      "",
    ],
    [
      "a body above the limit",
      { limits: { requestBodyBytesMax: 1000 } },
      (e) =>
        e.requestHeaders(post(CHAT)).requestBody(Buffer.alloc(600)).requestBody(Buffer.alloc(401)),
      413,
      /^inference error: PayloadTooLarge - .*1000 bytes/,
      "",
    ],
    [
      "more bodies than the budget",
      { limits: { bodyBytesInFlightMax: 1000 } },
      (e) => e.requestHeaders(post(CHAT)).requestBody(Buffer.alloc(1001)),
      503,
      /^inference error: ServiceUnavailable - /,
      "rejected-saturated",
    ],
    [
      "an empty pool",
      { endpoints: 0 },
      (e) => e.requestHeaders(post(CHAT)).requestBody(chatBody(), true),
      503,
      /failed to find endpoint candidates for serving the request$/,
      "rejected-no-endpoints",
    ],
    [
      "an empty pool, on headers alone",
      { endpoints: 0 },
      (e) => e.requestHeaders([[":method", "GET"]], true),
      503,
      /failed to find endpoint candidates/,
      "rejected-no-endpoints",
    ],
    [
      "a hint that names nobody",
      {},
      (e) => e.requestHeaders(post(CHAT), true, subsetOf(["10.7.7.7:1"])),
      503,
      /failed to find endpoint candidates/,
      "rejected-no-endpoints",
    ],
  ];

  for (const [what, options, play, http, text, dropped] of refusals) {
    test(`${what}: ${http}, and not a word after it`, () => {
      const { open, held } = ingressSetup(options);
      const exchange = open();
      play(exchange);
      const rejection = exchange.rejection();
      expect(rejection.http).toBe(http);
      expect(rejection.text).toMatch(text);
      expect(rejection.dropped).toEqual(
        dropped === "" ? [] : [`x-llm-d-request-dropped-reason: ${dropped}`],
      );
      expect(rejection.details).toBe(dropped);
      expect(rejection.grpc).toBeNull();
      expect(exchange.ended).toBe("ok");
      expect(held()).toEqual({ ...NOTHING_HELD, openStreams: 1 });
      const said = exchange.shape();
      exchange.requestBody(chatBody(), true).requestTrailers().responseHeaders().halfClose();
      expect(exchange.shape()).toEqual(said);
      exchange.cancel();
      expect(exchange.stream.lateCalls).toBe(0);
      expect(held()).toEqual(NOTHING_HELD);
    });
  }

  test("gRPC clients get a gRPC status too", () => {
    const { open } = ingressSetup({ endpoints: 0 });
    for (const type of ["application/grpc", "Application/gRPC+proto"]) {
      const exchange = open().requestHeaders(post("/a.B/C", [["content-type", type]]));
      exchange.requestBody("x", true);
      expect(exchange.rejection()).toMatchObject({ http: 503, grpc: 14 });
    }
  });

  test("each is counted under its class", () => {
    const { open, errorsOf } = ingressSetup({ endpoints: 0 });
    open().requestHeaders(post(CHAT)).requestBody("{", true);
    open().requestHeaders(post(CHAT), true);
    expect(errorsOf("BadRequest")).toBe(1);
    expect(errorsOf("ServiceUnavailable")).toBe(1);
  });
});

describe("large things", () => {
  test("a body of 20 MB goes back untouched", async () => {
    const { open, held } = ingressSetup();
    const exchange = open().requestHeaders(post(CHAT));
    const body = chatBody(20_000_000);
    for (let at = 0; at < body.length; at += 48 * KIB) {
      exchange.requestBody(body.subarray(at, at + 48 * KIB));
    }
    exchange.requestBody("", true);
    await longWorkDone(exchange);
    expect(exchange.body("requestBody").equals(body)).toBe(true);
    expect(exchange.pick().set["content-length"]).toBe(String(body.length));
    expect(held().bodyBytes).toBe(0);
  });

  test("a short request is answered before the long one that came first", async () => {
    const { open } = ingressSetup();
    const long = open()
      .requestHeaders(post(CHAT))
      .requestBody(chatBody(5 * MIB), true);
    const short = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    expect(short.pick().destination).not.toBe("");
    expect(long.replies()).toEqual([]);
    await longWorkDone(long);
    expect(long.pick().destination).not.toBe("");
  });

  test("a long prompt is found in the cache that it has filled, however it was cut", async () => {
    const { open, context } = ingressSetup();
    const hashes: unknown[] = [];
    const { port } = context;
    const submit = port.submit.bind(port);
    port.submit = (request, subset, sink) => {
      hashes.push(request.blockHashes);
      submit(request, subset, sink);
    };
    const body = chatBody(2 * MIB);
    const whole = open().requestHeaders(post(CHAT)).requestBody(body, true);
    await longWorkDone(whole);
    const cut = open().requestHeaders(post(CHAT));
    cut.requestBody(body.subarray(0, MIB)).requestBody(body.subarray(MIB), true);
    await longWorkDone(cut);
    expect(hashes[1]).toEqual(hashes[0]);
  });

  test.each([0, 1, 2, 3, 4])(
    "one that is cancelled after %d turns of its work leaves nothing",
    async (turns) => {
      const { open, held } = ingressSetup();
      const exchange = open()
        .requestHeaders(post(CHAT))
        .requestBody(chatBody(5 * MIB), true);
      for (let i = 0; i < turns; i++) await setImmediate();
      exchange.cancel();
      await setImmediate();
      await setImmediate();
      expect(held()).toEqual(NOTHING_HELD);
      expect(exchange.stream.lateCalls).toBe(0);
    },
  );

  test("a long body without a model is refused", async () => {
    const { open, held } = ingressSetup();
    const body = `{"prompt":"${"x".repeat(2 * MIB)}"}`;
    const exchange = open().requestHeaders(post("/v1/completions")).requestBody(body, true);
    await longWorkDone(exchange);
    expect(exchange.rejection()).toMatchObject({
      http: 400,
      text: expect.stringMatching(/model not found/),
    });
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("a long one whose pick throws is refused, and the next is served", async () => {
    let isBroken = true;
    const { open, held, faults } = ingressSetup({
      wrapPort: (port) => ({
        ...port,
        hashPlans: port.hashPlans,
        submit: (...args) => {
          if (isBroken) throw new Error("broken");
          port.submit(...args);
        },
        complete: (...args) => port.complete(...args),
      }),
    });
    const first = open()
      .requestHeaders(post(CHAT))
      .requestBody(chatBody(2 * MIB), true);
    await longWorkDone(first);
    expect(first.rejection()).toMatchObject({ http: 500 });
    expect(faults).toHaveLength(1);
    isBroken = false;
    const second = open()
      .requestHeaders(post(CHAT))
      .requestBody(chatBody(2 * MIB), true);
    await longWorkDone(second);
    expect(second.pick().destination).not.toBe("");
    first.cancel();
    second.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("100,000 headers are refused with 431", () => {
    const { open, held } = ingressSetup();
    const headers = Array.from({ length: 100_000 }, (_, i) => [`x-${i}`, "v"] as const);
    const exchange = open().requestHeaders(headers);
    expect(exchange.rejection()).toMatchObject({ http: 431 });
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("so many in the answer end the exchange: the request is not to blame", () => {
    const { open, held } = ingressSetup();
    const headers = Array.from({ length: 2000 }, (_, i) => [`x-${i}`, "v"] as const);
    const exchange = open().requestHeaders(post(CHAT), true).responseHeaders(headers);
    expect(exchange.shape()).toEqual(["requestHeaders"]);
    expect(exchange.ended).toMatchObject({ status: 8 });
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("ids and names that outlive their message are cut", () => {
    const { open, context } = ingressSetup();
    const seen: string[] = [];
    const { port } = context;
    const submit = port.submit.bind(port);
    port.submit = (request, subset, sink) => {
      seen.push(request.id, request.objective, request.fairnessId);
      submit(request, subset, sink);
    };
    const long = "i".repeat(60_000);
    open().requestHeaders(
      [
        ["x-request-id", long],
        ["x-gateway-inference-objective", long],
        ["x-llm-d-inference-fairness-id", long],
      ],
      true,
    );
    expect(seen.map((text) => text.length)).toEqual(
      Array(3).fill(requestHeaderLimits.keptCharsMax),
    );
  });

  test("messages that have not all come count against the budget, and are given back", () => {
    const { open, context, held } = ingressSetup({ limits: { bodyBytesInFlightMax: 100 * KIB } });
    const first = open().begin(post(CHAT), Mode.buffered);
    const frame = frameOf(Buffer.alloc(90 * KIB));
    first.bytes(frame.subarray(0, 60 * KIB));
    expect(context.bodyBudget.bytes).toBe(60 * KIB);
    const second = open()
      .begin(post(CHAT), Mode.buffered)
      .bytes(frame.subarray(0, 60 * KIB));
    expect(second.rejection()).toMatchObject({ http: 503 });
    expect(context.bodyBudget.bytes).toBe(60 * KIB);
    first.cancel();
    second.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("a message is not counted twice while it becomes a body", () => {
    const { open, context } = ingressSetup({ limits: { bodyBytesInFlightMax: 100 * KIB } });
    const exchange = open().begin(post("/v1/files"), Mode.fullDuplex);
    // HttpBody of 90 KiB, not the end of the stream, in two cuts.
    const body = Buffer.alloc(90 * KIB);
    const message = Buffer.concat([
      varintField(4, 4 + body.length),
      varintField(1, body.length),
      body,
    ]);
    const frame = frameOf(message);
    exchange.bytes(frame.subarray(0, 80 * KIB)).bytes(frame.subarray(80 * KIB));
    expect(exchange.replies()).toEqual([]);
    expect(context.bodyBudget.bytes).toBe(body.length);
    exchange.requestBody("", true);
    expect(exchange.body("requestBody").length).toBe(body.length);
    expect(context.bodyBudget.bytes).toBe(0);
  });

  test("chunks of an answer do not need the budget", () => {
    const { open } = ingressSetup({ limits: { bodyBytesInFlightMax: 10 * KIB } });
    const exchange = open().requestHeaders(post(CHAT), true).responseHeaders();
    const message = Buffer.concat([
      varintField(5, 4 + 90 * KIB),
      varintField(1, 90 * KIB),
      Buffer.alloc(90 * KIB),
    ]);
    const frame = frameOf(message);
    exchange.bytes(frame.subarray(0, 50 * KIB)).bytes(frame.subarray(50 * KIB));
    expect(exchange.body("responseBody").length).toBe(90 * KIB);
  });
});

/** Tag and length, three bytes of varint, of a length-delimited field. */
function varintField(field: number, length: number): Buffer {
  return Buffer.from([
    (field << 3) | 2,
    (length & 0x7f) | 0x80,
    ((length >> 7) & 0x7f) | 0x80,
    length >> 14,
  ]);
}

describe("broken input", () => {
  test("a message that is not protobuf ends the exchange", () => {
    const { open, held, context } = ingressSetup();
    const before = context.metrics.failedStreams;
    const exchange = open()
      .requestHeaders(post(CHAT))
      .bytes(frameOf(Buffer.from([0x12, 0x05, 0x0a])));
    expect(exchange.ended).toEqual({ status: 3, message: "malformed ProcessingRequest" });
    expect(context.metrics.failedStreams).toBe(before + 1);
    exchange.cancel();
    expect(exchange.stream.lateCalls).toBe(0);
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("a message above the limit ends the exchange before it has come", () => {
    const { open } = ingressSetup({ limits: { messageBytesMax: 1000 } });
    const exchange = open().bytes(Buffer.from([0, 0, 0, 3, 0xe9]));
    expect(exchange.ended).toEqual({ status: 8, message: "message is larger than 1000 bytes" });
    const prefix = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
    expect(open().bytes(prefix).ended).toMatchObject({ status: 8 });
  });

  test("a body or trailers without headers end the exchange with advice", () => {
    const { open } = ingressSetup();
    for (const exchange of [open().requestBody("x", true), open().requestTrailers()]) {
      expect(exchange.ended).toMatchObject({
        status: 9,
        message: expect.stringContaining("request_header_mode"),
      });
    }
  });
});

describe("the end of an exchange", () => {
  test("by half-close is an error while the answer has not ended, and no news after it", () => {
    const { open, port, held } = watchedSetup();
    const cut = open().requestHeaders(post(CHAT), true).responseHeaders().halfClose();
    expect(cut.ended).toBe("ok");
    expect(port.calls).toEqual(["error"]);
    const whole = open().requestHeaders(post(CHAT), true).responseHeaders([], true).halfClose();
    expect(port.calls).toEqual(["error", "natural"]);
    for (const exchange of [cut, whole]) {
      exchange.cancel();
      expect(exchange.stream.lateCalls).toBe(0);
    }
    expect(port.calls.length).toBe(2);
    expect(held()).toEqual(NOTHING_HELD);
  });

  const states: readonly (readonly [
    state: string,
    play: (e: Exchange) => void,
    calls: string[],
  ])[] = [
    ["at once", () => {}, []],
    ["within a prefix", (e) => e.bytes(Buffer.from([0, 0])), []],
    ["within a message", (e) => e.bytes(Buffer.from([0, 0, 1, 0, 0, 1, 2, 3])), []],
    ["while the body comes", (e) => e.requestHeaders(post(CHAT)).requestBody("{"), []],
    [
      "after the pick",
      (e) => e.requestHeaders(post(CHAT)).requestBody(chatBody(), true),
      ["client-disconnect"],
    ],
    [
      "while an upload streams",
      (e) => e.requestHeaders(post("/f")).requestBody(Buffer.alloc(MIB)),
      ["client-disconnect"],
    ],
    [
      "within the answer",
      (e) => e.requestHeaders(post(CHAT), true).responseHeaders().responseBody("x"),
      ["first", "client-disconnect"],
    ],
    [
      "after the answer",
      (e) => e.requestHeaders(post(CHAT), true).responseHeaders().responseBody("x", true),
      ["first", "natural"],
    ],
    ["after a refusal", (e) => e.requestHeaders(post(CHAT)).requestBody("{", true), []],
    ["after a failure", (e) => e.bytes(frameOf(Buffer.from([1]))), []],
  ];
  for (const [state, play, calls] of states) {
    test(`by reset ${state} gives everything back`, () => {
      const { open, port, held } = watchedSetup();
      const exchange = open();
      play(exchange);
      const said = exchange.shape();
      exchange.cancel();
      expect(port.calls).toEqual(calls);
      expect(exchange.shape()).toEqual(said);
      expect(exchange.stream.lateCalls).toBe(0);
      expect(held()).toEqual(NOTHING_HELD);
      // What is still on its way to us when the peer has gone is not listened to.
      exchange.bytes(Buffer.from([0, 0, 0, 0, 0])).halfClose();
      expect(exchange.stream.lateCalls).toBe(0);
    });
  }
});

describe("outcomes that come later", () => {
  test("leave with the stream that they are for", () => {
    const { open, port, context } = watchedSetup({ isHolding: true });
    const first = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    const second = open().requestHeaders(post(CHAT)).requestBody("x".repeat(9));
    expect(first.replies()).toEqual([]);
    port.settle();
    expect(first.shape()).toEqual(["requestHeaders", `requestBody ${chatBody().length}.`]);
    expect(context.reply.writer.length).toBe(0);
    expect(second.requestBody("", true).rejection().http).toBe(400);
  });

  test("may be refusals", () => {
    const { open, port } = watchedSetup({ isHolding: true, endpoints: 0 });
    const exchange = open().requestHeaders(post(CHAT), true);
    port.settle();
    expect(exchange.rejection().http).toBe(503);
    expect(exchange.ended).toBe("ok");
  });

  test("lose nothing of a body that goes on meanwhile", () => {
    const { open, port, held } = watchedSetup({ isHolding: true });
    const chunked = open().requestHeaders([
      [":path", "/"],
      ["upgrade", "x"],
    ]);
    chunked.requestBody("a").requestBody("b");
    port.settle();
    expect(chunked.shape()).toEqual(["requestHeaders", "requestBody 2+"]);
    expect(chunked.requestBody("c", true).body("requestBody").toString()).toBe("abc");
    const ended = open().requestHeaders([
      [":path", "/"],
      ["upgrade", "x"],
    ]);
    ended.requestBody("a").requestBody("b", true);
    const trailed = open().requestHeaders([
      [":path", "/"],
      ["upgrade", "x"],
    ]);
    trailed.requestBody("a").requestTrailers();
    port.settle();
    expect(ended.shape()).toEqual(["requestHeaders", "requestBody 2."]);
    expect(trailed.shape()).toEqual(["requestHeaders", "requestBody 1+", "requestTrailers"]);
    expect(held().bodyBytes).toBe(0);
  });

  test("bound what comes meanwhile", () => {
    const { open, port } = watchedSetup({ isHolding: true, limits: { requestBodyBytesMax: 10 } });
    const exchange = open().requestHeaders([
      [":path", "/"],
      ["upgrade", "x"],
    ]);
    expect(exchange.requestBody("0123456789a").rejection().http).toBe(413);
    port.settle();
    expect(exchange.shape()).toEqual(["immediateResponse"]);
  });

  test("are followed by a reply for each chunk of a gateway that streams without waiting", () => {
    const { open, port } = watchedSetup({ isHolding: true });
    const exchange = open()
      .begin(post(CHAT), Mode.streamed)
      .requestBody("a")
      .requestBody("b", true);
    expect(exchange.replies()).toEqual([]);
    port.settle();
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody", "requestBody"]);
    const trailed = open().begin(post(CHAT), Mode.streamed).requestBody("a").requestTrailers();
    port.settle();
    expect(trailed.shape()).toEqual(["requestHeaders", "requestBody", "requestTrailers"]);
  });

  test("after the client has gone are given back at once", () => {
    for (const leave of ["cancel", "halfClose"] as const) {
      const { open, port, held } = watchedSetup({ isHolding: true });
      const exchange = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
      exchange[leave]();
      expect(held().bodyBytes).toBe(0);
      port.settle();
      expect(port.calls).toEqual(["client-disconnect"]);
      expect(exchange.replies()).toEqual([]);
      if (leave === "halfClose") exchange.cancel();
      expect(held()).toEqual(NOTHING_HELD);
    }
  });
});

describe("faults of ours", () => {
  const fault = new Error("fault");
  const throws = (): never => {
    throw fault;
  };
  const broken: Parser = {
    type: "broken",
    usage: "none",
    claims: ["broken"],
    needsBody: true,
    parse: throws,
  };

  test("in a parser cost the facts, not the request", () => {
    const { open, faults, held } = ingressSetup({
      ingress: { parsers: new ParserTable([broken]) },
    });
    const exchange = open().requestHeaders(post("/broken")).requestBody("body", true);
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody 4."]);
    expect(exchange.pick().destination).toMatch(/^10\.0\.0\.[01]:8000$/);
    expect(faults).toEqual([fault]);
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("in a pick cost the choice, not the request", () => {
    const { open, faults, scheduler } = ingressSetup();
    scheduler.schedule = throws;
    const exchange = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    expect(exchange.pick().destination).toMatch(/^10\.0\.0\.[01]:8000$/);
    expect(faults).toEqual([fault]);
  });

  test("that leave no pick at all are told to the client", () => {
    const { open, faults, held, errorsOf } = ingressSetup({
      wrapPort: (port) => ({
        hashPlans: port.hashPlans,
        submit: throws,
        firstToken: throws,
        served: throws,
        complete: throws,
        lastScores: throws,
      }),
    });
    const exchange = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    expect(exchange.rejection()).toMatchObject({ http: 500, dropped: [] });
    expect(exchange.rejection().text).toBe(
      "inference error: Internal - internal error while handling the request",
    );
    expect(exchange.ended).toBe("ok");
    expect(faults).toEqual([fault]);
    expect(errorsOf("Internal")).toBe(1);
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("in a reply leave nothing of it for the next exchange", () => {
    const { open, context, faults, held } = ingressSetup();
    const { port } = context;
    const submit = port.submit.bind(port);
    let isBroken = true;
    port.submit = (request, subset, sink) =>
      submit(request, subset, {
        onOutcome: (outcome: Outcome) => {
          sink.onOutcome(outcome);
          if (isBroken) throw fault;
        },
      } satisfies OutcomeSink);
    const exchange = open().requestHeaders(post(CHAT), true);
    expect(exchange.replies()).toEqual([]);
    expect(exchange.ended).toEqual({ status: 13, message: "internal error" });
    expect(faults).toEqual([fault]);
    isBroken = false;
    const next = open().requestHeaders(post(CHAT), true);
    expect(next.shape()).toEqual(["requestHeaders"]);
    exchange.cancel();
    next.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("in the middle of a reply send nothing of it", () => {
    const { open, context, faults, held } = ingressSetup();
    context.reply.body = throws;
    const exchange = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    expect(exchange.shape()).toEqual(["immediateResponse"]);
    expect(exchange.rejection().http).toBe(500);
    expect(faults).toEqual([fault]);
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("after a later outcome stay with their exchange", () => {
    const { open, port, context, faults, held } = watchedSetup({ isHolding: true });
    const exchange = open().requestHeaders(post(CHAT), true);
    const { picked } = context.metrics;
    context.metrics.picked = throws;
    port.settle();
    context.metrics.picked = picked;
    expect(exchange.rejection().http).toBe(500);
    expect(faults).toEqual([fault]);
    expect(port.calls).toEqual(["error"]);
    exchange.cancel();
    expect(held()).toMatchObject({ openStreams: 0, openFlights: 0, bodyBytes: 0 });
  });
});
