import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultMediaEstimate } from "./media-tokens.ts";
import { PromptReader } from "./prompt-format.ts";
import { PromptStream } from "./prompt-stream.ts";
import { BodyScan } from "./scan-json.ts";

const scan = new BodyScan();
const stream = new PromptStream(scan.area);
const reader = new PromptReader(scan);
const CAP = 1 << 20;
const M = 0xff;
const F = 0xfe;
const P = 0xfc;

interface Prompt {
  readonly tokens: number;
  readonly bytes: Buffer;
}

function promptOf(body: string, upstream = false): Prompt {
  scan.reset();
  expect(scan.scan(Buffer.from(body))).toBeNull();
  reader.begin("messages", upstream);
  stream.begin(CAP, defaultMediaEstimate);
  expect(reader.next(stream)).toBe(true);
  const { tokens } = stream;
  const { area } = scan;
  const bytes = Buffer.from(area.bytes.subarray(area.stream, stream.finish()));
  expect(reader.next(stream)).toBe(false);
  return { tokens, bytes };
}

function bytesOf(...parts: (string | number)[]): Buffer {
  const bytes = Buffer.concat(
    parts.map((part) => (typeof part === "number" ? Buffer.of(part) : Buffer.from(part))),
  );
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

const user = (content: unknown): object => ({ role: "user", content });
const bodyOf = (messages: readonly unknown[], more: object = {}): string =>
  JSON.stringify({ model: "m", max_tokens: 5, ...more, messages });

describe("own format", () => {
  test("tools, system text, then messages: a text and a block of it are the same", () => {
    const tools = [{ name: "t", input_schema: {} }];
    const expected = bytesOf(
      ...[P, `T${JSON.stringify(tools)}`, P, "S", F, "cBe brief", M, "user", F, "chi"],
    );
    expect(promptOf(bodyOf([user("hi")], { tools, system: "Be brief" })).bytes).toEqual(expected);
    const system = [{ type: "text", text: "Be brief", cache_control: { type: "ephemeral" } }];
    const blocks = [{ type: "text", text: "hi", cache_control: { type: "ephemeral" } }];
    expect(promptOf(bodyOf([user(blocks)], { tools, system })).bytes).toEqual(expected);
  });

  test("the turns of an agent: thoughts, calls of tools, and their results", () => {
    const call = { type: "tool_use", id: "i1", name: "grep", input: { a: 1 } };
    const messages = [
      { role: "assistant", content: [{ type: "thinking", thinking: "hm", signature: "x" }, call] },
      user([
        { type: "tool_result", tool_use_id: "i1", content: "found" },
        { type: "tool_result", tool_use_id: "i2", content: [{ type: "text", text: "b" }, "c"] },
        { type: "tool_result", tool_use_id: "i3" },
        { type: "redacted_thinking", data: "zz" },
      ]),
    ];
    expect(promptOf(bodyOf(messages)).bytes).toEqual(
      bytesOf(
        ...[M, "assistant", F, "rhm", F, "ii1", F, "ngrep", F, 't{"a":1}'],
        ...[M, "user", F, "ii1", F, "cfound", F, "ii2", F, "cb", F, "cc", F, "ii3", F, "ozz"],
      ),
    );
  });

  test("where breakpoints stand does not matter, nor what signs a thought", () => {
    const blocks = (more: object): object[] => [
      { type: "text", text: "a", ...more },
      { type: "thinking", thinking: "t", ...more },
      { type: "tool_use", id: "i", name: "n", input: {}, ...more },
      { type: "tool_result", tool_use_id: "i", content: "r", ...more },
      { type: "document", source: { type: "text", data: "d" }, title: "t", ...more },
      { type: "image", source: { type: "url", url: "http://x/i.png" }, ...more },
    ];
    const plain = promptOf(bodyOf([user(blocks({}))])).bytes;
    const marked = { cache_control: { type: "ephemeral" }, signature: "s" };
    expect(promptOf(bodyOf([user(blocks(marked))])).bytes).toEqual(plain);
  });

  test("a billing header in the system text does not matter", () => {
    const system = (number: number): object[] => [
      { type: "text", text: `x-anthropic-billing-header: cch=${number};` },
      { type: "text", text: "Be brief" },
    ];
    const plain = promptOf(bodyOf([user("hi")], { system: "Be brief" })).bytes;
    expect(promptOf(bodyOf([user("hi")], { system: system(1) })).bytes).toEqual(plain);
    expect(promptOf(bodyOf([user("hi")], { system: system(2) })).bytes).toEqual(plain);
  });

  test("images take the tokens of their size, by URL or as data", () => {
    const png = Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40", "latin1");
    const data = png.toString("base64");
    const image = (source: object): number =>
      promptOf(bodyOf([user([{ type: "image", source }])])).tokens;
    const head = bytesOf(M, "user", 0xfd, "i").length / 4;
    expect(image({ type: "base64", media_type: "image/png", data })).toBe(head + 4);
    expect(image({ type: "url", url: `data:image/png;base64,${data}` })).toBe(head + 4);
    expect(image({ type: "url", url: "http://x/i.png" })).toBe(head + 225);
  });

  test("different images make different prompts, in results of tools too", () => {
    const at = (url: string, isResult: boolean): string => {
      const block = { type: "image", source: { type: "url", url } };
      const content = isResult
        ? [{ type: "tool_result", tool_use_id: "i", content: [block] }]
        : [block];
      return promptOf(bodyOf([user(content)])).bytes.toString("hex");
    };
    expect(at("http://x/1", false)).not.toBe(at("http://x/2", false));
    expect(at("http://x/1", true)).not.toBe(at("http://x/2", true));
  });

  test("what has another shape is taken as it is", () => {
    const blocks = [7, { odd: [1] }, { type: "image", source: { type: "file", file_id: "f" } }];
    const messages = ["text", 5, { content: "no role" }, user({ a: 1 }), user(blocks), {}];
    expect(promptOf(bodyOf(messages, { system: 9 })).bytes).toEqual(
      bytesOf(
        ...[P, "S", F, "c9", M, F, "otext", M, F, "o5", M, F, "cno role"],
        ...[M, "user", F, 'c{"a":1}', M, "user", F, "o7", F, 'o{"odd":[1]}'],
        ...[F, 'o{"type":"file","file_id":"f"}', M],
      ),
    );
  });

  test("results inside of results are read to one level", () => {
    let inner: unknown = "end";
    for (let i = 0; i < 4000; i++) {
      inner = `[{"tool_use_id":"i","content":${i === 0 ? '"end"' : inner}}]`;
    }
    const body = `{"messages":[{"role":"user","content":${inner}}]}`;
    const { bytes } = promptOf(body);
    expect(bytes.subarray(0, 9)).toEqual(bytesOf(M, "user", F, "ii", F).subarray(0, 9));
    expect(bytes.length).toBeLessThan(body.length);
  });

  test("a continued conversation starts with the stream of the one before", () => {
    const content = fc.oneof(
      fc.string({ unit: "binary", maxLength: 9 }),
      fc.array(fc.record({ type: fc.constant("text"), text: fc.string({ unit: "binary" }) }), {
        maxLength: 3,
      }),
    );
    const messages = fc.array(content.map(user), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(messages, messages, (before, more) => {
        const short = promptOf(bodyOf(before));
        const long = promptOf(bodyOf([...before, ...more]));
        let end = short.bytes.length;
        while (short.bytes[end - 1] === 0) end--; // padding, or zeros of the text: what is before must be equal
        expect(long.bytes.subarray(0, end)).toEqual(short.bytes.subarray(0, end));
        expect(long.tokens).toBeGreaterThanOrEqual(short.tokens);
      }),
    );
  });
});

test("upstream's format is the texts in order, without tags", () => {
  const messages = [
    user("hello"),
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm" },
        { type: "tool_use", id: "i", name: "n", input: { a: 1 } },
      ],
    },
    user([
      { type: "tool_result", tool_use_id: "i", content: [{ type: "text", text: "r" }] },
      { odd: 1 },
    ]),
  ];
  const system = [{ type: "text", text: "Be brief" }];
  expect(promptOf(bodyOf(messages, { tools: [{}], system }), true).bytes).toEqual(
    bytesOf('[{}]Be briefuserhelloassistanthmin{"a":1}userr'),
  );
});
