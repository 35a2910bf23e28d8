/**
 * Facts of requests as exchanges give them to the scheduler: the same however a body is cut, and for bodies that nobody
 * should send a clear answer.
 */
import { setImmediate } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { InferenceRequest } from "../../scheduler/index.ts";
import { engineFrame } from "../../test/support/engine-messages.ts";
import { NOTHING_HELD, post, watchedSetup } from "../../test/support/ingress-exchange.ts";
import { defaultMediaEstimate } from "../request/media-tokens.ts";
import { buildParsers, PARSERS, parserTypes } from "../request/parsers/registry.ts";

const parsers = buildParsers(
  parserTypes.map((type, i) => ({ type, name: type, parameters: {}, path: `plugins[${i}]` })),
);
const document = {
  plugins: [{ type: "queue-scorer" }, { type: "prefix-cache-scorer" }],
  schedulingProfiles: [
    {
      name: "default",
      plugins: [{ pluginRef: "queue-scorer" }, { pluginRef: "prefix-cache-scorer" }],
    },
  ],
};
const setup = () => watchedSetup({ document, ingress: { parsers } });

const LONG = "a prompt that is long enough for more than one block, ".repeat(8);
const chat = { model: "m\u00e9", stream: true, max_tokens: 7, cache_salt: "s" };
const messages = [{ role: "user", content: LONG }];
const json = (body: object): Buffer => Buffer.from(JSON.stringify(body));
const SAMPLES: readonly (readonly [path: string, body: Buffer])[] = [
  ["/v1/chat/completions", json({ ...chat, messages })],
  ["/v1/completions", json({ ...chat, prompt: [LONG, [1, 2, 3]] })],
  ["/v1/messages", json({ ...chat, system: LONG, messages })],
  ["/v1/messages/count_tokens", json({ ...chat, messages })],
  [
    "/inference/v1/generate",
    json({ ...chat, token_ids: Array.from({ length: 300 }, (_, i) => i * 999) }),
  ],
  ["/generate", json({ text: LONG, extra_key: "s" })],
  [
    "/v1/audio/transcriptions",
    Buffer.from('--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'),
  ],
  [
    "/vllm.grpc.engine.VllmEngine/Generate",
    engineFrame("GenerateRequest", {
      tokenized: { inputIds: Array.from({ length: 300 }, (_, i) => i * 999) },
      samplingParams: { maxTokens: 7 },
      stream: true,
    }),
  ],
  [
    "/x.PredictionService/ChatCompletions",
    engineFrame("PredictRequest", { httpBody: { data: json({ ...chat, messages }) } }),
  ],
  ["/v1/files", Buffer.from(LONG)],
];

/** What the scheduler is given, but for what differs between requests that are the same. */
function comparable({ arrivedAtMs, ...facts }: InferenceRequest): object {
  return facts;
}

function play(path: string, pieces: readonly Uint8Array[], encoding = "identity"): object {
  const { held, open, port } = setup();
  const exchange = open().requestHeaders(post(path, [["content-encoding", encoding]]));
  for (const piece of pieces) exchange.requestBody(piece);
  exchange.requestBody("", true);
  exchange.cancel();
  expect(held()).toEqual(NOTHING_HELD);
  expect(port.requests).toHaveLength(1);
  return comparable(port.requests[0]!);
}

function cutAt(body: Buffer, points: readonly number[]): Buffer[] {
  const sorted = [...new Set(points.map((point) => point % (body.length + 1)))].sort(
    (a, b) => a - b,
  );
  return [...sorted, body.length].map((end, i) => body.subarray(i === 0 ? 0 : sorted[i - 1]!, end));
}

describe.each(SAMPLES)("%s: facts are the same", (path, body) => {
  test("wherever a body is cut, encoded or not", () => {
    const whole = play(path, [body]);
    const encoded = gzipSync(body);
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 10 }), (points) => {
        expect(play(path, cutAt(body, points))).toEqual(whole);
        const { length: bodyBytes } = encoded;
        expect(play(path, cutAt(encoded, points), "gzip")).toEqual({ ...whole, bodyBytes });
      }),
      { numRuns: 10 },
    );
  });

  test("when it comes byte by byte", () => {
    const crumbs = [...body].map((byte) => Buffer.of(byte));
    expect(play(path, crumbs)).toEqual(play(path, [body]));
  });
});

test("samples tell what they are made to tell", () => {
  const [first] = SAMPLES;
  expect(play(first![0], [first![1]])).toMatchObject({
    model: "mé",
    streaming: true,
    maxOutputTokens: 7,
    promptTokens: Math.ceil((LONG.length + 7) / 4),
  });
});

describe("bodies that nobody should send", () => {
  const nested = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`;
  const odd: readonly (readonly [what: string, body: Buffer])[] = [
    ["nothing", Buffer.alloc(0)],
    ["a zero byte", Buffer.alloc(1)],
    ["zero bytes behind", Buffer.from('{"model":"m"}\0\0')],
    ["a byte order mark", Buffer.from('\ufeff{"model":"m"}')],
    ["UTF-16", Buffer.from('{"model":"m"}', "utf16le")],
    ["no UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ["no UTF-8 outside of strings", Buffer.from([0x7b, 0xff, 0x7d])],
    [
      "lone surrogates",
      Buffer.from('{"model":"\\ud800","messages":["\\udc00"],"prompt":"\\udfff"}'),
    ],
    ["names that come twice", Buffer.from('{"model":1,"model":"m","prompt":1,"prompt":"x"}')],
    ["a huge number", Buffer.from(`{"model":"m","prompt":"x","max_tokens":1${"0".repeat(5000)}}`)],
    ["a huge exponent", Buffer.from('{"model":"m","prompt":"x","max_tokens":1e99999}')],
    ["10,000 levels", Buffer.from(`{"model":"m","prompt":${nested(10_000)}}`)],
    ["10,001 levels", Buffer.from(`{"model":"m","prompt":${nested(10_001)}}`)],
    ["levels without an end", Buffer.from(`{"messages":${'[{"a":'.repeat(50_000)}`)],
    ["a string without an end", Buffer.from('{"model":"m')],
    ["a frame of a length that lies", Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1])],
    ["a compressed frame", Buffer.from([1, 0, 0, 0, 1, 1])],
    ["boundaries alone", Buffer.from("--b\r\n".repeat(1000))],
  ];
  const paths = PARSERS.flatMap(({ claims }) => claims.map((claim) => `/${claim}`));

  test.each(odd)("%s: each parser takes it or says why not", async (_, body) => {
    const { faults, held, open, port } = setup();
    for (const path of paths) {
      const before = port.requests.length;
      const exchange = open().requestHeaders(post(path)).requestBody(body, true);
      while (exchange.stream.segments.length === 0) await setImmediate();
      if (port.requests.length > before) {
        expect(exchange.body("requestBody").equals(body), path).toBe(true);
      } else {
        const { http, text } = exchange.rejection();
        expect([400, text.slice(0, 30)], path).toEqual([http, "inference error: BadRequest - "]);
        expect(text.length).toBeLessThan(300);
      }
      exchange.cancel();
    }
    expect(faults).toEqual([]);
    expect(held()).toEqual(NOTHING_HELD);
  });
});

test("what headers and configuration tell of media counts", () => {
  const block = { type: "video_url", video_url: { url: "http://x/v.mp4" } };
  const body = json({ model: "m", messages: [{ role: "user", content: [block] }] });
  const tokens = (headers: readonly (readonly [string, string])[], seconds = 10): number => {
    const mediaEstimate = { ...defaultMediaEstimate, videoSeconds: seconds };
    const { open, port } = watchedSetup({ ingress: { mediaEstimate } });
    open().requestHeaders(post("/v1/chat/completions", headers)).requestBody(body, true);
    return port.requests[0]!.promptTokens;
  };
  const rest = tokens([]) - 20 * 225;
  expect(tokens([], 5)).toBe(10 * 225 + rest);
  expect(tokens([["x-llm-d-video-duration-seconds", "3"]])).toBe(6 * 225 + rest);
});

test.each<[string, string, Buffer, number]>([
  [
    "gRPC",
    "/vllm.grpc.engine.VllmEngine/Generate",
    engineFrame("GenerateRequest", {
      tokenized: { inputIds: new Array(400_000).fill(100_000) },
    }),
    400_000,
  ],
  [
    "Vertex AI",
    "/x.PredictionService/RawPredict",
    engineFrame("PredictRequest", { httpBody: { data: json({ prompt: "x".repeat(2_000_000) }) } }),
    500_000,
  ],
  [
    "a form",
    "/v1/audio/translations",
    Buffer.concat([Buffer.from("--b\r\n"), Buffer.alloc(2_000_000)]),
    0,
  ],
])("long bodies of %s are looked at over several turns", async (_, path, body, promptTokens) => {
  const { faults, held, open, port } = setup();
  const exchange = open().requestHeaders(post(path)).requestBody(body, true);
  expect(port.requests).toEqual([]);
  while (exchange.stream.segments.length === 0) await setImmediate();
  expect(port.requests[0]).toMatchObject({ promptTokens });
  expect(exchange.body("requestBody").equals(body)).toBe(true);
  exchange.cancel();
  expect(faults).toEqual([]);
  expect(held()).toEqual(NOTHING_HELD);
});
