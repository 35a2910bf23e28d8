/**
 * Bodies with a content encoding, and bodies that no one can rewrite: what is read, what goes on, what is refused.
 */
import { randomBytes } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { engineFrame } from "../../test/support/engine-messages.ts";
import {
  CHAT,
  chatBody,
  type Exchange,
  Mode,
  NOTHING_HELD,
  post,
  watchedSetup,
} from "../../test/support/ingress-exchange.ts";
import { buildParsers, parserTypes } from "../request/parsers/registry.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const REWRITE = ["x-llm-d-model-name-rewrite", "served"] as const;

const encoded = (encoding: string, ...more: (readonly [string, string])[]) => [
  ["content-encoding", encoding] as const,
  ...more,
];

/** An ingress with all kinds of parsers. */
function notedSetup(limits = {}) {
  const parsers = buildParsers(
    parserTypes.map((type, i) => ({ type, name: type, parameters: {}, path: `plugins[${i}]` })),
  );
  const setup = watchedSetup({ limits, ingress: { parsers } });
  return { ...setup, requests: setup.port.requests };
}

async function answered(exchange: Exchange): Promise<void> {
  while (exchange.stream.segments.length === 0) await setImmediate();
}

describe("encoded bodies", () => {
  test.each([
    ["gzip", gzipSync],
    ["GZIP, identity", gzipSync],
    ["x-gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
  ])("%s is read decoded, and goes on as it came", (encoding, encode) => {
    const { open, requests, held } = notedSetup();
    const plain = chatBody(4000);
    const body = encode(plain);
    const exchange = open().requestHeaders(post(CHAT, encoded(encoding)));
    exchange.requestBody(body.subarray(0, 5)).requestBody(body.subarray(5), true);
    expect(exchange.shape()).toEqual(["requestHeaders", `requestBody ${body.length}.`]);
    expect(exchange.body("requestBody").equals(body)).toBe(true);
    expect(exchange.pick().set["content-length"]).toBe(String(body.length));
    expect(exchange.pick().remove).not.toContain("content-encoding");
    expect(requests[0]).toMatchObject({ model: "m1", bodyBytes: body.length });
    expect(requests[0]!.promptTokens).toBeGreaterThan(1000);
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("identity is no encoding", () => {
    const { open, requests } = notedSetup();
    open()
      .requestHeaders(post(CHAT, encoded("identity")))
      .requestBody(chatBody(), true);
    expect(requests[0]!.model).toBe("m1");
  });

  test("with another model it goes on decoded, without the header", () => {
    for (const mode of [Mode.fullDuplex, Mode.buffered]) {
      const { open, requests } = notedSetup();
      const exchange = open().begin(post(CHAT, encoded("gzip", REWRITE)), mode);
      exchange.requestBody(gzipSync(chatBody()), true);
      expect(exchange.pick().remove).toContain("content-encoding");
      const reply = exchange.replies().find((each) => each.requestBody !== undefined)!;
      const mutation = reply.requestBody!.response!.bodyMutation!;
      const body = mode === Mode.fullDuplex ? mutation.streamedResponse!.body! : mutation.body!;
      expect(Buffer.from(body).equals(chatBody(20, "served"))).toBe(true);
      if (mode === Mode.fullDuplex) {
        expect(exchange.pick().set["content-length"]).toBe(String(body.length));
      }
      expect(requests[0]!.targetModel).toBe("served");
    }
  });

  test("a large one is decoded while others go on", async () => {
    const { open, requests, held, context } = notedSetup();
    const filler = randomBytes(200 * KIB).toString("hex");
    const plain = Buffer.from(
      JSON.stringify({ model: "m1", messages: [{ role: "user", content: filler }] }),
    );
    const body = gzipSync(plain);
    const exchange = open()
      .requestHeaders(post(CHAT, encoded("gzip")))
      .requestBody(body, true);
    expect(exchange.replies()).toEqual([]);
    const other = open().requestHeaders(post(CHAT)).requestBody(chatBody(), true);
    expect(other.shape()).toHaveLength(2);
    await answered(exchange);
    expect(exchange.body("requestBody").equals(body)).toBe(true);
    expect(requests[1]!.promptTokens).toBeGreaterThan(100_000);
    expect(context.bodyBudget.bytes).toBe(0);
    exchange.cancel();
    other.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("so is one that takes several turns to read", async () => {
    const { open, requests } = notedSetup();
    const body = gzipSync(chatBody(3 * MIB));
    const exchange = open()
      .requestHeaders(post(CHAT, encoded("gzip")))
      .requestBody(body, true);
    await answered(exchange);
    expect(requests[0]!.promptTokens).toBeGreaterThan(700_000);
    expect(exchange.body("requestBody").equals(body)).toBe(true);
  });

  test("an exchange that ends while it is decoded is not answered", async () => {
    const { open, requests, held } = notedSetup();
    const body = gzipSync(chatBody(3 * MIB));
    const gone = open()
      .requestHeaders(post(CHAT, encoded("gzip")))
      .requestBody(body, true);
    gone.cancel();
    const next = open()
      .requestHeaders(post(CHAT, encoded("gzip")))
      .requestBody(body, true);
    await answered(next);
    expect(gone.stream.segments).toEqual([]);
    expect(requests).toHaveLength(1);
    next.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("a body that no parser reads is not decoded", () => {
    const { open } = notedSetup();
    const exchange = open().requestHeaders(post("/v1/files", encoded("gzip")));
    exchange.requestBody("no gzip at all", true);
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody 14."]);
  });

  test("what a gateway has cut goes on without facts", () => {
    const { open, requests } = notedSetup();
    const exchange = open().begin(post(CHAT, encoded("gzip")), Mode.bufferedPartial);
    exchange.requestBody(gzipSync(chatBody(100)).subarray(0, 30));
    expect(exchange.shape()).toEqual(["requestHeaders", "requestBody"]);
    expect(requests[0]).toMatchObject({ model: "", promptTokens: 0 });
  });
});

describe("encoded bodies that are refused", () => {
  test.each([
    [
      "zstd",
      chatBody(),
      415,
      'inference error: UnsupportedMediaType - content-encoding is not one of gzip, deflate, br: "zstd"',
    ],
    [
      "gzip, br",
      chatBody(),
      415,
      'inference error: UnsupportedMediaType - content-encoding is not one of gzip, deflate, br: "gzip, br"',
    ],
    ["gzip", chatBody(), 400, "inference error: BadRequest - body is not valid gzip"],
    ["gzip", Buffer.alloc(0), 400, "inference error: BadRequest - body is not valid gzip"],
    ["br", gzipSync(chatBody()), 400, "inference error: BadRequest - body is not valid br"],
    [
      "gzip",
      gzipSync("[1]"),
      400,
      "inference error: BadRequest - error unmarshaling request bodyMap: expected a JSON object",
    ],
  ])("%s", (encoding, body, http, text) => {
    const { open, held } = notedSetup();
    const exchange = open()
      .requestHeaders(post(CHAT, encoded(encoding)))
      .requestBody(body, true);
    expect(exchange.rejection()).toMatchObject({ http, text });
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("one that is too large decoded, small or large as it came", async () => {
    const { open, held } = notedSetup({ requestBodyBytesMax: MIB });
    for (const body of [gzipSync(Buffer.alloc(2 * MIB)), gzipSync(randomBytes(MIB - KIB))]) {
      const bomb =
        body.length < KIB * 10
          ? body
          : gzipSync(Buffer.concat([randomBytes(900 * KIB), Buffer.alloc(MIB)]));
      const exchange = open()
        .requestHeaders(post(CHAT, encoded("gzip")))
        .requestBody(bomb, true);
      await answered(exchange);
      expect(exchange.rejection()).toMatchObject({ http: 413 });
      exchange.cancel();
    }
    expect(held()).toEqual(NOTHING_HELD);
  });

  test("one that does not fit beside the others", () => {
    const { open, held } = notedSetup({ bodyBytesInFlightMax: 100 * KIB });
    const body = gzipSync(chatBody(100 * KIB));
    const exchange = open()
      .requestHeaders(post(CHAT, encoded("gzip")))
      .requestBody(body, true);
    expect(exchange.rejection()).toMatchObject({ http: 503 });
    exchange.cancel();
    expect(held()).toEqual(NOTHING_HELD);
  });
});

describe("bodies that can not be given another model", () => {
  const chat = Buffer.from('{"model":"m1","messages":[{"role":"user","content":"x"}]}');
  test.each([
    [
      "vLLM over gRPC",
      "/vllm.grpc.engine.VllmEngine/Generate",
      engineFrame("GenerateRequest", { text: "x" }),
      "",
    ],
    [
      "Vertex AI",
      "/g.PredictionService/ChatCompletions",
      engineFrame("PredictRequest", { httpBody: { data: chat } }),
      "m1",
    ],
    ["no parser", "/v1/files", Buffer.from("opaque"), ""],
  ])("%s: go on as they came, and the header's model counts", (_, path, body, model) => {
    const { open, requests } = notedSetup();
    const exchange = open()
      .requestHeaders(post(path, [REWRITE]))
      .requestBody(body, true);
    expect(exchange.body("requestBody").equals(body)).toBe(true);
    expect(requests[0]).toMatchObject({ model, targetModel: "served" });
    const plain = open().requestHeaders(post(path)).requestBody(body, true);
    expect(plain.body("requestBody").equals(body)).toBe(true);
    expect(requests[1]).toMatchObject({ model, targetModel: model });
  });

  test("a form gets it into its field", () => {
    const { open, requests } = notedSetup();
    const of = (model: string) =>
      `--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n${model}\r\n--b--\r\n`;
    const exchange = open().requestHeaders(post("/v1/audio/transcriptions", [REWRITE]));
    exchange.requestBody(of("whisper-1"), true);
    expect(exchange.body("requestBody").toString()).toBe(of("served"));
    expect(requests[0]).toMatchObject({ model: "whisper-1", targetModel: "served" });
  });

  test("a count of tokens is given it", () => {
    const { open } = notedSetup();
    const exchange = open().requestHeaders(post("/v1/messages/count_tokens", [REWRITE]));
    exchange.requestBody('{"model":"m1","messages":[]}', true);
    expect(exchange.body("requestBody").toString()).toBe('{"model":"served","messages":[]}');
  });
});

test("answers are handed back for requests whose answers tell nothing", () => {
  const { open, port } = watchedSetup({
    ingress: { parsers: buildParsers([]) },
  });
  const exchange = open().requestHeaders(post("/v1/messages/count_tokens")).requestBody("{}", true);
  exchange.responseHeaders().responseBody('{"input_tokens":3}', true);
  expect(exchange.body("responseBody").toString()).toBe('{"input_tokens":3}');
  expect(port.calls).toEqual(["first", "natural"]);
});
