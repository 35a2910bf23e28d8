import { describe, expect, test } from "vitest";
import { blockHashesHex } from "../../../scheduler/index.ts";
import { engineFrame } from "../../../test/support/engine-messages.ts";
import { grpcFrame } from "../../../test/support/grpc-frame.ts";
import { hashPrompt, type PromptFacts } from "../prompt-blocks.ts";
import { runSteps } from "../steps.ts";
import { openaiParser } from "./openai.ts";
import { ParsedBody, type Parser } from "./parser.ts";
import { vertexaiParser } from "./vertexai.ts";

const parsed = new ParsedBody();
const SERVICE = "/google.cloud.aiplatform.v1beta1.PredictionService";
const CHAT = `${SERVICE}/ChatCompletions`;
const RAW = `${SERVICE}/RawPredict`;
const REFUSED = "invalid or unsupported gRPC payload: ";
const PROMPT = '"messages":[{"role":"user","content":"a prompt of a few words"}]';

function bodyOf(json: string): Buffer {
  const httpBody = { contentType: "application/json", data: Buffer.from(json) };
  return engineFrame("PredictRequest", { endpoint: "projects/p/endpoints/1", httpBody });
}

function parse(body: Uint8Array, path = CHAT): string | null {
  parsed.reset();
  return vertexaiParser.parse(body, path, parsed)?.message ?? null;
}

test("facts of the JSON inside, and a model that can not be rewritten", () => {
  expect(parse(bodyOf(`{"model":"gemma",${PROMPT},"stream":true,"max_tokens":5}`))).toBeNull();
  const { api, isModelRequired, maxOutputTokens, model, modelForm, streaming } = parsed;
  expect({ api, isModelRequired, maxOutputTokens, model, modelForm, streaming }).toEqual({
    api: "chat",
    isModelRequired: false,
    maxOutputTokens: 5,
    model: "gemma",
    modelForm: "none",
    streaming: true,
  });
});

test("the prompt is hashed as it is over HTTP", () => {
  const json = `{"model":"gemma",${PROMPT}}`;
  const plans = [{ blockSizeTokens: 2, blocksMax: 100, upstreamRoot: false }];
  const facts = (parser: Parser, body: Uint8Array, path: string): PromptFacts => {
    parsed.reset();
    expect(parser.parse(body, path, parsed)).toBeNull();
    return runSteps(hashPrompt(parsed, body, plans, "gemma"));
  };
  const wrapped = facts(vertexaiParser, bodyOf(json), CHAT);
  const plain = facts(openaiParser, Buffer.from(json), "/v1/chat/completions");
  expect(wrapped.promptTokens).toBe(plain.promptTokens);
  expect(blockHashesHex(wrapped.blockHashes[0]!)).toEqual(blockHashesHex(plain.blockHashes[0]!));
});

test.each([
  ['{"messages":[{}]}', "chat"],
  ['{"input":"x"}', "responses"],
  ['{"prompt":"x"}', "completions"],
])("a raw body %s is for %s", (json, api) => {
  for (const path of [RAW, `${SERVICE}/StreamRawPredict`]) {
    expect(parse(bodyOf(json), path)).toBeNull();
    expect(parsed.api).toBe(api);
  }
});

describe("refusals", () => {
  test("the JSON's are those of HTTP", () => {
    expect(parse(bodyOf("{}"))).toBe(
      "invalid chat completions request: must have valid messages field",
    );
    expect(parse(bodyOf("{} x"), RAW)).toBe(
      "error unmarshaling request bodyMap: invalid character 'x' at byte 3",
    );
  });

  test("every cut", () => {
    const whole = bodyOf(`{${PROMPT}}`);
    for (let end = 0; end < whole.length; end++) {
      expect(parse(whole.subarray(0, end)), `${end} bytes`).toContain(REFUSED);
    }
  });

  test("what does not hold a body", () => {
    expect(parse(engineFrame("PredictRequest", { endpoint: "e" }))).toBe(
      `${REFUSED}must have http_body`,
    );
    expect(parse(engineFrame("PredictRequest", { httpBody: { contentType: "x" } }))).toBe(
      `${REFUSED}must have data in http_body`,
    );
    expect(parse(grpcFrame(Buffer.from("1205", "hex")))).toBe(`${REFUSED}malformed request`);
  });
});
