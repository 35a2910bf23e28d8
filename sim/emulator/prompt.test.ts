import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chatPrompt, completionPrompt, type HashRoot, promptFacts } from "./prompt.ts";
import { badRequest, Refusal } from "./refusal.ts";

const decoder = new TextDecoder();
const BASE: HashRoot = { adapter: null, cacheSalt: "" };

const chatText = (messages: unknown, tools?: unknown): string =>
  decoder.decode(chatPrompt(messages, tools));

function hashesOf(text: string, root: HashRoot = BASE, blockSizeTokens = 1): number[] {
  return [...promptFacts(new TextEncoder().encode(text), root, blockSizeTokens).blockHashes];
}

describe("chat", () => {
  test("roles and contents in order; parts as their text", () => {
    const parts = [
      { type: "text", text: "two " },
      { type: "text", text: "parts" },
    ];
    const messages = [
      { role: "system", content: "be brief" },
      { role: "user", content: parts },
    ];
    expect(chatText(messages)).toBe("<|system|>be brief<|user|>two parts");
  });

  test("other parts, tools and tool calls are part of what the model reads", () => {
    const image = { type: "image_url", image_url: { url: "data:," } };
    const tool = { type: "function", function: { name: "f" } };
    const call = { id: "c", type: "function" };
    const user = { role: "user", content: [image] };
    const assistant = { role: "assistant", content: null, tool_calls: [call] };
    expect(chatText([user, assistant], [tool])).toBe(
      `<|tools|>${JSON.stringify([tool])}<|user|>${JSON.stringify(image)}<|assistant|>${JSON.stringify([call])}`,
    );
    expect(chatText([user], [])).toBe(chatText([user]));
    expect(chatText([user], null)).toBe(chatText([user]));
  });

  test.each([
    [undefined, "messages must be a non-empty array"],
    [[], "messages must be a non-empty array"],
    ["hello", "messages must be a non-empty array"],
    [[null], "message must be an object, got null"],
    [["hello"], 'message must be an object, got "hello"'],
    [[{ content: "x" }], "role must be a string, got nothing"],
    [[{ role: { toString: 1 }, content: "x" }], 'role must be a string, got {"toString":1}'],
    [[{ role: "user", content: 5 }], "content must be a string or an array of parts, got 5"],
    [[{ role: "user", content: [null] }], "content part must be an object, got null"],
  ])("%j is refused", (messages, message) => {
    expect(() => chatPrompt(messages, undefined)).toThrow(badRequest(message));
  });

  test("tools that are no list are refused", () => {
    const messages = [{ role: "user", content: "x" }];
    expect(() => chatPrompt(messages, "f")).toThrow('tools must be an array, got "f"');
  });
});

describe("completion", () => {
  test("token ids are that many tokens, and a list of one prompt is that prompt", () => {
    expect(promptFacts(completionPrompt([1, 2, 300_000]), BASE, 16).tokens).toBe(3);
    expect(completionPrompt([[1, 2]])).toEqual(completionPrompt([1, 2]));
    expect(completionPrompt(["hello"])).toEqual(completionPrompt("hello"));
  });

  test("equal beginnings of token ids share their blocks", () => {
    const hashes = (ids: number[]): number[] => [
      ...promptFacts(completionPrompt(ids), BASE, 2).blockHashes,
    ];
    const a = hashes([1, 2, 3, 4]);
    const b = hashes([1, 2, 3, 5, 6]);
    expect([a[0] === b[0], a[1] === b[1]]).toEqual([true, false]);
  });

  test.each([
    [undefined],
    [""],
    [[]],
    [[[]]],
    [[null]],
    [{}],
    [7],
    [["one", "two"]],
    [[[1], [2]]],
    [[1, "2"]],
    [[1.5]],
    [[-1]],
    [[2 ** 32]],
    [[[["nested"]]]],
  ])("%j is refused", (prompt) => {
    expect(() => completionPrompt(prompt)).toThrow(Refusal);
  });
});

describe("blocks", () => {
  test("four bytes are a token, and only full blocks have a hash", () => {
    const facts = (text: string) => promptFacts(new TextEncoder().encode(text), BASE, 2);
    expect([facts("").tokens, facts("a").tokens, facts("abcde").tokens]).toEqual([1, 1, 2]);
    const counts = ["abcdefg", "abcdefgh", "ä".repeat(8)].map(
      (text) => facts(text).blockHashes.length,
    );
    expect(counts).toEqual([0, 1, 2]);
  });

  test("prompts share as many hashes as they share leading blocks", () => {
    const text = fc.array(fc.constantFrom("aaaa", "bbbb"), { maxLength: 12 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const miss = a.findIndex((block, i) => block !== b[i]);
        const shared = miss < 0 ? a.length : miss;
        const ofA = hashesOf(a.join(""));
        const ofB = hashesOf(b.join(""));
        expect(ofA.slice(0, shared)).toEqual(ofB.slice(0, shared));
        // Chained: after the first difference nothing is equal any more, not even elsewhere.
        const rest = new Set(ofA.slice(shared));
        expect(ofB.slice(shared).filter((hash) => rest.has(hash))).toEqual([]);
      }),
    );
  });

  test("adapters and cache salts have blocks of their own, also where one reads like the other's prompt", () => {
    const text = "abcdabcdabcdabcd";
    const roots: HashRoot[] = [
      BASE,
      { adapter: "a", cacheSalt: "" },
      { adapter: "", cacheSalt: "a" },
      { adapter: "abcd", cacheSalt: "" },
      { adapter: "a", cacheSalt: "b" },
      { adapter: "ab", cacheSalt: "" },
    ];
    // An empty adapter name is no adapter.
    const all = roots.flatMap((root) => hashesOf(text, root));
    expect(new Set(all).size).toBe(all.length);
  });

  test("two hundred thousand blocks have two hundred thousand hashes, all safe integers", () => {
    const ids = Uint32Array.from({ length: 200_000 }, (_, i) => i);
    const { blockHashes } = promptFacts(new Uint8Array(ids.buffer), BASE, 1);
    expect(new Set(blockHashes).size).toBe(200_000);
    expect(blockHashes.every((hash) => Number.isSafeInteger(hash) && hash >= 0)).toBe(true);
  });
});
