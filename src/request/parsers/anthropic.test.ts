import { describe, expect, test } from "vitest";
import { anthropicParser } from "./anthropic.ts";
import { ParsedBody } from "./parser.ts";

const parsed = new ParsedBody();
const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';

function parse(body: string | Buffer, path = "/v1/messages"): string | null {
  parsed.reset();
  return anthropicParser.parse(Buffer.from(body as string), path, parsed)?.message ?? null;
}

describe("messages", () => {
  test("facts", () => {
    const body = `{"max_tokens":9,${MESSAGES},"cache_salt":"s","stream":true,"model":"claude"}`;
    expect(parse(body)).toBeNull();
    const { api, cacheSalt, isModelRequired, maxOutputTokens, model, modelForm, streaming } =
      parsed;
    expect({ api, cacheSalt, maxOutputTokens, model, streaming }).toEqual({
      api: "messages",
      cacheSalt: "s",
      maxOutputTokens: 9,
      model: "claude",
      streaming: true,
    });
    expect(body.slice(parsed.modelStart, parsed.modelEnd)).toBe('"claude"');
    expect([modelForm, isModelRequired, parsed.skipResponseProcessing]).toEqual([
      "json",
      true,
      false,
    ]);
  });

  test.each(["{}", '{"messages":[]}', '{"messages":"hi"}', '{"messages":null}'])(
    "%s is refused",
    (body) => {
      expect(parse(body)).toBe("invalid messages request: must have valid messages field");
    },
  );

  test("what is no JSON object is refused", () => {
    expect(parse("[]")).toBe("error unmarshaling request bodyMap: expected a JSON object");
  });

  test("members and blocks of any shape pass", () => {
    const odd =
      '"system":7,"tools":{},"max_tokens":"x","metadata":[],"messages":[5,{"content":[1,{"type":7}]}]';
    expect(parse(`{${odd}}`)).toBeNull();
    expect(parsed.maxOutputTokens).toBe(-1);
  });
});

describe("count_tokens", () => {
  const PATH = "/v1/messages/count_tokens?beta=true";

  test("is routed by its model, and nothing is learned from its answer", () => {
    expect(parse(`{"model":"claude",${MESSAGES}}`, PATH)).toBeNull();
    expect(parsed.model).toBe("claude");
    expect([parsed.api, parsed.modelForm, parsed.skipResponseProcessing]).toEqual([
      "none",
      "json",
      true,
    ]);
  });

  test.each(["{}", "not json", "", '{"messages":5}'])("%j is not refused", (body) => {
    expect(parse(body, PATH)).toBeNull();
    expect([parsed.model, parsed.isModelRequired]).toEqual(["", false]);
  });

  test("what is no JSON has no place for another model", () => {
    parse("[1]", PATH);
    expect(parsed.modelForm).toBe("none");
  });
});
