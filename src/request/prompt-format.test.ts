import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockHasher } from "../../scheduler/index.ts";
import { defaultMediaEstimate } from "./media-tokens.ts";
import { type PromptApi, PromptReader } from "./prompt-format.ts";
import { PromptStream } from "./prompt-stream.ts";
import { TAG_MIN } from "./prompt-tags.ts";
import { BodyScan } from "./scan-json.ts";

const scan = new BodyScan();
const stream = new PromptStream(scan.area);
const reader = new PromptReader(scan);
const CAP = 1 << 20;

interface Prompt {
  tokens: number;
  /** What was written, padding included. */
  bytes: Buffer;
}

function prompts(body: string, api: PromptApi, upstream = false, cap = CAP): Prompt[] {
  scan.reset();
  expect(scan.scan(Buffer.from(body))).toBeNull();
  reader.begin(api, upstream);
  const found: Prompt[] = [];
  for (;;) {
    stream.begin(cap, defaultMediaEstimate);
    if (!reader.next(stream)) return found;
    const { tokens } = stream;
    const { area } = scan;
    found.push({ tokens, bytes: Buffer.from(area.bytes.subarray(area.stream, stream.finish())) });
  }
}

function only(body: string, api: PromptApi, upstream = false, cap = CAP): Prompt {
  const found = prompts(body, api, upstream, cap);
  expect(found).toHaveLength(1);
  return found[0]!;
}

/** The expected stream: numbers are tags, strings are text; padded to a token. */
function bytesOf(...parts: (string | number | Uint8Array)[]): Buffer {
  const bytes = Buffer.concat(
    parts.map((part) => {
      if (typeof part === "number") return Buffer.of(part);
      return typeof part === "string" ? Buffer.from(part) : part;
    }),
  );
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

const hasher = new BlockHasher();
/** Placeholder words: halves of XXH64, in turn. */
function words(asset: string, count: number, upstream = false): Buffer {
  const bytes = Buffer.from(asset);
  hasher.ensure(bytes.length);
  hasher.input.set(bytes);
  hasher.xxh64(0, bytes.length);
  const out = Buffer.alloc(count * 4);
  for (let i = 0; i < count; i++) {
    out.writeUInt32LE(i % 2 === 0 || upstream ? hasher.lo : hasher.hi, i * 4);
  }
  return out;
}

const M = 0xff;
const F = 0xfe;
const chat = (messages: string, more = ""): string => `{"model":"m"${more},"messages":${messages}}`;

// ── any conversation, as JSON text and as the stream it should give ───────────────────────────────────────────────

interface Sample {
  json: string;
  expected: (string | number)[];
}

const anyText = fc.string({ unit: "binary", maxLength: 20 });
const anyRaw = fc
  .tuple(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom("", " "))
  .map(([value, indent]) => JSON.stringify([value], null, indent));

function field(name: string, tag: string, value: fc.Arbitrary<string>): fc.Arbitrary<Sample> {
  return value.map((text) => {
    return { json: `${JSON.stringify(name)}: ${JSON.stringify(text)}`, expected: [F, tag, text] };
  });
}

const absent = fc.constant<Sample>({ json: "", expected: [] });
const orAbsent = (sample: fc.Arbitrary<Sample>): fc.Arbitrary<Sample> =>
  fc.oneof(absent, sample, sample);
const nullMember = (name: string): fc.Arbitrary<Sample> =>
  fc.constant({ json: `"${name}":null`, expected: [] });

const anyBlock: fc.Arbitrary<Sample> = fc.oneof(
  anyText.map((text) => ({
    json: JSON.stringify({ type: "text", text, cache_control: {} }),
    expected: [F, "c", text],
  })),
  anyText.map((text) => ({ json: JSON.stringify(text), expected: [F, "c", text] })),
  anyRaw.map((raw) => ({ json: `{"odd":${raw}}`, expected: [F, "o", `{"odd":${raw}}`] })),
);

const anyContent: fc.Arbitrary<Sample> = fc.oneof(
  field("content", "c", anyText),
  fc.array(anyBlock, { maxLength: 4 }).map((blocks) => ({
    json: `"content":[ ${blocks.map((block) => block.json).join(" , ")} ]`,
    expected: blocks.flatMap((block) => block.expected),
  })),
  nullMember("content"),
);

const anyMessage: fc.Arbitrary<Sample> = fc
  .tuple(
    fc.constantFrom("user", "assistant", "tool", "sys\u00e9"),
    orAbsent(field("name", "n", anyText)),
    orAbsent(field("tool_call_id", "i", anyText)),
    orAbsent(field("reasoning_content", "r", anyText)),
    orAbsent(anyContent),
    fc.oneof(
      absent,
      nullMember("tool_calls"),
      anyRaw.map((raw) => ({ json: `"tool_calls":${raw}`, expected: [F, "t", raw] })),
    ),
    fc.boolean(),
  )
  .map(([role, name, id, reasoning, content, calls, isReversed]) => {
    const fields = [name, id, reasoning, content, calls];
    const members = [`"role":${JSON.stringify(role)}`, ...fields.map((sample) => sample.json)];
    if (isReversed) members.reverse();
    return {
      json: `{${members.filter((member) => member !== "").join(",")}}`,
      expected: [M, role, ...fields.flatMap((sample) => sample.expected)],
    };
  });

const anyMessages = fc.array(anyMessage, { minLength: 1, maxLength: 5 });
const listOf = (samples: readonly Sample[]): string =>
  `[${samples.map((sample) => sample.json).join(", ")}]`;
const streamOf = (samples: readonly Sample[]): (string | number)[] =>
  samples.flatMap((sample) => sample.expected);

describe("chat, own format", () => {
  test("each message is its role and fields behind tags, in one order", () => {
    fc.assert(
      fc.property(anyMessages, (messages) => {
        const { bytes, tokens } = only(chat(listOf(messages)), "chat");
        const expected = bytesOf(...streamOf(messages));
        expect(bytes).toEqual(expected);
        expect(tokens).toBe(expected.length / 4);
      }),
    );
  });

  test("a continued conversation starts with the stream of the one before", () => {
    fc.assert(
      fc.property(anyMessages, anyMessages, (messages, more) => {
        const before = bytesOf(...streamOf(messages));
        const length = lengthOf(messages);
        const after = only(chat(listOf([...messages, ...more])), "chat").bytes;
        expect(after.subarray(0, length)).toEqual(before.subarray(0, length));
      }),
    );
  });

  test("fields do not run together: the tags give back what was put in", () => {
    fc.assert(
      fc.property(anyMessages, (messages) => {
        const { bytes } = only(chat(listOf(messages)), "chat");
        const end = lengthOf(messages);
        const parts: string[] = [];
        for (let i = 0; i < end; ) {
          const start = i++;
          while (i < end && bytes[i]! < TAG_MIN) i++;
          parts.push(`${bytes[start]}${bytes.toString("utf8", start + 1, i)}`);
        }
        const expected: string[] = [];
        for (const part of streamOf(messages)) {
          if (typeof part === "number") expected.push(String(part));
          else expected[expected.length - 1] += Buffer.from(part).toString("utf8");
        }
        expect(parts).toEqual(expected);
      }),
    );
  });

  test("tools, documents and template come first, as the bytes they came in", () => {
    const more =
      ',"chat_template_kwargs":{ "b":1, "a":2 },"tools":[ {"z":1,"a":"<\\u00e9>"} ]' +
      ',"chat_template":"{% x %}\\n","documents":[{}],"response_format":{"type":"json_object"}';
    const { bytes } = only(chat('[{"role":"user","content":"hi"}]', more), "chat");
    const P = 0xfc;
    const expected = [
      ...[P, 'T[ {"z":1,"a":"<\\u00e9>"} ]', P, "D[{}]", P, "J{% x %}\n"],
      ...[P, 'K{ "b":1, "a":2 }', M, "user", F, "chi"],
    ];
    expect(bytes).toEqual(bytesOf(...expected));
  });

  test("null members are as good as absent, sampling and response format do not matter", () => {
    const plain = only(chat('[{"role":"user","content":"hi"}]'), "chat").bytes;
    const more = ',"tools":null,"documents":null,"temperature":1,"response_format":{"type":"x"}';
    expect(only(chat('[{"role":"user","content":"hi"}]', more), "chat").bytes).toEqual(plain);
  });

  test("messages of an unknown shape are taken as they are", () => {
    const body = chat('["text", 5, {"content":"no role"}, {"role":7,"content":{"a":1}}]');
    expect(only(body, "chat").bytes).toEqual(
      bytesOf(
        ...[M, F, "otext", M, F, "o5", M, F, 'o{"content":"no role"}', M, "7", F, 'c{"a":1}'],
      ),
    );
  });

  test("bodies that differ only in what upstream ignores have different streams", () => {
    const variants = [
      '[{"role":"assistant","content":"x"}]',
      '[{"role":"assistant","content":"x","tool_calls":[]}]',
      '[{"role":"assistant","content":"x","name":"n"}]',
      '[{"role":"assistant","reasoning_content":"x"}]',
      '[{"role":"assistant","tool_call_id":"x"}]',
      '[{"role":"assistantx"}]',
      '[{"role":"assistant"},{"role":"x"}]',
      '[{"role":"assistant","content":[{"type":"text","text":""},{"type":"text","text":"x"}]}]',
    ];
    const streams = variants.map((variant) => only(chat(variant), "chat").bytes.toString("hex"));
    expect(new Set(streams).size).toBe(variants.length);
  });
});

/** Bytes of the expected stream without the padding. */
function lengthOf(messages: readonly Sample[]): number {
  return streamOf(messages).reduce<number>((sum, part) => {
    return sum + (typeof part === "number" ? 1 : Buffer.byteLength(part));
  }, 0);
}

describe("media", () => {
  const image = '{"type":"image_url","image_url":{"url":"http://x/i.png","detail":"low"}}';

  test("placeholder tokens start on a token, both halves of the hash in turn", () => {
    const body = chat(`[{"role":"user","content":[${image},{"type":"text","text":"what?"}]}]`);
    const { bytes, tokens } = only(body, "chat");
    const head = bytesOf(M, "user", 0xfd, "i");
    expect(bytes).toEqual(bytesOf(head, words("http://x/i.png", 225), F, "cwhat?"));
    expect(tokens).toBe(head.length / 4 + 225 + 2);
  });

  test("a bare string is taken as the URL", () => {
    const bare = '{"type":"image_url","image_url":"http://x/i.png"}';
    const of = (block: string): Buffer =>
      only(chat(`[{"role":"user","content":[${block}]}]`), "chat").bytes;
    expect(of(bare)).toEqual(of(image));
  });

  test("escapes in a URL are resolved before it is hashed and measured", () => {
    const png = Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40", "latin1");
    const url = `data:image/png;base64,${png.toString("base64")}`;
    const json = JSON.stringify(url).replaceAll("/", "\\/");
    const body = chat(`[{"role":"user","content":[{"image_url":{"url":${json}}}]}]`);
    expect(only(body, "chat").bytes).toEqual(bytesOf(bytesOf(M, "user", 0xfd, "i"), words(url, 4)));
  });

  test("video and audio have letters and sizes of their own", () => {
    const blocks =
      '{"type":"video_url","video_url":{"url":"v"}},' +
      '{"type":"input_audio","input_audio":{"data":"abcdef","format":"wav"}},' +
      '{"type":"audio_url","audio_url":{"url":"abcde"}}';
    const { bytes } = only(chat(`[{"role":"u","content":[${blocks}]}]`), "chat");
    const video = bytesOf(bytesOf(M, "u", 0xfd, "v"), words("v", 4500));
    const data = bytesOf(bytesOf(video, 0xfd, "a"), words("abcdef", 3));
    expect(bytes).toEqual(bytesOf(bytesOf(data, 0xfd, "a"), words("abcde", 2)));
  });

  test("an asset without a source is taken as it is", () => {
    const block = '{"type":"image_url","image_url":{"detail":"low"}}';
    expect(only(chat(`[{"role":"u","content":[${block}]}]`), "chat").bytes).toEqual(
      bytesOf(M, "u", F, `o${block}`),
    );
  });

  test("many assets in a small body do not run out of room", () => {
    const body = chat(`[{"role":"u","content":[${new Array(300).fill(image).join(",")},"end"]}]`);
    const { bytes, tokens } = only(body, "chat");
    expect(tokens).toBe(300 * 226 + 1 + 1);
    expect(bytes.subarray(-12)).toEqual(bytesOf(words("http://x/i.png", 1), F, "cend"));
  });
});

describe("completions and embeddings", () => {
  const tokenBytes = (...ids: number[]): Buffer => Buffer.from(Uint32Array.from(ids).buffer);

  test("a text is its own stream, so that a longer one continues it", () => {
    expect(only('{"prompt":"a\\u00e9b\\n"}', "completions").bytes).toEqual(bytesOf("aéb\n"));
  });

  test("each string of a list is a prompt", () => {
    const found = prompts('{"prompt":[ "abcd" , "", "efghi" ]}', "completions");
    expect(found.map(({ bytes }) => bytes)).toEqual(["abcd", "", "efghi"].map((t) => bytesOf(t)));
    expect(found.map(({ tokens }) => tokens)).toEqual([1, 0, 2]);
  });

  test("token ids are taken as they are, and counted", () => {
    const { bytes, tokens } = only('{"prompt":[1, 4294967295 ,3]}', "completions");
    expect(bytes).toEqual(tokenBytes(1, 4294967295, 3));
    expect(tokens).toBe(3);
  });

  test("lists of token ids are a prompt each, also mixed with texts", () => {
    const found = prompts('{"input":[[1,2],[3],"four",[ ]]}', "embeddings");
    expect(found.map(({ bytes }) => bytes.toString("hex"))).toEqual([
      tokenBytes(1, 2).toString("hex"),
      tokenBytes(3).toString("hex"),
      Buffer.from("four").toString("hex"),
      "",
    ]);
  });

  test("a list that is neither is taken as text", () => {
    expect(only('{"prompt":[1,"a"]}', "completions").bytes).toEqual(bytesOf('[1,"a"]'));
    expect(only('{"prompt":[1.5]}', "completions").bytes).toEqual(bytesOf("[1.5]"));
  });

  test("no prompt, no stream", () => {
    expect(prompts('{"prompt":[]}', "completions")).toEqual([]);
    expect(prompts("{}", "completions")).toEqual([]);
    expect(prompts('{"prompt":"x"}', "none")).toEqual([]);
  });

  test("the prompt of an image is a text", () => {
    expect(only('{"prompt":"a cat"}', "images").bytes).toEqual(bytesOf("a cat"));
  });
});

describe("responses and conversations", () => {
  test("instructions are preamble, a bare text is a message", () => {
    const { bytes } = only('{"input":"hi","instructions":"be brief"}', "responses");
    expect(bytes).toEqual(bytesOf(0xfc, "Ibe brief", M, F, "chi"));
  });

  test("items with a role are messages, others are taken as they are", () => {
    const items =
      '[{"role":"user","content":[{"type":"input_text","text":"hi"},' +
      '{"type":"input_image","image_url":"http://x/i.png"}]},{"type":"function_call","name":"f"}]';
    const call = '{"type":"function_call","name":"f"}';
    const head = bytesOf(bytesOf(M, "user", F, "chi", 0xfd, "i"), words("http://x/i.png", 225));
    const expected = bytesOf(head, M, F, `o${call}`);
    expect(only(`{"input":${items}}`, "responses").bytes).toEqual(expected);
    expect(only(`{"items":${items}}`, "conversations").bytes).toEqual(expected);
  });
});

describe("the cap", () => {
  test("stops the writing, not the counting", () => {
    const tools = '[{"type":"function"}]';
    fc.assert(
      fc.property(anyMessages, fc.nat(40), (messages, capTokens) => {
        const body = chat(listOf(messages), `,"tools":${tools}`);
        const whole = only(body, "chat");
        const capped = only(body, "chat", false, capTokens * 4);
        expect(capped.tokens).toBe(whole.tokens);
        expect(capped.bytes).toEqual(whole.bytes.subarray(0, capTokens * 4));
      }),
    );
  });

  test("cuts placeholders and token ids as well", () => {
    const image = '{"image_url":"u"}';
    const body = chat(`[{"role":"u","content":[${image},"tail"]}]`);
    const whole = only(body, "chat");
    for (const capTokens of [0, 1, 2, 100, 226, 227]) {
      const capped = only(body, "chat", false, capTokens * 4);
      expect(capped.tokens).toBe(whole.tokens);
      expect(capped.bytes).toEqual(whole.bytes.subarray(0, capTokens * 4));
    }
    expect(only('{"prompt":[1,2,3]}', "completions", false, 8)).toEqual({
      tokens: 3,
      bytes: Buffer.from(Uint32Array.of(1, 2).buffer),
    });
  });
});

interface TokenVector {
  id: string;
  plugin: string;
  request: { toolsJson?: string; messages: unknown[] };
  expected: {
    tokenCount: number;
    firstTokens: number[];
    features: { offset: number; length: number; hash: string }[];
  };
}

const fixture = new URL("../../test/fixtures/prompt-vectors.json", import.meta.url);
const vectors: TokenVector[] = JSON.parse(readFileSync(fixture, "utf8")).vectors.filter(
  (vector: TokenVector) => vector.plugin === "estimate-tokenizer",
);

describe("upstream's format", () => {
  test("there are two vectors", () => {
    expect(vectors).toHaveLength(2);
  });

  test.each(vectors)("vector $id of llm-d-router", ({ request, expected }) => {
    const tools = request.toolsJson === undefined ? "" : `,"tools":${request.toolsJson}`;
    const { bytes, tokens } = only(chat(JSON.stringify(request.messages), tools), "chat", true);
    expect(tokens).toBe(expected.tokenCount);
    expect(expected.firstTokens.map((_, i) => bytes.readUInt32LE(i * 4))).toEqual(
      expected.firstTokens,
    );
    for (const { offset, length, hash } of expected.features) {
      const word = Number.parseInt(hash.slice(8), 16);
      for (let i = 0; i < length; i++) expect(bytes.readUInt32LE((offset + i) * 4)).toBe(word);
    }
  });

  test("runs role and texts together and leaves the rest out", () => {
    const messages =
      '[{"role":"user","name":"n","content":"a"},"odd",{"role":"assistant","content":null,' +
      '"tool_calls":[1]},{"content":["x",{"type":"text","text":"b"},{"odd":1}]}]';
    expect(only(chat(messages, ',"documents":[1]'), "chat", true).bytes).toEqual(
      bytesOf("useraassistantb"),
    );
  });

  test("other bodies are the JSON that came", () => {
    expect(only('{"items":[ {"a":1} ]}', "conversations", true).bytes).toEqual(
      bytesOf('[ {"a":1} ]'),
    );
    const responses = '{"input":"hi","tools":[1],"instructions":"be"}';
    expect(only(responses, "responses", true).bytes).toEqual(bytesOf('["be",[1],"hi"]'));
    expect(only('{"input":[1, 2]}', "responses", true).bytes).toEqual(bytesOf("[[1, 2]]"));
  });

  test("texts and token ids of completions are the same in both formats", () => {
    for (const body of ['{"prompt":"abc"}', '{"prompt":[1,2]}', '{"prompt":["a","b"]}']) {
      expect(prompts(body, "completions", true)).toEqual(prompts(body, "completions"));
    }
  });
});
