import { describe, expect, test } from "vitest";
import { engineFrame } from "../../../test/support/engine-messages.ts";
import { grpcFrame } from "../../../test/support/grpc-frame.ts";
import { ParsedBody } from "./parser.ts";
import { vllmgrpcParser } from "./vllmgrpc.ts";

const parsed = new ParsedBody();
const GENERATE = "/vllm.grpc.engine.VllmEngine/Generate";
const EMBED = "/vllm.grpc.engine.VllmEngine/Embed";
const REFUSED = "invalid or unsupported gRPC payload: ";

function parse(body: Uint8Array, path = GENERATE): string | null {
  parsed.reset();
  return vllmgrpcParser.parse(body, path, parsed)?.message ?? null;
}

test("facts of a generate request, and a model that can not be rewritten", () => {
  const message = {
    requestId: "r",
    tokenized: { inputIds: [1, 2, 3] },
    samplingParams: { temperature: 0.5, maxTokens: 9 },
    stream: true,
  };
  expect(parse(engineFrame("GenerateRequest", message))).toBeNull();
  const { api, isModelRequired, maxOutputTokens, model, modelForm, streaming } = parsed;
  expect({ api, isModelRequired, maxOutputTokens, model, modelForm, streaming }).toEqual({
    api: "grpc",
    isModelRequired: false,
    maxOutputTokens: 9,
    model: "",
    modelForm: "none",
    streaming: true,
  });
  expect(parsed.skipResponseProcessing).toBe(false);
});

test("without them, neutral values", () => {
  expect(parse(engineFrame("GenerateRequest", { text: "" }))).toBeNull();
  expect([parsed.streaming, parsed.maxOutputTokens]).toEqual([false, -1]);
});

test("a cap of 0 is one, and a huge one is the largest there is", () => {
  for (const [maxTokens, cap] of [
    [0, 0],
    [2 ** 32 - 1, 2 ** 31 - 1],
  ]) {
    parse(engineFrame("GenerateRequest", { text: "x", samplingParams: { maxTokens } }));
    expect(parsed.maxOutputTokens).toBe(cap);
  }
});

test("of several messages the first has the facts", () => {
  const first = engineFrame("GenerateRequest", { text: "a", stream: true });
  const second = engineFrame("GenerateRequest", { text: "b" });
  expect(parse(Buffer.concat([first, second]))).toBeNull();
  expect(parsed.streaming).toBe(true);
});

describe("refusals", () => {
  const whole = engineFrame("GenerateRequest", { text: "hello" });

  test("an input is required", () => {
    expect(parse(engineFrame("GenerateRequest", { requestId: "r" }))).toBe(
      `${REFUSED}must have tokenized or text`,
    );
    expect(parse(engineFrame("EmbedRequest", { requestId: "r" }), EMBED)).toBe(
      `${REFUSED}must have tokenized input`,
    );
    expect(parse(whole, EMBED)).toBe(`${REFUSED}must have tokenized input`);
  });

  test("every cut", () => {
    for (let end = 0; end < whole.length; end++) {
      expect(parse(whole.subarray(0, end)), `${end} bytes`).toContain(REFUSED);
      if (end > 0) expect(parse(Buffer.concat([whole, whole.subarray(0, end)]))).toContain(REFUSED);
    }
  });

  test("compressed messages, and flags that nobody knows", () => {
    for (const [flag, text] of [
      [1, "compressed messages are not supported"],
      [2, "flag 2 in front of a message"],
    ] as const) {
      const body = Buffer.from(whole);
      body[0] = flag;
      expect(parse(body)).toBe(REFUSED + text);
    }
  });

  test.each([
    "00", // field 0
    "0a05", // cut
    "1f", // unknown wire type
    "1203120180", // an id that does not end
    "120d120bffffffffffffffffffff01", // one of eleven bytes
  ])("malformed %s", (hex) => {
    expect(parse(grpcFrame(Buffer.from(hex, "hex")))).toBe(`${REFUSED}malformed GenerateRequest`);
  });
});

test("other methods are routed without facts, whatever they carry", () => {
  for (const body of [Buffer.from("\0opaque"), Buffer.alloc(0)]) {
    expect(parse(body, "/vllm.grpc.engine.VllmEngine/Abort")).toBeNull();
    expect([parsed.api, parsed.isModelRequired, parsed.skipResponseProcessing]).toEqual([
      "none",
      false,
      true,
    ]);
  }
});
