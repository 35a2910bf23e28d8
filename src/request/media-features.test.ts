import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockHasher } from "../../scheduler/index.ts";
import { engineFrame } from "../../test/support/engine-messages.ts";
import { defaultMediaEstimate } from "./media-tokens.ts";
import { ParsedBody, type Parser } from "./parsers/parser.ts";
import { sglanghttpParser } from "./parsers/sglanghttp.ts";
import { vllmgrpcParser } from "./parsers/vllmgrpc.ts";
import { vllmhttpParser } from "./parsers/vllmhttp.ts";

const parsed = new ParsedBody();
const hasher = new BlockHasher();

/** Token streams of all prompts of a body. */
function streams(
  parser: Parser,
  body: Buffer,
  path: string,
  upstream = false,
  cap = 1 << 20,
): number[][] {
  parsed.reset();
  expect(parser.parse(body, path, parsed)).toBeNull();
  const { area } = parsed.scan;
  const { stream } = parsed;
  const isGrpc = parsed.api === "grpc";
  if (isGrpc) parsed.grpcReader.begin(upstream);
  else parsed.reader.begin(parsed.api, upstream);
  const reader = isGrpc ? parsed.grpcReader : parsed.reader;
  const found: number[][] = [];
  for (;;) {
    stream.begin(cap, defaultMediaEstimate);
    if (!reader.next(stream)) return found;
    const bytes = Buffer.from(area.bytes.subarray(area.stream, stream.finish()));
    found.push([...new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)]);
  }
}

const generate = (body: object, upstream = false, cap = 1 << 20): number[] =>
  streams(
    vllmhttpParser,
    Buffer.from(JSON.stringify(body)),
    "/inference/v1/generate",
    upstream,
    cap,
  )[0]!;

const GRPC = "/vllm.grpc.engine.VllmEngine/Generate";
const generateGrpc = (message: object, upstream = false): number[] =>
  streams(vllmgrpcParser, engineFrame("GenerateRequest", message), GRPC, upstream)[0]!;

/** Halves of the hash of a text, in turn. */
function words(text: string, count: number): number[] {
  const bytes = Buffer.from(text);
  hasher.ensure(bytes.length);
  hasher.input.set(bytes);
  hasher.xxh64(0, bytes.length);
  return Array.from({ length: count }, (_, i) => (i % 2 === 0 ? hasher.lo : hasher.hi));
}

const ids = [101, 7, 7, 7, 102, 8, 8, 103];
const features = {
  mm_hashes: { image: ["hash-é"], audio: ["sound"] },
  mm_placeholders: { image: [{ offset: 1, length: 3 }], audio: [{ offset: 5, length: 2 }] },
};
const marked = [101, ...words("hash-é", 3), 102, ...words("sound", 2), 103];

describe("token ids of vLLM's generate endpoint", () => {
  test("are the stream, with hashes over the placeholders", () => {
    expect(generate({ token_ids: ids })).toEqual(ids);
    expect(generate({ token_ids: ids, features })).toEqual(marked);
  });

  test("in upstream's format are taken as they are", () => {
    expect(generate({ token_ids: ids, features }, true)).toEqual(ids);
  });

  test("escapes in a hash are resolved", () => {
    const body = JSON.stringify({ token_ids: ids, features }).replace(
      "hash-é",
      "ha\\u0073h-\\u00e9",
    );
    expect(streams(vllmhttpParser, Buffer.from(body), "/inference/v1/generate")[0]).toEqual(marked);
  });

  test("different assets in the same place make different prompts", () => {
    const of = (hash: string): number[] =>
      generate({ token_ids: ids, features: { ...features, mm_hashes: { image: [hash] } } });
    expect(of("a")).not.toEqual(of("b"));
  });

  test.each([
    ["no hash for a place", { image: [] }, { image: [{ offset: 0, length: 1 }] }],
    ["no place for a hash", { image: ["h"] }, { image: [] }],
    ["another modality", { image: ["h"] }, { audio: [{ offset: 0, length: 1 }] }],
    ["behind the end", { image: ["h"] }, { image: [{ offset: 8, length: 9 }] }],
    ["no length", { image: ["h"] }, { image: [{ offset: 1 }] }],
    ["a length of 0", { image: ["h"] }, { image: [{ offset: 1, length: 0 }] }],
    ["an offset that is none", { image: ["h"] }, { image: [{ offset: -1, length: 3 }] }],
    ["a hash that is no text", { image: [7] }, { image: [{ offset: 1, length: 3 }] }],
    ["a place that is no object", { image: ["h"] }, { image: [5] }],
    ["lists that are none", { image: "h" }, { image: {} }],
  ])("%s changes nothing", (_, hashes, places) => {
    const odd = { mm_hashes: hashes, mm_placeholders: places };
    expect(generate({ token_ids: ids, features: odd })).toEqual(ids);
  });

  test("a place that is longer than the prompt ends with it", () => {
    const long = {
      mm_hashes: { image: ["h"] },
      mm_placeholders: { image: [{ offset: 6, length: 2 ** 40 }] },
    };
    expect(generate({ token_ids: ids, features: long })).toEqual([
      ...ids.slice(0, 6),
      ...words("h", 2),
    ]);
  });

  test("what is behind the cap is not written", () => {
    expect(generate({ token_ids: ids, features }, false, 8)).toEqual(marked.slice(0, 2));
  });

  test("places that overlap ask for no more work than there are tokens", () => {
    const count = 2000;
    const many = {
      mm_hashes: { image: Array.from({ length: count }, (_, i) => `h${i}`) },
      mm_placeholders: { image: new Array(count).fill({ offset: 0, length: count }) },
    };
    const token_ids = new Array(count).fill(1);
    expect(generate({ token_ids, features: many })).toEqual(words("h0", count));
  });
});

describe("vLLM's gRPC service", () => {
  const media = {
    mmHashes: ["hash-é", "sound"],
    mmPlaceholders: [
      { offset: 1, length: 3 },
      { offset: 5, length: 2 },
    ],
  };

  test("has the stream of the same request over HTTP", () => {
    expect(generateGrpc({ tokenized: { inputIds: ids } })).toEqual(ids);
    expect(generateGrpc({ tokenized: { inputIds: ids }, mmInputs: media })).toEqual(marked);
    expect(generateGrpc({ tokenized: { inputIds: ids }, mmInputs: media }, true)).toEqual(ids);
  });

  test("a place without a hash changes nothing", () => {
    const mmInputs = { mmPlaceholders: media.mmPlaceholders };
    expect(generateGrpc({ tokenized: { inputIds: ids }, mmInputs })).toEqual(ids);
  });

  test("ids are any of 32 bits, in one piece or in several, packed or not", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 2 ** 32 - 1 }), { maxLength: 50 }), (inputIds) => {
        expect(generateGrpc({ tokenized: { inputIds } })).toEqual(inputIds);
      }),
    );
    // 2: {2: 5, 2: packed [6, 300], 2: 7}
    const hex = "1209" + "1005" + "1203" + "06ac02" + "1007";
    const body = Buffer.from(`000000000b${hex}`, "hex");
    expect(streams(vllmgrpcParser, body, GRPC)).toEqual([[5, 6, 300, 7]]);
  });

  test("texts are their bytes, also in place of ids that were left out", () => {
    const text = [...new Uint32Array(Uint8Array.from(Buffer.from("h\u00e9llo!!")).buffer)];
    expect(generateGrpc({ text: "h\u00e9llo!!" })).toEqual(text);
    expect(generateGrpc({ tokenized: { originalText: "h\u00e9llo!!" } })).toEqual(text);
    expect(generateGrpc({ tokenized: { originalText: "x", inputIds: [4] } })).toEqual([4]);
    expect(generateGrpc({ text: "" })).toEqual([]);
  });

  test("each message is a prompt", () => {
    const body = Buffer.concat([
      engineFrame("GenerateRequest", { tokenized: { inputIds: [1, 2] } }),
      engineFrame("GenerateRequest", { text: "four" }),
    ]);
    expect(streams(vllmgrpcParser, body, GRPC)).toEqual([
      [1, 2],
      [Buffer.from("four").readUInt32LE()],
    ]);
  });

  test("ids behind the cap are counted, and not written", () => {
    const inputIds = Array.from({ length: 1000 }, (_, i) => i * 77);
    const body = engineFrame("GenerateRequest", { tokenized: { inputIds } });
    for (const cap of [0, 4, 8, 400, 3996, 4000, 4004]) {
      const [found] = streams(vllmgrpcParser, body, GRPC, false, cap);
      expect(found).toEqual(inputIds.slice(0, cap / 4));
      expect(parsed.stream.tokens).toBe(0); // of the prompt behind it, which there is not
      parsed.grpcReader.begin(false);
      parsed.stream.begin(cap, defaultMediaEstimate);
      parsed.grpcReader.next(parsed.stream);
      expect(parsed.stream.tokens).toBe(1000);
    }
  });

  test("many short ids of a small body do not run out of room", () => {
    const inputIds = Array.from({ length: 60_000 }, (_, i) => i % 100);
    expect(generateGrpc({ tokenized: { inputIds } })).toEqual(inputIds);
  });
});

test("SGLang's prompts are ids or texts, one or several", () => {
  const of = (body: object): number[][] =>
    streams(sglanghttpParser, Buffer.from(JSON.stringify(body)), "/generate");
  const four = Buffer.from("four").readUInt32LE();
  expect(of({ input_ids: [1, 2] })).toEqual([[1, 2]]);
  expect(of({ input_ids: [[1, 2], [3]] })).toEqual([[1, 2], [3]]);
  expect(of({ text: "four" })).toEqual([[four]]);
  expect(of({ text: ["four", "four"] })).toEqual([[four], [four]]);
});
