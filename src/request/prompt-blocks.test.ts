import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blockHashesHex, type HashPlan, hashTokens } from "../../scheduler/index.ts";
import { defaultMediaEstimate } from "./media-tokens.ts";
import { openaiParser } from "./parsers/openai.ts";
import { ParsedBody } from "./parsers/parser.ts";
import { hashPrompt, type PromptFacts, promptLimits } from "./prompt-blocks.ts";
import { runSteps } from "./steps.ts";

const parsed = new ParsedBody();

function plan(blockSizeTokens: number, blocksMax = 2048, upstreamRoot = false): HashPlan {
  return { blockSizeTokens, blocksMax, upstreamRoot };
}

const CHAT = "/v1/chat/completions";
const TEXT = "/v1/completions";

function facts(
  body: Uint8Array | string,
  path: string,
  plans: readonly HashPlan[],
  model = "m",
): PromptFacts {
  const bytes = Buffer.from(body as string);
  parsed.reset();
  expect(openaiParser.parse(bytes, path, parsed)).toBeNull();
  return runSteps(hashPrompt(parsed, bytes, plans, model));
}

/** Tokens of a text: four bytes each. */
function tokensOf(text: string): Uint32Array {
  const bytes = Buffer.from(text);
  const tokens = new Uint32Array(Math.ceil(bytes.length / 4));
  Buffer.from(tokens.buffer).set(bytes);
  return tokens;
}

describe("one prompt", () => {
  test("is hashed as its tokens are, for any text, block size and cap", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", minLength: 1, maxLength: 200 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 12 }),
        fc.boolean(),
        (prompt, size, max, upstream) => {
          const body = JSON.stringify({ model: "m", prompt, cache_salt: "s" });
          const { promptTokens, blockHashes } = facts(body, TEXT, [plan(size, max, upstream)]);
          const tokens = tokensOf(prompt);
          expect(promptTokens).toBe(tokens.length);
          const expected = hashTokens([tokens], "m", "s", size, max, upstream);
          const isCut = expected.words.length * 2 * size > Buffer.byteLength(prompt);
          expect(blockHashes).toEqual([{ ...expected, partialTail: Uint8Array.of(isCut ? 1 : 0) }]);
        },
      ),
    );
  });

  test("its roots are target model and salt, which a caller may replace", () => {
    const body = Buffer.from('{"model":"m","prompt":"hello","cache_salt":"s"}');
    const hash = (model: string, salt?: string): string => {
      parsed.reset();
      openaiParser.parse(body, TEXT, parsed);
      const { blockHashes } = runSteps(hashPrompt(parsed, body, [plan(4)], model, salt));
      return blockHashesHex(blockHashes[0]!)[0]![0]!;
    };
    expect(hash("m")).toBe(hash("m", "s"));
    const all = [hash("m"), hash("lora"), hash("m", ""), hash("m", "é"), hash("mé", "")];
    expect(new Set(all).size).toBe(all.length);
  });

  test("a plan without a cap is hashed to the end", () => {
    const prompt = "x".repeat(300_000);
    const { blockHashes } = facts(JSON.stringify({ prompt }), TEXT, [
      plan(16, Number.POSITIVE_INFINITY),
    ]);
    expect(blockHashes[0]!.words.length).toBe(2 * Math.ceil(75_000 / 16));
    expect(blockHashes[0]!.partialTail[0]).toBe(1);
  });

  test("a prompt of many steps has the hashes that it has in one", () => {
    const text = Array.from({ length: 20_000 }, (_, i) => String(i)).join(" ");
    const body = Buffer.from(JSON.stringify({ model: "m", prompt: text }));
    const sizes = [1, 3];
    const plans = sizes.map((size) => plan(size, Number.POSITIVE_INFINITY));
    parsed.reset();
    openaiParser.parse(body, TEXT, parsed);
    const steps = hashPrompt(parsed, body, plans, "m");
    let count = 0;
    let step = steps.next();
    for (; !step.done; step = steps.next()) count++;
    expect(count).toBeGreaterThan(4);
    for (const [i, size] of sizes.entries()) {
      const expected = hashTokens([tokensOf(text)], "m", "", size, Number.POSITIVE_INFINITY, false);
      expect(step.value.blockHashes[i]!.words).toEqual(expected.words);
    }
  });

  test("images take the tokens of the estimate that is given", () => {
    const body = Buffer.from('{"messages":[{"role":"u","content":[{"image_url":"x"}]}]}');
    parsed.reset();
    openaiParser.parse(body, CHAT, parsed);
    const estimate = { ...defaultMediaEstimate, imageTokens: 10 };
    expect(runSteps(hashPrompt(parsed, body, [], "m", "", estimate)).promptTokens).toBe(11);
  });
});

test("a last block that is padded within its last token is partial: a longer text will not have it", () => {
  const tail = (prompt: string): number =>
    facts(JSON.stringify({ prompt }), TEXT, [plan(2)]).blockHashes[0]!.partialTail[0]!;
  expect(["1234567", "12345678", "123456789"].map(tail)).toEqual([1, 0, 1]);
});

describe("several prompts", () => {
  test("are hashed each on its own", () => {
    const prompts = ["first prompt", "", "the second", "a third one that is longer"];
    const { promptTokens, blockHashes } = facts(JSON.stringify({ prompt: prompts }), TEXT, [
      plan(2),
    ]);
    const expected = hashTokens(prompts.map(tokensOf), "m", "", 2, 2048, false);
    expect(blockHashes).toEqual([{ ...expected, partialTail: Uint8Array.of(1, 0, 1, 1) }]);
    expect(promptTokens).toBe(3 + 0 + 3 + 7);
  });

  test("share the plan's cap", () => {
    const prompt = ["aaaaaaaa", "bbbbbbbb", "cccccccc"];
    const { blockHashes } = facts(JSON.stringify({ prompt }), TEXT, [plan(1, 3)]);
    expect([...blockHashes[0]!.promptStarts]).toEqual([0, 2, 3, 3]);
    expect([...blockHashes[0]!.partialTail]).toEqual([0, 0, 0]);
  });

  test("beyond the limit are counted only", () => {
    const count = promptLimits.promptsHashedMax + 10;
    const { promptTokens, blockHashes } = facts(
      JSON.stringify({ prompt: new Array(count).fill("abcd") }),
      TEXT,
      [plan(1, 10_000)],
    );
    expect(promptTokens).toBe(count);
    expect(blockHashes[0]!.promptStarts.length).toBe(promptLimits.promptsHashedMax + 1);
    expect(blockHashes[0]!.words.length).toBe(2 * promptLimits.promptsHashedMax);
  });
});

describe("several plans", () => {
  const body = JSON.stringify({ messages: [{ role: "user", content: "some text ".repeat(30) }] });

  test("get what each would get alone", () => {
    const plans = [plan(4), plan(16, 3), plan(4, 2048, true), plan(8), plan(8, 2, true)];
    const together = facts(body, CHAT, plans).blockHashes;
    plans.forEach((one, i) => {
      expect(together[i]).toEqual(facts(body, CHAT, [one]).blockHashes[0]);
    });
  });

  test("that are equal share one result", () => {
    const { blockHashes } = facts(body, CHAT, [plan(4), plan(8), plan(4), plan(4, 2048, true)]);
    expect(blockHashes[2]).toBe(blockHashes[0]);
    expect(blockHashes[1]).not.toBe(blockHashes[0]);
    expect(blockHashes[3]).not.toBe(blockHashes[0]);
  });

  test("the first one's format is what is counted", () => {
    const both = [plan(4, 9, true), plan(4)];
    expect(facts(body, CHAT, both).promptTokens).toBe(Math.ceil(304 / 4));
    expect(facts(body, CHAT, both.toReversed()).promptTokens).toBe(Math.ceil(307 / 4));
    expect(facts(body, CHAT, []).promptTokens).toBe(Math.ceil(307 / 4));
  });
});

test("hashes of a conversation start with the full blocks of the one before", () => {
  const messages = ["a question", "an answer", "another question"].map((content, i) => {
    return { role: i % 2 === 0 ? "user" : "assistant", content: content.repeat(9) };
  });
  const hash = (count: number): string[] => {
    const { blockHashes } = facts(JSON.stringify({ messages: messages.slice(0, count) }), CHAT, [
      plan(4),
    ]);
    const [list] = blockHashesHex(blockHashes[0]!);
    return blockHashes[0]!.partialTail[0] === 1 ? list!.slice(0, -1) : list!;
  };
  const [one, two, three] = [hash(1), hash(2), hash(3)];
  expect(one.length).toBeGreaterThan(4);
  expect(two.slice(0, one.length)).toEqual(one);
  expect(three.slice(0, two.length)).toEqual(two);
});

describe("nothing to hash", () => {
  test("an empty prompt and a body that nobody parsed give null for each plan", () => {
    expect(facts('{"prompt":[""]}', TEXT, [plan(4), plan(8)])).toEqual({
      promptTokens: 0,
      blockHashes: [null, null],
    });
    parsed.reset();
    expect(runSteps(hashPrompt(parsed, Buffer.from("opaque"), [plan(4)], "m"))).toEqual({
      promptTokens: 0,
      blockHashes: [null],
    });
  });
});

describe("hostile bodies", () => {
  test("bytes that are no UTF-8 can not forge the border of a field", () => {
    const forged = Buffer.from('{"messages":[{"role":"user\xfecx"}]}', "latin1");
    const plain = '{"messages":[{"role":"user","content":"x"}]}';
    const hash = (body: Uint8Array | string): unknown => facts(body, CHAT, [plan(1)]).blockHashes;
    expect(hash(forged)).not.toEqual(hash(plain));
  });

  test("a body parsed in between does not mix in", () => {
    const body = Buffer.from('{"prompt":"the first body","model":"m"}');
    const expected = facts(body, TEXT, [plan(1)]);
    parsed.reset();
    openaiParser.parse(body, TEXT, parsed);
    parsed.scan.area.load(Buffer.from('{"prompt":"another one","model":"m"}'));
    expect(runSteps(hashPrompt(parsed, body, [plan(1)], "m"))).toEqual(expected);
    expect(runSteps(hashPrompt(parsed, body, [plan(1)], "m"))).toEqual(expected);
  });

  test("a long salt and a long model name are hashed in full", () => {
    const salt = "s".repeat(4000);
    const body = JSON.stringify({ prompt: "hello", cache_salt: salt });
    const target = "t".repeat(100_000);
    expect(facts(body, TEXT, [plan(4)], target).blockHashes).toEqual([
      hashTokens([tokensOf("hello")], target, salt, 4, 9, false),
    ]);
  });

  test("anything in any place is hashed, the same each time, within the caps", () => {
    const asset = fc.constantFrom({ url: "u" }, { data: "d", format: "f" }, "u", {}, null, 5);
    const anyThing = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.array(fc.oneof(fc.nat(9), fc.string(), fc.array(fc.nat(9), { maxLength: 5 }))),
      fc.array(
        fc.record({
          role: fc.oneof(fc.string(), fc.jsonValue({ maxDepth: 1 })),
          content: fc.oneof(
            fc.jsonValue({ maxDepth: 2 }),
            fc.array(fc.dictionary(fc.constantFrom("text", "image_url", "audio_url"), asset)),
          ),
        }),
      ),
    );
    const paths = ["completions", "chat/completions", "responses", "conversations", "embeddings"];
    const plans = [plan(1, 40), plan(3, 7, true)];
    let hashed = 0;
    fc.assert(
      fc.property(anyThing, anyThing, fc.constantFrom(...paths), (value, tools, path) => {
        const members = { prompt: value, messages: value, input: value, items: value };
        const body = Buffer.from(JSON.stringify({ ...members, tools }));
        parsed.reset();
        if (openaiParser.parse(body, path, parsed) !== null) return;
        const found = runSteps(hashPrompt(parsed, body, plans, "m"));
        expect(runSteps(hashPrompt(parsed, body, plans, "m"))).toEqual(found);
        found.blockHashes.forEach((hashes, i) => {
          if (hashes === null) return;
          hashed++;
          const count = hashes.promptStarts.at(-1)!;
          expect(hashes.words.length).toBe(count * 2);
          expect(count).toBeLessThanOrEqual(plans[i]!.blocksMax);
          expect(hashes.partialTail.length).toBe(hashes.promptStarts.length - 1);
        });
      }),
      { numRuns: 1000 },
    );
    expect(hashed).toBeGreaterThan(100);
  });
});
