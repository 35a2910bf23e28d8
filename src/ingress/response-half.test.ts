/** What the response half reads, restores, tells and books. Its replies as such are in ext-proc-stream.test.ts. */
import { describe, expect, test } from "vitest";
import {
  type FilterMetadata,
  fromStruct,
  type HeaderPairs,
  removedHeadersOf,
  setHeadersOf,
  toHeaderMap,
} from "../../test/support/ext-proc-messages.ts";
import {
  CHAT,
  chatBody,
  type Exchange,
  ingressSetup,
  Mode,
  NOTHING_HELD,
  post,
} from "../../test/support/ingress-exchange.ts";
import { Metrics } from "../metrics/metrics.ts";
import { RequestMetrics } from "../metrics/request-metrics.ts";
import { type AnswerPlan, DEFAULT_ANSWER_PLAN } from "../response/answer-plan.ts";
import { BODY_REPLY_BYTES_MAX } from "./reply-buffer.ts";

const STREAM: HeaderPairs = [
  [":status", "200"],
  ["content-type", "text/event-stream; charset=utf-8"],
];
const JSON_ANSWER: HeaderPairs = [
  [":status", "200"],
  ["content-type", "application/json"],
];
const REWRITE: HeaderPairs = [["x-llm-d-model-name-rewrite", "srv"]];
const USAGE = `"usage":{"prompt_tokens":7,"completion_tokens":10,"total_tokens":17}`;

function setupWith(answers: Partial<AnswerPlan> = {}) {
  const metrics = new Metrics({ collectsProcess: false });
  const ingress = {
    metrics: new RequestMetrics(metrics),
    answers: { ...DEFAULT_ANSWER_PLAN, ...answers },
  };
  const setup = ingressSetup({ ingress });
  /** Lines of a family that are not zero, without its name. */
  const page = (family: keyof typeof metrics.families) =>
    metrics.families[family]
      .blocks()[0]!
      .text.split("\n")
      .filter((line) => !line.startsWith("#") && !/(^| 0)$/.test(line));
  const sumAndCount = (family: keyof typeof metrics.families) =>
    page(family)
      .filter((line) => /_(sum|count)\b/.test(line))
      .map((line) => Number(line.slice(line.lastIndexOf(" "))));
  return { ...setup, page, sumAndCount };
}

function ask(exchange: Exchange, headers: HeaderPairs = []): Exchange {
  return exchange.requestHeaders(post(CHAT, headers)).requestBody(chatBody(), true);
}

function served(metadata: FilterMetadata) {
  return (exchange: Exchange) =>
    exchange.send(
      { responseHeaders: { headers: toHeaderMap(JSON_ANSWER), endOfStream: false } },
      metadata,
    );
}

describe("tokens", () => {
  test("of a stream are booked once, at its end, with its pace", () => {
    const { clock, open, page, sumAndCount } = setupWith();
    const exchange = ask(open());
    clock.advance(1000);
    exchange.responseHeaders(STREAM).responseBody(`data: {${USAGE}}\n\n`);
    clock.advance(500);
    exchange.responseBody(`data: {${USAGE}}\n\n`);
    clock.advance(400);
    expect(sumAndCount("requestInputTokens")).toEqual([]);
    exchange.responseBody("", true).cancel();
    expect(sumAndCount("requestInputTokens")).toEqual([7, 1]);
    expect(sumAndCount("requestOutputTokens")).toEqual([10, 1]);
    expect(page("requestCachedTokens")).toEqual([]);
    expect(sumAndCount("requestNtpot")).toEqual([0.19, 1]);
    expect(sumAndCount("requestStreamingTpot")).toEqual([0.1, 1]);
    expect(sumAndCount("requestStreamingItl")).toEqual([0.5, 1]);
  });

  test("that a stream does not tell are counted by its events, for the pace alone", () => {
    const { clock, open, page, sumAndCount } = setupWith();
    const exchange = ask(open()).responseHeaders(STREAM);
    for (let i = 0; i < 3; i++) exchange.responseBody(`data: {"choices":[]}\n\n`);
    clock.advance(600);
    exchange.responseBody("data: [DONE]\n\n", true);
    expect(page("requestOutputTokens")).toEqual([]);
    expect(sumAndCount("requestNtpot")).toEqual([expect.closeTo(0.2), 1]);
    expect(sumAndCount("requestStreamingTpot")).toEqual([expect.closeTo(0.3), 1]);
  });

  test("of an answer in one piece have no pace of a stream", () => {
    const { clock, open, page, sumAndCount } = setupWith();
    const body = `{${USAGE.replace("}", `,"prompt_tokens_details":{"cached_tokens":4}}`)}}`;
    const exchange = ask(open());
    clock.advance(1000);
    exchange.responseHeaders(JSON_ANSWER).responseBody(body.slice(0, 9));
    clock.advance(1000);
    exchange.responseBody(body.slice(9), true);
    expect(sumAndCount("requestCachedTokens")).toEqual([4, 1]);
    expect(sumAndCount("requestNtpot")).toEqual([0.2, 1]);
    expect(sumAndCount("responseProcessing")).toEqual([1, 1]);
    expect(page("requestStreamingTpot")).toEqual([]);
    expect(page("requestStreamingItl")).toEqual([]);
  });

  test("are booked for answers whose request was not seen, and for those that break off", () => {
    const { open, page } = setupWith();
    open().responseHeaders(STREAM).responseBody(`data: {${USAGE}}`).cancel();
    expect(page("requestInputTokens").at(-1)).toBe(
      `llm_d_epp_request_input_tokens_count{model_name="",target_model_name="",fairness_id="",priority="0"} 1`,
    );
  });

  test("of encoded bodies are not read, which is counted; identity is no encoding", () => {
    const { open, page } = setupWith();
    for (const [encoding, unread] of [
      ["identity", 0],
      ["gzip", 1],
    ] as const) {
      ask(open())
        .responseHeaders([...JSON_ANSWER, ["content-encoding", encoding]])
        .responseBody(`{${USAGE}}`, true);
      expect(page("unreadAnswers").length).toBe(unread);
    }
    expect(page("requestInputTokens").at(-1)).toMatch(/ 1$/);
  });

  test("are not read when nobody wants them, nor from bodies that no parser knows", () => {
    const audio: HeaderPairs = [["content-type", "audio/mpeg"]];
    for (const [readsUsage, path, headers] of [
      [false, CHAT, JSON_ANSWER],
      [true, "/v1/files", JSON_ANSWER],
      [true, CHAT, audio],
    ] as const) {
      const { open, page } = setupWith({ readsUsage });
      const exchange = open().requestHeaders(post(path)).requestBody(chatBody(), true);
      exchange.responseHeaders(headers).responseBody(`{${USAGE}}`, true);
      expect(page("requestInputTokens")).toEqual([]);
      expect(exchange.body("responseBody").toString()).toBe(`{${USAGE}}`);
    }
  });
});

describe("the model's name", () => {
  const before = `{"model":"srv","choices":[{"text":"srv"}]}`;
  const after = `{"model":"m1","choices":[{"text":"srv"}]}`;

  test("is restored across chunks, and the length of the answer goes", () => {
    const exchange = ask(setupWith({ readsUsage: false }).open(), REWRITE);
    exchange.responseHeaders(JSON_ANSWER);
    for (const letter of before) exchange.responseBody(letter);
    exchange.responseBody("", true);
    const { responseHeaders } = exchange.replies()[2]!;
    expect(removedHeadersOf(responseHeaders!.response!.headerMutation)).toEqual(["content-length"]);
    expect(exchange.body("responseBody").toString()).toBe(after);
    expect(exchange.shape().at(-1)).toBe("responseBody 0.");
  });

  test("that has not ended is let go before the trailers", () => {
    const exchange = ask(setupWith().open(), REWRITE);
    exchange.responseHeaders(JSON_ANSWER).responseBody(`{"model":"sr`).responseTrailers();
    expect(exchange.body("responseBody").toString()).toBe(`{"model":"sr`);
    expect(exchange.shape().slice(-2)).toEqual(["responseBody 3+", "responseTrailers"]);
  });

  test("stays where it was not rewritten, where the body is encoded, and where the headers are all", () => {
    const { open } = setupWith();
    const encoded: HeaderPairs = [...JSON_ANSWER, ["content-encoding", "br"]];
    for (const [request, headers, end] of [
      [[], JSON_ANSWER, false],
      [REWRITE, encoded, false],
      [REWRITE, JSON_ANSWER, true],
    ] as const) {
      const exchange = ask(open(), request).responseHeaders(headers, end);
      const { responseHeaders } = exchange.replies()[2]!;
      expect(removedHeadersOf(responseHeaders!.response?.headerMutation)).toEqual([]);
      if (end) continue;
      exchange.responseBody(before, true);
      expect(exchange.body("responseBody").toString()).toBe(before);
    }
  });

  test.each([
    ["BUFFERED", Mode.buffered],
    ["STREAMED", Mode.streamed],
  ])("is restored in mode %s, and a body without it is left with the gateway", (_, mode) => {
    for (const [body, changed] of [
      [before, after],
      [`{"choices":[]}`, undefined],
    ] as const) {
      const exchange = setupWith().open();
      exchange.begin(post(CHAT, REWRITE), Mode.fullDuplex, mode).requestBody(chatBody(), true);
      exchange.responseHeaders(JSON_ANSWER).responseBody(body, true);
      const { responseBody } = exchange.replies().at(-1)!;
      expect(responseBody!.response?.bodyMutation?.body?.toString()).toBe(changed);
    }
  });
});

describe("what reporters tell", () => {
  const reporter = (name: string, value: number | null) => ({
    namespace: "envoy.lb",
    name,
    evaluate: () => value,
  });
  const reporters = [reporter("a", 42), reporter("b", null), reporter("c", 1)];
  const told = { "envoy.lb": { a: 42, c: 1 } };

  test("rides on the last reply of the last chunk", () => {
    const exchange = ask(setupWith({ reporters }).open()).responseHeaders(JSON_ANSWER);
    exchange.responseBody("x").responseBody(Buffer.alloc(BODY_REPLY_BYTES_MAX + 1), true);
    const bodies = exchange.replies().slice(3);
    expect(bodies.map(({ dynamicMetadata }) => fromStruct(dynamicMetadata))).toEqual([
      {},
      {},
      told,
    ]);
  });

  test("rides on the trailers where they end the answer", () => {
    const exchange = ask(setupWith({ reporters }).open()).responseHeaders(JSON_ANSWER);
    exchange.responseBody("x").responseTrailers();
    const metadata = exchange.replies().map(({ dynamicMetadata }) => fromStruct(dynamicMetadata));
    expect(metadata.slice(3)).toEqual([{}, told]);
  });

  test("rides on the reply of a buffered body", () => {
    const exchange = setupWith({ reporters }).open();
    exchange.begin(post(CHAT), Mode.fullDuplex, Mode.buffered).requestBody(chatBody(), true);
    exchange.responseHeaders(JSON_ANSWER).responseBody("x", true);
    expect(fromStruct(exchange.replies().at(-1)!.dynamicMetadata)).toEqual(told);
  });

  test("is nothing when none has something to tell", () => {
    const exchange = ask(setupWith({ reporters: [reporter("b", null)] }).open());
    exchange.responseHeaders(JSON_ANSWER).responseBody("x", true);
    expect(exchange.replies().at(-1)!.dynamicMetadata).toBeUndefined();
  });
});

describe("the endpoint that served", () => {
  const KEY = "x-gateway-destination-endpoint-served";

  test("gets the charge of the one that was picked, and gives it back", () => {
    const { held, open, page, pool } = setupWith();
    const exchange = ask(open());
    const { destination } = exchange.pick();
    const [own, other] = destination.endsWith("0:8000") ? [0, 1] : [1, 0];
    expect([pool.columns.inflight[own], pool.columns.inflight[other]]).toEqual([1, 0]);
    served({ "envoy.lb": { [KEY]: `10.0.0.${other}:8000` } })(exchange);
    expect([pool.columns.inflight[own], pool.columns.inflight[other]]).toEqual([0, 1]);
    expect(page("servedElsewhere")).toEqual(["endpoint_picker_served_elsewhere_total 1"]);
    exchange.responseBody("", true).cancel();
    expect([pool.columns.inflight[own], pool.columns.inflight[other]]).toEqual([0, 0]);
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("is told to the client where that is asked for, or what was missing", () => {
    const { open } = setupWith({ verifiesServed: true });
    for (const [metadata, value] of [
      [{ "envoy.lb": { [KEY]: "10.0.0.9:1" } }, "10.0.0.9:1"],
      [{ "envoy.lb": { [KEY]: "a\r\nb" } }, "fail: missing destination endpoint served metadata"],
      [{ "envoy.lb": { x: 1 } }, "fail: missing destination endpoint served metadata"],
      [{ other: { [KEY]: "10.0.0.9:1" } }, "fail: missing envoy lb metadata"],
    ] as const) {
      const exchange = ask(open());
      served(metadata)(exchange);
      const { responseHeaders } = exchange.replies().at(-1)!;
      expect(setHeadersOf(responseHeaders!.response!.headerMutation)).toEqual([
        { name: "x-conformance-test-served-endpoint", value, append: false },
      ]);
    }
  });
});

test("an error of a gRPC server counts as one of the model server, once", () => {
  for (const [trailers, errors] of [
    [[["grpc-status", "8"]], 1],
    [[["grpc-status", "0"]], 0],
  ] as const) {
    const { open, page } = setupWith();
    ask(open())
      .responseHeaders([[":status", "200"]])
      .responseTrailers(trailers)
      .cancel();
    expect(page("requestErrorTotal").length).toBe(errors);
  }
});
