import { expect, test } from "vitest";
import { ParsedBody } from "./parser.ts";
import { vllmhttpParser } from "./vllmhttp.ts";

const parsed = new ParsedBody();

function parse(body: string): string | null {
  parsed.reset();
  const path = "/inference/v1/generate";
  return vllmhttpParser.parse(Buffer.from(body), path, parsed)?.message ?? null;
}

test("facts", () => {
  const body =
    '{"token_ids":[1,2],"model":"m","stream":true,"cache_salt":"s","sampling_params":{"max_tokens":7}}';
  expect(parse(body)).toBeNull();
  const { api, cacheSalt, isModelRequired, maxOutputTokens, model, modelForm, streaming } = parsed;
  expect({ api, cacheSalt, isModelRequired, maxOutputTokens, model, modelForm, streaming }).toEqual(
    {
      api: "vllm-generate",
      cacheSalt: "s",
      isModelRequired: true,
      maxOutputTokens: 7,
      model: "m",
      modelForm: "json",
      streaming: true,
    },
  );
});

test.each(["{}", '{"token_ids":[]}', '{"token_ids":"x"}', '{"token_ids":null}'])(
  "%s lacks its prompt",
  (body) => {
    expect(parse(body)).toBe("invalid generate request: must have token_ids field");
  },
);

test.each([
  ["[1,2,-1]", 2],
  ["[1.5]", 0],
  ['[0,"1"]', 1],
  ["[0,4294967296]", 1],
  ["[[1]]", 0],
  ["[1,null]", 1],
  ["[1e30]", 0],
])("%s: element %i is no token id", (ids, index) => {
  expect(parse(`{"token_ids":${ids}}`)).toBe(
    `token_ids[${index}]: must be an integer from 0 to 4294967295`,
  );
});

test.each(["[0]", "[4294967295]", "[ 1 , 2 ]", "[1.0, 2e2]", "[-0]"])("%s are token ids", (ids) => {
  expect(parse(`{"token_ids":${ids}}`)).toBeNull();
});

test.each(["[]", "null", '{"max_tokens":-1}', '{"max_tokens":"5"}', "{}"])(
  "sampling_params %s cap nothing",
  (value) => {
    expect(parse(`{"token_ids":[1],"sampling_params":${value}}`)).toBeNull();
    expect(parsed.maxOutputTokens).toBe(-1);
  },
);

test.each(["[]", "null", '{"mm_hashes":[]}', '{"mm_hashes":{"image":7},"mm_placeholders":{}}'])(
  "features %s are not refused",
  (value) => {
    expect(parse(`{"token_ids":[1],"features":${value}}`)).toBeNull();
  },
);
