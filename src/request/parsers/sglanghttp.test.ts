import { expect, test } from "vitest";
import { parserLimits } from "./json-facts.ts";
import { ParsedBody } from "./parser.ts";
import { sglanghttpParser } from "./sglanghttp.ts";

const parsed = new ParsedBody();

function parse(body: string): string | null {
  parsed.reset();
  return sglanghttpParser.parse(Buffer.from(body), "/generate", parsed)?.message ?? null;
}

test("facts, and a model that can not be rewritten", () => {
  const body =
    '{"input_ids":[1,2],"extra_key":"s","stream":true,"sampling_params":{"max_new_tokens":7},"model":"m"}';
  expect(parse(body)).toBeNull();
  const { api, cacheSalt, isModelRequired, maxOutputTokens, model, modelForm, streaming } = parsed;
  expect({ api, cacheSalt, isModelRequired, maxOutputTokens, model, modelForm, streaming }).toEqual(
    {
      api: "sglang-generate",
      cacheSalt: "s",
      isModelRequired: false,
      maxOutputTokens: 7,
      model: "",
      modelForm: "none",
      streaming: true,
    },
  );
});

test.each([
  '{"input_ids":[[1],[2,3]]}',
  '{"text":"hi"}',
  '{"text":["a","b"]}',
  '{"input_ids":null,"text":"hi"}',
  '{"input_embeds":[[0.5]]}',
  '{"input_ids":[1],"sampling_params":[{"max_new_tokens":3}]}',
])("%s is a request that the engine takes", (body) => {
  expect(parse(body)).toBeNull();
  expect(parsed.maxOutputTokens).toBe(-1);
});

test("embeddings are no prompt that can be hashed", () => {
  parse('{"input_embeds":[[0.5]]}');
  expect(parsed.api).toBe("none");
});

test.each(["{}", '{"input_ids":null}', '{"text":""}', '{"text":[]}'])(
  "%s lacks its prompt",
  (body) => {
    expect(parse(body)).toBe("invalid generate request: must have input_ids field");
  },
);

test("a list that holds no ids is refused", () => {
  expect(parse('{"input_ids":[]}')).toBe(
    "invalid generate request: input_ids must be a list of token ids",
  );
  expect(parse('{"input_ids":[1,"a"]}')).toBe(
    "input_ids[1]: must be an integer from 0 to 4294967295",
  );
});

test("extra_key is the salt: a text, or one for each prompt", () => {
  parse('{"text":"x","extra_key":["a","b"]}');
  expect(parsed.cacheSalt).toBe('["a","b"]');
  parse('{"text":"x","extra_key":null}');
  expect(parsed.cacheSalt).toBe("");
  for (const value of ["7", "{}", "true"]) {
    expect(parse(`{"text":"x","extra_key":${value}}`)).toBe(
      "extra_key: unsupported type, must be a string",
    );
  }
  const max = parserLimits.cacheSaltBytesMax;
  for (const value of [`"${"x".repeat(max + 1)}"`, `["${"x".repeat(max - 3)}"]`]) {
    expect(parse(`{"text":"x","extra_key":${value}}`)).toBe(
      `extra_key: ${max + 1} bytes; at most ${max} are allowed`,
    );
  }
});
