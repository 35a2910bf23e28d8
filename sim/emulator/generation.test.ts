import { describe, expect, test } from "vitest";
import { OUTPUT_TOKENS_DEFAULT, OUTPUT_TOKENS_MAX, readGeneration } from "./generation.ts";
import { badRequest, Refusal } from "./refusal.ts";

const CHAT = { model: "base", messages: [{ role: "user", content: "hi" }] };

test("what is left out has its default; null is left out", () => {
  const expected = {
    model: "base",
    prompt: new TextEncoder().encode("<|user|>hi"),
    cacheSalt: "",
    outputTokens: OUTPUT_TOKENS_DEFAULT,
    streams: false,
    includeUsage: false,
  };
  expect(readGeneration("chat", CHAT)).toEqual(expected);
  const nulls = { max_tokens: null, stream: null, stream_options: null, cache_salt: null, n: null };
  expect(readGeneration("chat", { ...CHAT, ...nulls })).toEqual(expected);
});

test("the newer name of the token limit goes before the older one", () => {
  const tokens = (limits: object): number =>
    readGeneration("chat", { ...CHAT, ...limits }).outputTokens;
  expect(tokens({ max_tokens: 7 })).toBe(7);
  expect(tokens({ max_tokens: 7, max_completion_tokens: 5 })).toBe(5);
  expect(tokens({ max_tokens: OUTPUT_TOKENS_MAX })).toBe(OUTPUT_TOKENS_MAX);
});

test("usage is part of a stream only when asked for", () => {
  const usage = (options: unknown): boolean =>
    readGeneration("chat", { ...CHAT, stream: true, stream_options: options }).includeUsage;
  expect(
    [undefined, null, {}, { include_usage: false }, { include_usage: true }].map(usage),
  ).toEqual([false, false, false, false, true]);
});

describe("refused", () => {
  test.each([
    [{ model: undefined }, "model must be a string, got nothing"],
    [{ model: 5 }, "model must be a string, got 5"],
    [{ max_tokens: 0 }, "max_tokens must be at least 1, got 0"],
    [{ max_tokens: -1 }, "max_tokens must be at least 1, got -1"],
    [{ max_tokens: 1.5 }, "max_tokens must be at least 1, got 1.5"],
    [{ max_tokens: "9" }, 'max_tokens must be at least 1, got "9"'],
    [{ max_tokens: { toString: 1 } }, 'max_tokens must be at least 1, got {"toString":1}'],
    [
      { max_completion_tokens: 1e300 },
      `max_tokens must be at most ${OUTPUT_TOKENS_MAX}, got 1e+300`,
    ],
    [{ stream: "yes" }, 'stream must be a boolean, got "yes"'],
    [{ stream_options: { include_usage: true } }, "stream_options need stream: true"],
    [{ stream: true, stream_options: "all" }, 'stream_options must be an object, got "all"'],
    [{ cache_salt: 1 }, "cache_salt must be a string, got 1"],
    [{ n: 2 }, "n other than 1 is not emulated"],
  ])("%j", (members, message) => {
    expect(() => readGeneration("chat", { ...CHAT, ...members })).toThrow(badRequest(message));
  });

  test("what is nested deeper than the stack, where there is such a depth, as an error of the client", () => {
    const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as unknown;
    const part = { type: "x", deep };
    // Newer versions of V8 write nested values without recursion, so that nothing overflows.
    const isRefusedOrRead = (api: "chat" | "completion", body: Record<string, unknown>): void => {
      try {
        readGeneration(api, body);
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal);
      }
    };
    isRefusedOrRead("chat", { ...CHAT, messages: [{ role: "user", content: [part] }] });
    isRefusedOrRead("chat", { ...CHAT, tools: [deep] });
    isRefusedOrRead("chat", { ...CHAT, max_tokens: deep });
    isRefusedOrRead("completion", { model: "base", prompt: [deep] });
  });

  test("a long value is cut in the message", () => {
    const body = { ...CHAT, stream: "x".repeat(5000) };
    expect(() => readGeneration("chat", body)).toThrow(/^stream must be a boolean, got "x{99}…$/);
  });
});
