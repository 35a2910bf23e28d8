/**
 * What goes back for what comes in: body modes, header changes, the hint of the gateway, the response half. Driven in
 * memory, with a real scheduler behind; refusals and faults are in ext-proc-stream-faults.test.ts.
 */
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { HeaderId, headerNames, isRemovedFromRequest } from "../../proto/index.ts";
import type { InferenceRequest } from "../../scheduler/index.ts";
import {
  type HeaderPairs,
  removedHeadersOf,
  setHeadersOf,
  streamedBodyOf,
} from "../../test/support/ext-proc-messages.ts";
import {
  CHAT,
  chatBody,
  frameOf,
  ingressSetup,
  Mode,
  NOTHING_HELD,
  POOL_SCOPE,
  post,
  requestFrame,
  subsetOf,
  watchedSetup,
} from "../../test/support/ingress-exchange.ts";
import type { InferenceModelRewrite, InferenceResource } from "../request/inference-resources.ts";

const ENDPOINTS = ["10.0.0.0:8000", "10.0.0.1:8000"];
const UPLOAD = "/v1/files";

describe("full duplex", () => {
  test("nothing is answered until the body is complete, then everything at once", () => {
    const { open } = ingressSetup();
    const exchange = open().begin(post(CHAT), Mode.fullDuplex);
    const body = chatBody();
    exchange.requestBody(body.subarray(0, 10)).requestBody(body.subarray(10));
    expect(exchange.replies()).toEqual([]);
    exchange.requestBody("", true);
    expect(exchange.shape()).toEqual(["requestHeaders", `requestBody ${body.length}.`]);
    expect(exchange.body("requestBody").equals(body)).toBe(true);
    const { destination, set } = exchange.pick();
    expect(ENDPOINTS).toContain(destination);
    expect(set["content-length"]).toBe(String(body.length));
    expect(exchange.replies()[0]!.requestHeaders!.response!.clearRouteCache).toBe(true);
    expect(exchange.ended).toBe("open");
  });

  test("is what a gateway that tells no modes is taken to use", () => {
    const exchange = ingressSetup().open();
    exchange.requestHeaders(post(CHAT)).requestBody(chatBody(0), true);
    expect(exchange.shape()).toEqual(["requestHeaders", `requestBody ${chatBody(0).length}.`]);
  });

  test("trailers end a body: no chunk has the end flag, and the trailers are answered", () => {
    const exchange = ingressSetup().open();
    exchange.requestHeaders(post(CHAT)).requestBody(chatBody(0)).requestTrailers();
    expect(exchange.shape()).toEqual([
      "requestHeaders",
      `requestBody ${chatBody(0).length}+`,
      "requestTrailers",
    ]);
  });

  test("headers that end the request are answered alone, and POSTs without a body are picked for too", () => {
    const { open } = ingressSetup();
    for (const headers of [
      post(CHAT),
      [
        [":method", "GET"],
        [":path", "/v1/models"],
      ],
    ] as const) {
      const exchange = open().requestHeaders(headers, true);
      expect(exchange.shape()).toEqual(["requestHeaders"]);
      expect(ENDPOINTS).toContain(exchange.pick().destination);
      expect(exchange.pick().set["content-length"]).toBeUndefined();
    }
  });

  test("replies carry at most 62,000 bytes of body, and only the last one the end flag", () => {
    const exchange = ingressSetup().open();
    const body = chatBody(130_000);
    exchange.requestHeaders(post(CHAT)).requestBody(body, true);
    expect(exchange.shape()).toEqual([
      "requestHeaders",
      "requestBody 62000+",
      "requestBody 62000+",
      `requestBody ${body.length - 124_000}.`,
    ]);
    expect(exchange.body("requestBody").equals(body)).toBe(true);
  });

  test("bodies that no parser reads are picked for when they are complete, with their length", () => {
    const exchange = ingressSetup().open();
    exchange.requestHeaders(post(UPLOAD)).requestBody("a").requestBody("b", true);
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody 2."]);
    expect(exchange.pick().set["content-length"]).toBe("2");
  });

  test("large ones among them stream through, whatever their size", () => {
    const { open, context } = ingressSetup({ limits: { requestBodyBytesMax: 300 * 1024 } });
    const exchange = open().requestHeaders(post(UPLOAD));
    exchange.requestBody(Buffer.alloc(256 * 1024));
    expect(exchange.replies()).toEqual([]);
    exchange.requestBody(Buffer.alloc(1));
    expect(exchange.body("requestBody").length).toBe(256 * 1024 + 1);
    expect(exchange.pick().set["content-length"]).toBeUndefined();
    expect(context.bodyBudget.bytes).toBe(0);
    exchange.requestBody(Buffer.alloc(100_000)).requestBody("", true);
    expect(exchange.shape().slice(-3)).toEqual([
      "requestBody 62000+",
      "requestBody 38000+",
      "requestBody 0.",
    ]);
  });

  test("what streams through may end with trailers", () => {
    const exchange = ingressSetup().open();
    exchange.requestHeaders(post(UPLOAD)).requestBody(Buffer.alloc(256 * 1024 + 1));
    exchange.requestBody("z").requestTrailers();
    expect(exchange.shape().slice(-2)).toEqual(["requestBody 1+", "requestTrailers"]);
  });

  for (const [what, header] of [
    ["an upgrade", ["upgrade", "websocket"]],
    ["CONNECT", [":method", "CONNECT"]],
    ["extended CONNECT", [":protocol", "websocket"]],
  ] as const) {
    test(`${what} is answered on its headers, and its bytes pass both ways`, () => {
      const exchange = ingressSetup().open();
      exchange.requestHeaders([[":path", CHAT], header]);
      expect(exchange.shape()).toEqual(["requestHeaders"]);
      exchange
        .responseHeaders([[":status", "101"]])
        .responseBody("s1")
        .requestBody("c1");
      exchange.requestBody("c2", true).responseBody("s2", true);
      expect(exchange.shape().slice(1)).toEqual([
        "responseHeaders",
        "responseBody 2+",
        "requestBody 2+",
        "requestBody 2.",
        "responseBody 2.",
      ]);
    });
  }

  test("the model is patched where a header asks for another one, and the length follows", () => {
    const exchange = ingressSetup().open();
    const body = '{"model": "m1", "prompt": "p", "n": 1.50}';
    exchange.requestHeaders(post("/v1/completions", [["x-llm-d-model-name-rewrite", "model-2"]]));
    exchange.requestBody(body, true);
    expect(exchange.body("requestBody").toString()).toBe(body.replace('"m1"', '"model-2"'));
    expect(exchange.pick().set["content-length"]).toBe(String(body.length + 5));
  });

  test("a body without a model gets the one that the header names", () => {
    const exchange = ingressSetup().open();
    exchange.requestHeaders(post("/v1/completions", [["x-gateway-model-name-rewrite", "m2"]]));
    exchange.requestBody('{"prompt":"p"}', true);
    expect(exchange.body("requestBody").toString()).toBe('{"model":"m2","prompt":"p"}');
  });
});

describe("objectives and rewrite rules", () => {
  const POOL = { group: POOL_SCOPE.group, kind: "InferencePool", name: POOL_SCOPE.name };
  const ours = { group: "llm-d.ai", namespace: "", pool: POOL };
  const rewriteOf = (
    models: readonly string[],
    ...targets: (readonly [model: string, weight: number])[]
  ): InferenceModelRewrite => ({
    ...ours,
    kind: "InferenceModelRewrite",
    name: "rw",
    createdAtMs: 0,
    rules: [{ models, targets: targets.map(([model, weight]) => ({ model, weight })) }],
  });

  /** Requests as they are submitted, and an ingress with these resources. */
  function withResources(...list: InferenceResource[]) {
    const requests: InferenceRequest[] = [];
    const setup = ingressSetup({
      wrapPort: (port) => {
        const submit = port.submit.bind(port);
        port.submit = (request, subset, sink) => {
          requests.push(request);
          return submit(request, subset, sink);
        };
        return port;
      },
    });
    setup.context.resources.replace(list);
    return { ...setup, requests };
  }

  const body = (model?: string) => JSON.stringify({ model, prompt: "p" });
  const COMPLETIONS = "/v1/completions";

  test("an objective gives the priority, with a body and without; one that is not there gives 0", () => {
    const { open, requests } = withResources({
      ...ours,
      kind: "InferenceObjective",
      name: "high",
      priority: 7,
    });
    const high = post(CHAT, [["x-llm-d-inference-objective", "high"]]);
    open().requestHeaders(high).requestBody(chatBody(), true);
    open().requestHeaders(high, true);
    open()
      .requestHeaders(post(CHAT, [["x-gateway-inference-objective", "none"]]))
      .requestBody(chatBody(), true);
    open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    expect(requests.map(({ priority }) => priority)).toEqual([7, 7, 0, 0]);
  });

  test("a rule gives its model another target, whatever the header asks for", () => {
    const { open, requests } = withResources(rewriteOf(["public"], ["served", 0]));
    const header = [["x-llm-d-model-name-rewrite", "asked"]] as const;
    for (const headers of [[], header]) {
      const exchange = open().requestHeaders(post(COMPLETIONS, headers));
      exchange.requestBody(body("public"), true);
      expect(JSON.parse(exchange.body("requestBody").toString())).toEqual({
        model: "served",
        prompt: "p",
      });
    }
    open().requestHeaders(post(COMPLETIONS, header)).requestBody(body("other"), true);
    expect(requests.map(({ model, targetModel }) => `${model} ${targetModel}`)).toEqual([
      "public served",
      "public served",
      "other asked",
    ]);
  });

  test("a rule for all gives a body without a model one", () => {
    const { open } = withResources(rewriteOf([], ["served", 0]));
    const exchange = open().requestHeaders(post(COMPLETIONS)).requestBody(body(), true);
    expect(exchange.body("requestBody").toString()).toBe('{"model":"served","prompt":"p"}');
  });

  test("a rule without targets leaves no model: 400", () => {
    const { open } = withResources(rewriteOf(["m"]));
    const exchange = open().requestHeaders(post(COMPLETIONS)).requestBody(body("m"), true);
    expect(exchange.rejection()).toMatchObject({ http: 400 });
  });

  test("a session stays with its target, and so does a request that is sent again", () => {
    const { open, requests } = withResources(rewriteOf(["m"], ["a", 1], ["b", 1]));
    const targetsOf = (headersOf: (i: number) => HeaderPairs): Set<string> => {
      requests.length = 0;
      for (let i = 0; i < 50; i++) {
        open()
          .requestHeaders([[":path", COMPLETIONS], ...headersOf(i)])
          .requestBody(body("m"), true);
      }
      return new Set(requests.map(({ targetModel }) => targetModel));
    };
    expect(targetsOf((i) => [["x-request-id", `r${i}`]]).size).toBe(2);
    expect(targetsOf(() => []).size).toBe(2);
    expect(targetsOf(() => [["x-request-id", "r1"]]).size).toBe(1);
    const inSession = (i: number) =>
      [
        ["x-request-id", `r${i}`],
        ["x-session-id", "s1"],
      ] as const;
    expect(targetsOf(inSession).size).toBe(1);
  });
});

describe("the other body modes", () => {
  test("BUFFERED: headers are answered at once, the destination goes with the body reply", () => {
    const exchange = ingressSetup()
      .open()
      .begin(post(CHAT, [["x-prefiller-host-port", "h"]]), Mode.buffered);
    expect(exchange.replies()).toEqual([
      expect.objectContaining({ response: "requestHeaders", requestHeaders: {} }),
    ]);
    exchange.requestBody(chatBody(), true);
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody"]);
    const { kind, destination, remove } = exchange.pick();
    expect(kind).toBe("requestBody");
    expect(ENDPOINTS).toContain(destination);
    expect(remove).toEqual(["x-prefiller-host-port"]);
    const common = exchange.replies()[1]!.requestBody!.response!;
    expect(common.bodyMutation).toBeUndefined();
    expect(common.clearRouteCache).toBe(true);
  });

  test("BUFFERED: a rewritten body replaces the one that the gateway holds", () => {
    const headers = post("/v1/completions", [["x-llm-d-model-name-rewrite", "m2"]]);
    const exchange = ingressSetup().open().begin(headers, Mode.buffered);
    exchange.requestBody('{"model":"m1","prompt":"p"}', true);
    const { bodyMutation } = exchange.replies()[1]!.requestBody!.response!;
    expect(bodyMutation!.body!.toString()).toBe('{"model":"m2","prompt":"p"}');
  });

  test("BUFFERED: trailers behind the body are answered", () => {
    const exchange = ingressSetup().open().begin(post(CHAT), Mode.buffered);
    exchange.requestBody(chatBody()).requestTrailers();
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody", "requestTrailers"]);
  });

  test("BUFFERED: an upgrade is picked for on its headers, since its body never completes", () => {
    const exchange = ingressSetup()
      .open()
      .begin(post(CHAT, [["upgrade", "websocket"]]), Mode.buffered);
    expect(ENDPOINTS).toContain(exchange.pick().destination);
    expect(exchange.pick().kind).toBe("requestHeaders");
  });

  test("BUFFERED_PARTIAL: a body that was cut is picked for without its facts", () => {
    const { open } = ingressSetup();
    const whole = open().begin(post(CHAT), Mode.bufferedPartial).requestBody(chatBody(), true);
    expect(ENDPOINTS).toContain(whole.pick().destination);
    const cut = open().begin(post(CHAT), Mode.bufferedPartial);
    cut.requestBody(chatBody().subarray(0, 30));
    expect(cut.shape()).toEqual(["requestHeaders", "requestBody"]);
    expect(ENDPOINTS).toContain(cut.pick().destination);
    const bad = open().begin(post(CHAT), Mode.bufferedPartial).requestBody("{", true);
    expect(bad.rejection().http).toBe(400);
  });

  test("STREAMED: the pick is made on headers, and each chunk gets a reply that changes nothing", () => {
    const exchange = ingressSetup().open().begin(post(CHAT), Mode.streamed);
    expect(ENDPOINTS).toContain(exchange.pick().destination);
    exchange.requestBody("a").requestBody("b", true);
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody", "requestBody"]);
    expect(exchange.replies()[2]!.requestBody).toEqual({});
    exchange.responseHeaders().responseBody("c").responseTrailers();
    expect(exchange.shape().slice(3)).toEqual([
      "responseHeaders",
      "responseBody",
      "responseTrailers",
    ]);
    expect(exchange.replies()[4]!.responseBody).toEqual({});
  });

  test("NONE: the pick is made on headers; trailers alone may follow", () => {
    const exchange = ingressSetup().open().begin(post(CHAT), Mode.none).requestTrailers();
    expect(exchange.shape()).toEqual(["requestHeaders", "requestTrailers"]);
  });

  test("NONE for the response: its headers are the answer, and the reset behind them is natural", () => {
    const { open, held, port } = watchedSetup();
    open().begin(post(CHAT), Mode.none).responseHeaders().cancel();
    expect(port.calls).toEqual(["first", "natural"]);
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("others are refused with the reason", () => {
    for (const [request, response] of [
      [Mode.grpc, Mode.fullDuplex],
      [Mode.fullDuplex, 6],
      [-1, Mode.none],
    ] as const) {
      const exchange = ingressSetup().open().begin(post(CHAT), request, response);
      expect(exchange.replies()).toEqual([]);
      expect(exchange.ended).toEqual({
        status: 9,
        message: "body mode is not supported: use FULL_DUPLEX_STREAMED, BUFFERED, STREAMED or NONE",
      });
    }
  });
});

test("modes are told by the first message, and by no other", () => {
  const exchange = ingressSetup().open().requestHeaders(post(CHAT));
  exchange.send({
    requestBody: { body: chatBody(), endOfStream: true },
    protocolConfig: { requestBodyMode: Mode.buffered, responseBodyMode: Mode.grpc },
  });
  expect(exchange.shape()).toEqual(["requestHeaders", `requestBody ${chatBody().length}.`]);
  expect(exchange.ended).toBe("open");
});

describe("messages that are not answered", () => {
  test("those of a stream that only observes", () => {
    const { open, held } = ingressSetup();
    const exchange = open();
    const frame = (message: object) => exchange.send({ ...message, observabilityMode: true });
    frame({ requestHeaders: { headers: { headers: [] }, endOfStream: false } });
    frame({ requestBody: { body: chatBody(), endOfStream: true } });
    frame({ responseHeaders: { headers: { headers: [] }, endOfStream: true } });
    expect(exchange.replies()).toEqual([]);
    exchange.halfClose().cancel();
    expect(exchange.ended).toBe("ok");
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("those without a member of the oneof, and bytes of unknown fields", () => {
    const exchange = ingressSetup().open();
    exchange.send({}).bytes(frameOf(Buffer.from([0x62, 0x02, 0x08, 0x01])));
    expect(exchange.replies()).toEqual([]);
    exchange.requestHeaders(post(CHAT), true);
    expect(exchange.shape()).toEqual(["requestHeaders"]);
  });

  test("repeated headers, and whatever follows the end of a half", () => {
    const exchange = ingressSetup().open().requestHeaders(post(CHAT)).requestHeaders(post(CHAT));
    exchange.requestBody(chatBody(0), true).requestBody("x", true).requestTrailers();
    exchange.responseHeaders().responseHeaders().responseBody("y", true);
    exchange.responseBody("z", true).responseTrailers();
    expect(exchange.shape()).toEqual([
      "requestHeaders",
      `requestBody ${chatBody(0).length}.`,
      "responseHeaders",
      "responseBody 1.",
    ]);
  });
});

describe("header changes", () => {
  test("nothing that came is sent back, and nothing is removed that is not ours", () => {
    const exchange = ingressSetup().open();
    exchange.requestHeaders(
      post(CHAT, [
        ["cookie", "a=1"],
        ["cookie", "b=2"],
        ["x-other", "o"],
      ]),
      true,
    );
    expect(Object.keys(exchange.pick().set)).toEqual(["x-gateway-destination-endpoint"]);
    expect(exchange.pick().remove).toEqual([]);
  });

  test("traces and baggage pass untouched, repeated ones too", () => {
    const exchange = ingressSetup().open();
    exchange.requestHeaders(
      post(CHAT, [
        ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        ["tracestate", "a=1"],
        ["tracestate", "b=2"],
        ["baggage", "k=v"],
        ["via", "1.1 a"],
        ["via", "1.1 b"],
        ["te", "trailers"],
      ]),
      true,
    );
    expect(Object.keys(exchange.pick().set)).toEqual(["x-gateway-destination-endpoint"]);
    expect(exchange.pick().remove).toEqual([]);
  });

  test("every control and output header of the client is removed, once however often it came", () => {
    const names = headerNames.filter((name, id) => name !== "" && isRemovedFromRequest(id));
    const sent = names.flatMap((name) => [[name, "evil"] as const, [name, "twice"] as const]);
    for (const mode of [Mode.fullDuplex, Mode.streamed, Mode.buffered]) {
      const exchange = ingressSetup().open().begin(post(CHAT, sent), mode);
      exchange.requestBody(chatBody(), true);
      const { remove, set } = exchange.pick();
      const destination = headerNames[HeaderId.destination]!;
      // The destination is set, and data planes differ in what they do first.
      expect([...remove].sort()).toEqual(names.filter((name) => name !== destination).sort());
      expect(ENDPOINTS).toContain(set[destination]);
    }
  });

  test("an id is made for requests that have none, and stays away from those that have", () => {
    const { open } = ingressSetup();
    const without = open()
      .requestHeaders([[":path", "/"]], true)
      .pick();
    expect(without.set["x-request-id"]).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    const empty = open()
      .requestHeaders(
        [
          [":path", "/"],
          ["x-request-id", ""],
        ],
        true,
      )
      .pick();
    expect(empty.set["x-request-id"]).toMatch(/^[0-9a-f]{8}-/);
    const own = open().requestHeaders(post("/"), true).pick();
    expect(own.set["x-request-id"]).toBeUndefined();
  });

  test("scores go with the destination where that is asked for", () => {
    const exchange = ingressSetup({ ingress: { emitScores: true } }).open();
    exchange.requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    const scores = exchange.pick().lb["x-gateway-destination-endpoint-scores"];
    expect(Object.keys(scores as object).sort()).toEqual(ENDPOINTS);
    const buffered = ingressSetup({ ingress: { emitScores: true } }).open();
    buffered.begin(post(CHAT), Mode.buffered).requestBody(chatBody(), true);
    expect(
      Object.keys(buffered.pick().lb["x-gateway-destination-endpoint-scores"] as object).sort(),
    ).toEqual(ENDPOINTS);
  });

  test("responses are answered without a change", () => {
    const exchange = ingressSetup().open().requestHeaders(post(CHAT), true);
    exchange.responseHeaders([
      [":status", "200"],
      ["set-cookie", "a"],
      ["set-cookie", "b"],
    ]);
    const reply = exchange.replies()[1]!;
    expect(reply.responseHeaders).toEqual({});
    expect(setHeadersOf(reply.responseHeaders!.response?.headerMutation)).toEqual([]);
    expect(removedHeadersOf(reply.responseHeaders!.response?.headerMutation)).toEqual([]);
  });
});

describe("the gateway's hint", () => {
  const [first, second] = ENDPOINTS as [string, string];
  const picked = (hint: Parameters<typeof subsetOf>[0]): string => {
    const exchange = ingressSetup().open().requestHeaders(post(CHAT), true, subsetOf(hint));
    return exchange.shape()[0] === "immediateResponse"
      ? String(exchange.rejection().http)
      : exchange.pick().destination;
  };

  test("may be a list or a text, with commas, with or without port", () => {
    for (const hint of [
      [second],
      second,
      `10.9.9.9:1, ${second}`,
      ["10.9.9.9,10.0.0.1"],
      ["10.0.0.1"],
    ]) {
      expect(picked(hint), JSON.stringify(hint)).toBe(second);
    }
    expect(picked([first])).toBe(first);
  });

  test("that names nobody leaves nobody; one of another type is none", () => {
    for (const hint of [[], "", ["10.0.0.1:9"], [1, null], "10.0.0.1:9"]) {
      expect(picked(hint), JSON.stringify(hint)).toBe("503");
    }
    for (const hint of [null, 7, true, { a: "b" }]) {
      expect(ENDPOINTS, JSON.stringify(hint)).toContain(picked(hint));
    }
  });

  test("names IPv6 endpoints in any spelling", () => {
    const { pool, open } = ingressSetup({ endpoints: 2 });
    pool.upsert({
      id: "v6",
      name: "v6",
      namespace: "default",
      address: "fd00::1",
      port: 8000,
      labels: new Map(),
      rankIndex: 0,
    });
    for (const hint of ["[fd00::1]:8000", "[FD00:0:0::1]:8000", "fd00::1"]) {
      const exchange = open().requestHeaders(post(CHAT), true, subsetOf([hint]));
      expect(exchange.pick().destination).toBe("[fd00::1]:8000");
    }
  });

  test("is the newest that came before the pick", () => {
    const { open } = ingressSetup();
    const exchange = open().requestHeaders(post(CHAT), false, subsetOf([first]));
    exchange.requestBody(chatBody(), false).requestBody("", true, subsetOf([second]));
    expect(exchange.pick().destination).toBe(second);
    const trailed = open().requestHeaders(post(CHAT), false, subsetOf([first]));
    trailed.requestBody(chatBody(), false, { "envoy.lb": { other: 1 } }).requestTrailers();
    expect(trailed.pick().destination).toBe(first);
  });

  test("counts for nothing when it is turned off", () => {
    const { open } = ingressSetup({ ingress: { disableSubsetFilter: true } });
    const exchange = open().requestHeaders(post(CHAT), true, subsetOf([]));
    expect(ENDPOINTS).toContain(exchange.pick().destination);
  });
});

describe("the response half", () => {
  test("carries the headers that plugins have set for the client, each name once", () => {
    const setup = watchedSetup({
      onFlight: (flight) => {
        flight.setResponseHeader("x-session-token", "old");
        flight.setResponseHeader("x-other", "1");
        flight.setResponseHeader("x-session-token", "new");
      },
    });
    const exchange = setup.open().requestHeaders(post(CHAT), true).responseHeaders();
    const { responseHeaders } = exchange.replies().at(-1)!;
    expect(setHeadersOf(responseHeaders!.response!.headerMutation)).toEqual([
      { name: "x-other", value: "1", append: false },
      { name: "x-session-token", value: "new", append: false },
    ]);
  });

  function dispatched() {
    const setup = watchedSetup();
    const exchange = setup.open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    return { exchange, ends: setup.port.calls, setup };
  }

  test("is answered as it comes, chunk for chunk", () => {
    const { exchange, ends, setup } = dispatched();
    exchange.responseHeaders();
    expect(exchange.shape().at(-1)).toBe("responseHeaders");
    exchange.responseBody("data: 1\n\n").responseBody("");
    expect(exchange.shape().slice(-2)).toEqual(["responseBody 9+", "responseBody 0+"]);
    expect(setup.scheduler.openFlights).toBe(1);
    exchange.responseBody("data: 2\n\n", true);
    expect(streamedBodyOf(exchange.replies().at(-1)!).endOfStream).toBe(true);
    expect(exchange.body("responseBody").toString()).toBe("data: 1\n\ndata: 2\n\n");
    expect(ends).toEqual(["first", "natural"]);
    exchange.cancel();
    expect(ends).toEqual(["first", "natural"]);
    expect(setup.held()).toEqual(NOTHING_HELD);
  });

  test("is over with headers that end it", () => {
    const { exchange, ends } = dispatched();
    exchange.responseHeaders([[":status", "204"]], true);
    expect(exchange.shape().at(-1)).toBe("responseHeaders");
    expect(ends).toEqual(["natural"]);
  });

  test("is over with trailers, whose gRPC status says how", () => {
    for (const [trailers, cause] of [
      [[["grpc-status", "0"]], "natural"],
      [[], "natural"],
      [[["grpc-status", "14"]], "error"],
    ] as const) {
      const { exchange, ends } = dispatched();
      exchange.responseHeaders().responseBody("x").responseTrailers(trailers);
      expect(exchange.shape().at(-1)).toBe("responseTrailers");
      expect(ends).toEqual(["first", cause]);
    }
  });

  test("is an error when a gRPC server answers with nothing but an error", () => {
    const { exchange, ends } = dispatched();
    exchange.responseHeaders(
      [
        [":status", "200"],
        ["grpc-status", "13"],
      ],
      true,
    );
    expect(ends).toEqual(["error"]);
  });

  test("counts an error of the model server by its status, under either name", () => {
    for (const name of [":status", "status"]) {
      const { exchange, setup } = dispatched();
      exchange.responseHeaders([[name, "503"]], true);
      expect(setup.errorsOf("ModelServerError")).toBe(1);
    }
    const { exchange, setup } = dispatched();
    exchange.responseHeaders([[":status", "200"]], true);
    expect(setup.errorsOf("ModelServerError")).toBe(0);
  });

  test("needs no request half", () => {
    const { open, held } = ingressSetup();
    const whole = open().responseHeaders().responseBody("x").responseTrailers();
    expect(whole.shape()).toEqual(["responseHeaders", "responseBody 1+", "responseTrailers"]);
    const headless = open().responseBody("x", true);
    expect(headless.shape()).toEqual(["responseBody 1."]);
    const trailers = open().responseTrailers([["grpc-status", "1"]]);
    expect(trailers.shape()).toEqual(["responseTrailers"]);
    for (const exchange of [whole, headless, trailers]) exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("may begin before the request has ended", () => {
    const { open, held } = ingressSetup();
    const exchange = open()
      .requestHeaders(post(CHAT))
      .responseHeaders([[":status", "413"]], true);
    exchange.requestBody(chatBody(), true);
    expect(exchange.shape().slice(0, 2)).toEqual(["responseHeaders", "requestHeaders"]);
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });
});

describe("compressed messages", () => {
  test("are read when they are gzip", () => {
    const { open } = ingressSetup();
    const exchange = open("gzip");
    const plain = requestFrame({ requestBody: { body: chatBody(), endOfStream: true } });
    exchange.requestHeaders(post(CHAT));
    exchange.bytes(frameOf(gzipSync(plain.subarray(5)), true));
    expect(exchange.body("requestBody").equals(chatBody())).toBe(true);
  });

  test("end the exchange when they are not, or grow too large, or are of another kind", () => {
    const { open } = ingressSetup({ limits: { messageBytesMax: 10_000 } });
    for (const [encoding, message, status] of [
      ["gzip", Buffer.from("no gzip"), 3],
      ["gzip", gzipSync(Buffer.alloc(10_001)), 3],
      ["br", Buffer.from("x"), 12],
      ["identity", Buffer.from("x"), 12],
    ] as const) {
      const exchange = open(encoding).bytes(frameOf(message, true));
      expect(exchange.ended).toMatchObject({ status });
      expect(exchange.replies()).toEqual([]);
    }
  });
});
