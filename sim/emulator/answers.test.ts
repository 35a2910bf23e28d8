import { describe, expect, test } from "vitest";
import { EventWriter, errorAnswer, tokenText, wholeAnswer } from "./answers.ts";

const shape = { id: "id-1", model: 'quo"te', created: 1_700_000_000 } as const;
const usage = { promptTokens: 10, completionTokens: 2, cachedTokens: 8 };
const USAGE_JSON = {
  prompt_tokens: 10,
  completion_tokens: 2,
  total_tokens: 12,
  prompt_tokens_details: { cached_tokens: 8 },
};

/** The JSON of one server-sent event. */
function eventJson(event: string): unknown {
  expect(event).toMatch(/^data: [^\n]+\n\n$/);
  return JSON.parse(event.slice("data: ".length));
}

describe("chat", () => {
  const chat = { ...shape, api: "chat" } as const;

  test("a streamed answer says who speaks, then token by token, the last with its reason", () => {
    const writer = new EventWriter(chat);
    const chunk = (choice: object): object => ({
      id: "id-1",
      object: "chat.completion.chunk",
      created: 1_700_000_000,
      model: 'quo"te',
      choices: [{ index: 0, logprobs: null, finish_reason: null, ...choice }],
    });
    expect(eventJson(writer.start())).toEqual(chunk({ delta: { role: "assistant", content: "" } }));
    expect(eventJson(writer.token('a"\n', false))).toEqual(chunk({ delta: { content: 'a"\n' } }));
    expect(eventJson(writer.token("b", true))).toEqual(
      chunk({ delta: { content: "b" }, finish_reason: "length" }),
    );
  });

  test("the event of the usage has no choice", () => {
    expect(eventJson(new EventWriter(chat).usage(usage))).toMatchObject({
      choices: [],
      usage: USAGE_JSON,
    });
  });

  test("a whole answer has its message and its usage", () => {
    expect(JSON.parse(wholeAnswer(chat, "the model", usage))).toEqual({
      id: "id-1",
      object: "chat.completion",
      created: 1_700_000_000,
      model: 'quo"te',
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "the model" },
          logprobs: null,
          finish_reason: "length",
        },
      ],
      usage: USAGE_JSON,
    });
  });
});

test("completions have their text in the choice, and nothing before the first token", () => {
  const completion = { ...shape, api: "completion" } as const;
  const writer = new EventWriter(completion);
  expect(writer.start()).toBe("");
  expect(eventJson(writer.token("a", true))).toMatchObject({
    object: "text_completion",
    choices: [{ index: 0, text: "a", logprobs: null, finish_reason: "length" }],
  });
  expect(JSON.parse(wholeAnswer(completion, "a b", usage))).toMatchObject({
    object: "text_completion",
    choices: [{ index: 0, text: "a b", logprobs: null, finish_reason: "length" }],
    usage: USAGE_JSON,
  });
});

test("a stream ends as OpenAI's do", () => {
  expect(new EventWriter({ ...shape, api: "chat" }).done()).toBe("data: [DONE]\n\n");
});

test("an error is in OpenAI's shape", () => {
  expect(JSON.parse(errorAnswer('no "x"', "NotFoundError", 404))).toEqual({
    error: { message: 'no "x"', type: "NotFoundError", param: null, code: 404 },
  });
});

test("tokens joined are words with blanks between them", () => {
  expect([0, 1, 2, 9].map(tokenText).join("")).toBe("the model answers the");
});
