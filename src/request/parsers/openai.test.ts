import { describe, expect, test } from "vitest";
import { parserLimits } from "./json-facts.ts";
import { openaiParser } from "./openai.ts";
import { ParsedBody } from "./parser.ts";

const parsed = new ParsedBody();

function parse(body: string, path: string): string | null {
  parsed.reset();
  return openaiParser.parse(Buffer.from(body), path, parsed)?.message ?? null;
}

const CHAT = "/v1/chat/completions";
const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';

describe("facts of a chat request", () => {
  test("model, stream, cap and salt, wherever they stand", () => {
    const body = `{"max_tokens":9,${MESSAGES},"cache_salt":"s\\u00e9","stream":true,"model":"a/b"}`;
    expect(parse(body, CHAT)).toBeNull();
    expect(parsed.model).toBe("a/b");
    expect(body.slice(parsed.modelStart, parsed.modelEnd)).toBe('"a/b"');
    expect(parsed.streaming).toBe(true);
    expect(parsed.maxOutputTokens).toBe(9);
    expect(parsed.cacheSalt).toBe("sé");
    expect(parsed.api).toBe("chat");
  });

  test("without them, neutral values", () => {
    expect(parse(`{${MESSAGES}}`, CHAT)).toBeNull();
    expect(parsed.model).toBe("");
    expect(parsed.modelStart).toBe(-1);
    expect(parsed.streaming).toBe(false);
    expect(parsed.maxOutputTokens).toBe(-1);
    expect(parsed.cacheSalt).toBe("");
  });

  test.each([
    ['"max_tokens":5,"max_completion_tokens":7', 7],
    ['"max_tokens":5,"max_completion_tokens":null', 5],
    ['"max_tokens":5,"max_completion_tokens":-1', 5],
    ['"max_tokens":5,"max_completion_tokens":0', 0],
    ['"max_tokens":2.5', -1],
    ['"max_tokens":"5"', -1],
    ['"max_tokens":1e2', 100],
    ['"max_tokens":1e300', 2 ** 31 - 1],
    ['"max_output_tokens":5', -1],
  ])("%s caps the output at %i", (members, cap) => {
    expect(parse(`{${MESSAGES},${members}}`, CHAT)).toBeNull();
    expect(parsed.maxOutputTokens).toBe(cap);
  });

  test("stream counts only when it is true", () => {
    for (const value of ['"true"', "1", "false", "null"]) {
      parse(`{${MESSAGES},"stream":${value}}`, CHAT);
      expect(parsed.streaming, value).toBe(false);
    }
  });

  test("a model that is no string is no model, but has a place", () => {
    const body = `{"model":{"a":1},${MESSAGES}}`;
    expect(parse(body, CHAT)).toBeNull();
    expect(parsed.model).toBe("");
    expect(body.slice(parsed.modelStart, parsed.modelEnd)).toBe('{"a":1}');
  });
});

describe("the path decides which API it is", () => {
  test.each([
    ["/v1/conversations", '{"items":[{}]}', "conversations"],
    ["/v1/responses", '{"input":"x"}', "responses"],
    ["/v1/chat/completions", `{${MESSAGES}}`, "chat"],
    ["/v1/chat/completions/?a=b", `{${MESSAGES}}`, "chat"],
    ["/v1/chat/completions/render", `{${MESSAGES}}`, "chat"],
    ["/v1/completions", '{"prompt":"x"}', "completions"],
    ["/v1/completions/render", '{"prompt":"x"}', "completions"],
    ["/v1/embeddings", '{"input":"x"}', "embeddings"],
    ["/v1/images/generations", '{"prompt":"x"}', "images"],
    ["/somewhere", '{"prompt":"x"}', "completions"],
  ])("%s", (path, body, api) => {
    expect(parse(body, path)).toBeNull();
    expect(parsed.api).toBe(api);
  });

  test("and where the cap stands", () => {
    parse('{"input":"x","max_output_tokens":5,"max_tokens":6}', "/v1/responses");
    expect(parsed.maxOutputTokens).toBe(5);
    parse('{"prompt":"x","max_completion_tokens":5,"max_tokens":6}', "/v1/completions");
    expect(parsed.maxOutputTokens).toBe(6);
    parse('{"input":"x","max_tokens":6}', "/v1/embeddings");
    expect(parsed.maxOutputTokens).toBe(-1);
  });
});

describe("refusals", () => {
  test.each([
    ["not json at all", "invalid character 'n' at byte 0"],
    ["", "unexpected end of JSON input"],
    ["[]", "expected a JSON object"],
    [`{${MESSAGES}} x`, "invalid character 'x' at byte 46"],
  ])("what is no JSON object: %j", (body, problem) => {
    expect(parse(body, CHAT)).toBe(`error unmarshaling request bodyMap: ${problem}`);
  });

  test.each([
    [CHAT, ["{}", '{"messages":[]}', '{"messages":null}', '{"messages":"hi"}'], "chat completions"],
    ["/v1/completions", ["{}", '{"prompt":""}', '{"prompt":[ ]}', '{"prompt":7}'], "completions"],
    ["/v1/embeddings", ["{}", '{"input":""}', '{"input":[]}', '{"input":null}'], "embeddings"],
    ["/v1/responses", ["{}", '{"input":null}'], "responses"],
    ["/v1/conversations", ["{}", '{"items":[]}'], "conversations"],
    ["/v1/images/generations", ["{}", '{"prompt":["x"]}'], "images generations"],
  ])("%s without a prompt", (path, bodies, name) => {
    for (const body of bodies) {
      expect(parse(body, path), body).toMatch(
        new RegExp(`^invalid ${name} request: must have (valid )?[a-z]+ field$`),
      );
    }
  });

  test("names of models are bounded and free of control characters", () => {
    const named = (name: string): string | null =>
      parse(`{"model":${JSON.stringify(name)},${MESSAGES}}`, CHAT);
    const max = parserLimits.modelNameBytesMax;
    expect(named("x".repeat(max))).toBeNull();
    expect(named("x".repeat(max + 1))).toBe(`model: ${max + 1} bytes; at most ${max} are allowed`);
    expect(named("é".repeat(max / 2 + 1))).not.toBeNull();
    const stray = Buffer.from(`{"model":"${"x".repeat(max - 1)}\xff",${MESSAGES}}`, "latin1");
    parsed.reset();
    expect(openaiParser.parse(stray, CHAT, parsed)?.message).toBe(
      `model: ${max + 2} bytes; at most ${max} are allowed`,
    );
    expect(named("a\nb")).toBe("model: name with a control character");
    expect(named("a\u007f")).not.toBeNull();
    expect(named("Qwen/Qwen2.5-7B-Instruct:é")).toBeNull();
  });

  test("cache salts are bounded", () => {
    const max = parserLimits.cacheSaltBytesMax;
    const salted = (salt: string): string | null =>
      parse(`{"cache_salt":"${salt}",${MESSAGES}}`, CHAT);
    expect(salted("x".repeat(max))).toBeNull();
    expect(salted("x".repeat(max + 1))).toBe(
      `cache_salt: ${max + 1} bytes; at most ${max} are allowed`,
    );
  });

  test("members that do not matter for routing are not looked at", () => {
    const more = '"tools":"x","chat_template_kwargs":[],"n":-1,"cache_salt":5,"temperature":{}';
    const odd = `{"messages":[{"role":5,"content":[7,{"image_url":"x"}]}],${more}}`;
    expect(parse(odd, CHAT)).toBeNull();
    expect(parsed.cacheSalt).toBe("");
    for (const prompt of ["[[1,2],[3]]", '["a",[1]]', "[1,null]", "[1.5]"]) {
      expect(parse(`{"prompt":${prompt}}`, "/v1/completions"), prompt).toBeNull();
    }
  });
});

test("reset makes a parsed body as new", () => {
  parse(`{"model":"m","stream":true,"max_tokens":1,"cache_salt":"s",${MESSAGES}}`, CHAT);
  parsed.reset();
  const { model, modelStart, modelEnd, streaming, maxOutputTokens, cacheSalt, api } = parsed;
  expect([model, modelStart, modelEnd, streaming, maxOutputTokens, cacheSalt, api]).toEqual([
    "",
    -1,
    -1,
    false,
    -1,
    "",
    "none",
  ]);
});
