import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crumbsOf, cuts, piecesOf } from "../../test/support/cuts.ts";
import { frameOf } from "../../test/support/ingress-exchange.ts";
import type { UsageFormat } from "../request/parsers/parser.ts";
import { AnswerReader } from "./answer-reader.ts";
import { GRPC_ANSWER_BYTES_MAX } from "./grpc-answer.ts";

interface Answer {
  readonly format: UsageFormat;
  readonly isEventStream: boolean;
  readonly body: Buffer;
}

/** prompt, completion, total, cached (-1 = not told), events. */
type Found = readonly [number, number, number, number, number];

function read({ format, isEventStream }: Answer, pieces: readonly Buffer[]): Found {
  const reader = new AnswerReader(format, isEventStream, null);
  for (const piece of pieces) reader.read(piece);
  const { cachedTokens, completionTokens, promptTokens, totalTokens } = reader.totals();
  return [promptTokens, completionTokens, totalTokens, cachedTokens, reader.events];
}

const events = (text: string, format: UsageFormat = "openai"): Answer => ({
  format,
  isEventStream: true,
  body: Buffer.from(text),
});
const json = (value: unknown, format: UsageFormat = "openai"): Answer => ({
  format,
  isEventStream: false,
  body: Buffer.from(typeof value === "string" ? value : JSON.stringify(value)),
});
const frames = (format: UsageFormat, ...bodies: readonly Buffer[]): Answer => ({
  format,
  isEventStream: false,
  body: Buffer.concat(bodies.map((body) => frameOf(body))),
});

/** A message of small fields: number → varint, Buffer → bytes. */
function message(fields: Readonly<Record<number, number | Buffer>>): Buffer {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
  return Buffer.concat(
    Object.entries(fields).map(([number, value]) =>
      typeof value === "number"
        ? Buffer.from([...varint(Number(number) << 3), ...varint(value)])
        : Buffer.concat([
            Buffer.from([...varint((Number(number) << 3) | 2), ...varint(value.length)]),
            value,
          ]),
    ),
  );
}

const USAGE = `"usage":{"prompt_tokens":7,"completion_tokens":10,"total_tokens":17}`;
const DELTA = `{"id":"c1","choices":[{"delta":{"content":"usage \\"usage\\":{\\"prompt_tokens\\":1}"}}]`;

const ANSWERS: readonly (readonly [string, Answer, Found])[] = [
  ["a chat answer", json(`{"id":"c","choices":[{"text":"x"}],${USAGE}}`), [7, 10, 17, -1, 0]],
  ["usage in front", json(`{${USAGE},"choices":[{"text":"x"}]}`), [7, 10, 17, -1, 0]],
  [
    "usage below other members is none",
    json(`{"choices":[{${USAGE}}],"x":{${USAGE}},"usage2":{"prompt_tokens":3}}`),
    [0, 0, 0, -1, 0],
  ],
  ["usage in a text is none", json({ choices: [{ text: `"${USAGE}` }] }), [0, 0, 0, -1, 0]],
  [
    "cached tokens",
    json({
      usage: {
        prompt_tokens: 11,
        completion_tokens: 1,
        prompt_tokens_details: { cached_tokens: 8 },
      },
    }),
    [11, 1, 12, 8, 0],
  ],
  [
    "cached tokens that are none",
    json({ usage: { prompt_tokens: 11, prompt_tokens_details: { cached_tokens: 0 } } }),
    [11, 0, 11, 0, 0],
  ],
  [
    "an embedding",
    json({ data: [{ embedding: [0.5, -1e-3] }], usage: { prompt_tokens: 4, total_tokens: 4 } }),
    [4, 0, 4, -1, 0],
  ],
  [
    "numbers as text",
    json({ usage: { prompt_tokens: "12", completion_tokens: "x" } }),
    [12, 0, 12, -1, 0],
  ],
  [
    "numbers that count nothing",
    json(`{"usage":{"prompt_tokens":-5,"completion_tokens":1e999,"total_tokens":true}}`),
    [0, 0, 0, -1, 0],
  ],
  [
    "white space",
    json(`\n{ "usage" : { "prompt_tokens" : 7 , "completion_tokens" : 3 } }\n`),
    [7, 3, 10, -1, 0],
  ],
  ["no usage", json(`{"model":"m","usage":null,"choices":[]}`), [0, 0, 0, -1, 0]],
  ["no JSON", json("upstream is sick"), [0, 0, 0, -1, 0]],
  ["broken JSON", json(`{"model":"m","choices":[{"invalid"}]}`), [0, 0, 0, -1, 0]],
  [
    "JSON that is cut",
    json(`{"choices":[],"usage":{"prompt_tokens":7,"completion_tok`),
    [7, 0, 7, -1, 0],
  ],
  [
    "the Responses API",
    json({
      object: "response",
      usage: {
        input_tokens: 5,
        input_tokens_details: { cached_tokens: 2 },
        output_tokens: 6,
        total_tokens: 11,
      },
    }),
    [5, 6, 11, 2, 0],
  ],
  [
    "a stream",
    events(
      `data: ${DELTA}}\n\ndata: ${DELTA}}\n\ndata: {"choices":[],${USAGE}}\n\ndata: [DONE]\n\n`,
    ),
    [7, 10, 17, -1, 3],
  ],
  [
    "a stream that tells nothing",
    events(`data: ${DELTA},"usage":null}\n\ndata: ${DELTA}}\n\ndata: [DONE]\n\n`),
    [0, 0, 0, -1, 2],
  ],
  [
    "a stream that tells all along",
    events(
      `data: ${DELTA},"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\ndata: ${DELTA},"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n`,
    ),
    [7, 2, 9, -1, 2],
  ],
  [
    "CRLF, no blank, comments, other fields",
    events(
      `: ping\r\n\r\nevent: x\r\nid: 1\r\ndata:${DELTA}}\r\n\r\nretry: 5\r\ndata:{${USAGE}}\r\n\r\ndata:[DONE]\r\n\r\n`,
    ),
    [7, 10, 17, -1, 2],
  ],
  [
    "data over several lines",
    events(
      `data: {"choices":[],\ndata: "usage":\ndata: {"prompt_tokens":7,"completion_tokens":\ndata: 10}}\n\n`,
    ),
    [7, 10, 17, -1, 1],
  ],
  [
    "lines without empty ones between",
    events(`data: {}\ndata: {${USAGE}}\ndata: [DONE]`),
    [7, 10, 17, -1, 2],
  ],
  ["values on one line", events(`data: {}data: {${USAGE}}`), [7, 10, 17, -1, 1]],
  [
    "a line that breaks in a text",
    events(`data: {"a":"b\n\ndata: {"a":"b\ndata: {${USAGE}}\n\n`),
    [7, 10, 17, -1, 3],
  ],
  [
    "a value that breaks off",
    events(`data: {"a":[{"b":\n\ndata: {${USAGE}}\n\n`),
    [7, 10, 17, -1, 2],
  ],
  [
    "fields that look like data",
    events(`dat: {${USAGE}}\ndatax: {${USAGE}}\nda\ndata\n data: {${USAGE}}\n\n`),
    [0, 0, 0, -1, 0],
  ],
  [
    "events that tell nothing, several in a piece",
    events(`data: {"a":1}\n\ndata:{"a":"x"}\n\ndata:  []\n\ndata:\n\ndata: {}\n\ndata: [DONE]\n\n`),
    [0, 0, 0, -1, 3],
  ],
  [
    "a plain event behind one that goes on in the next",
    events(`data: {"a":\ndata: {"b":1}\ndata: }\n\ndata: {}\n\n`),
    [0, 0, 0, -1, 2],
  ],
  [
    "events of the Responses API",
    events(
      `event: response.created\ndata: {"type":"response.created","response":{"model":"m","usage":null}}\n\n` +
        `event: response.completed\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":6,"total_tokens":11}}}\n\n`,
    ),
    [5, 6, 11, -1, 2],
  ],
  [
    "Anthropic's events",
    events(
      `event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":5,"cache_read_input_tokens":30,"cache_creation_input_tokens":4,"output_tokens":1}}}\n\n` +
        `event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"x"}}\n\n` +
        `event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":6}}\n\n` +
        `event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":9}}\n\n`,
      "anthropic",
    ),
    [39, 9, 48, 30, 0],
  ],
  [
    "Anthropic's answer",
    json({ usage: { input_tokens: 5, output_tokens: 2 } }, "anthropic"),
    [5, 2, 7, -1, 0],
  ],
  [
    "SGLang",
    json(
      {
        text: "x",
        meta_info: {
          id: "1",
          finish_reason: { type: "stop" },
          prompt_tokens: 5,
          output_token_logprobs: [[-0.5, 11, null]],
          completion_tokens: 6,
          cached_tokens: 2,
        },
      },
      "sglang",
    ),
    [5, 6, 11, 2, 0],
  ],
  [
    "SGLang's events",
    events(
      `data: {"meta_info":{"prompt_tokens":5,"completion_tokens":1,"finish_reason":null}}\n\ndata: {"meta_info":{"prompt_tokens":5,"completion_tokens":3,"finish_reason":{}}}\n\ndata: [DONE]\n\n`,
      "sglang",
    ),
    [5, 3, 8, -1, 2],
  ],
  [
    "vLLM over gRPC, streamed",
    frames(
      "vllm-grpc",
      message({ 1: message({ 1: Buffer.from([5, 6]), 2: 300, 3: 2, 4: 16 }) }),
      message({ 1: message({ 1: Buffer.from([7]), 2: 300, 3: 3, 4: 16 }) }),
      message({ 2: message({ 2: Buffer.from("stop"), 3: 300, 4: 4, 5: 16 }) }),
    ),
    [300, 4, 304, 16, 2],
  ],
  [
    "vLLM's embedding",
    frames("vllm-grpc", message({ 1: Buffer.alloc(400, 0x10), 2: 9, 3: 100 })),
    [9, 0, 9, -1, 0],
  ],
  [
    "gRPC that is no protobuf",
    frames("vllm-grpc", Buffer.alloc(9, 0xff), message({ 2: message({ 3: 4 }) })),
    [4, 0, 4, -1, 0],
  ],
  [
    "Vertex AI",
    frames("vertex", message({ 1: Buffer.from("application/json"), 2: Buffer.from(`{${USAGE}}`) })),
    [7, 10, 17, -1, 0],
  ],
  [
    "Vertex AI, streamed",
    frames(
      "vertex",
      message({ 1: Buffer.from("text/event-stream"), 2: Buffer.from(`data: {}\n\n`) }),
      message({ 2: Buffer.from(`data: {${USAGE}}\n\n`) }),
    ),
    [7, 10, 17, -1, 2],
  ],
  [
    "Vertex AI that does not say what it streams",
    frames(
      "vertex",
      message({ 2: Buffer.from(`data: {}\n\ndata: {`) }),
      message({ 2: Buffer.from(`${USAGE}}\n\n`) }),
    ),
    [7, 10, 17, -1, 2],
  ],
];

describe.each(ANSWERS)("%s", (_, answer, found) => {
  test("is read", () => {
    expect(read(answer, [answer.body])).toEqual(found);
  });

  test("is read byte by byte", () => {
    expect(read(answer, crumbsOf(answer.body))).toEqual(found);
  });

  test("is read however it is cut", () => {
    fc.assert(
      fc.property(cuts, (shares) => {
        expect(read(answer, piecesOf(answer.body, shares))).toEqual(found);
      }),
      { numRuns: 60 },
    );
  });
});

test("whatever comes is taken, and its cuts make no difference", () => {
  const word = fc.constantFrom(
    ...`data: |data:|{|}|[|]|"|\\|,|:|\n|\r\n|"usage":{|"model":"m"|"prompt_tokens":|1|2e1|null| |x|"response":{|[DONE]`.split(
      "|",
    ),
  );
  const text = fc.array(word, { maxLength: 60 }).map((words) => words.join(""));
  fc.assert(
    fc.property(text, cuts, fc.boolean(), (body, shares, isEventStream) => {
      const answer: Answer = { format: "openai", isEventStream, body: Buffer.from(body) };
      const whole = read(answer, [answer.body]);
      expect(read(answer, piecesOf(answer.body, shares))).toEqual(whole);
      expect(read(answer, crumbsOf(answer.body))).toEqual(whole);
    }),
    { numRuns: 1000 },
  );
});

test("pieces of whole events are read like any others", () => {
  const event = fc.constantFrom(
    `data: {"choices":[{"text":"a"}]}\n\n`,
    `data: {"choices":[{"text":"usage"}]}\n\n`,
    `data: {${USAGE}}\n\n`,
    `data: {"a":\n`,
    `data: {"b":1}}\n\n`,
    `: ping\n\n`,
    `data: [DONE]\n\n`,
    `data: {}\r\n\r\n`,
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), (all) => {
      const body = Buffer.from(all.join(""));
      const answer: Answer = { format: "openai", isEventStream: true, body };
      const one = read(answer, crumbsOf(body));
      expect(read(answer, [body])).toEqual(one);
      expect(
        read(
          answer,
          all.map((text) => Buffer.from(text)),
        ),
      ).toEqual(one);
    }),
    { numRuns: 500 },
  );
});

test("usage of any answer is what JSON.parse finds", () => {
  const usage = fc.record({ prompt_tokens: fc.nat(), completion_tokens: fc.nat() });
  const decoy = fc.constantFrom("usage", "model", "prompt_tokens", "meta_info", "x");
  // Long enough to be searched, with what ends strings and what escapes it.
  const text = fc.string({ unit: fc.constantFrom('"', "\\", "a"), minLength: 20, maxLength: 80 });
  const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 30 });
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    text,
    fc.array(text),
    numbers,
    fc.array(fc.record({ embedding: numbers })),
  );
  const others = fc.dictionary(decoy, anything, { maxKeys: 4 });
  const answer = fc.tuple(others, usage, others).map(([before, told, behind]) => {
    const { usage: _a, ...front } = before;
    const { usage: _b, ...back } = behind;
    return {
      front: [front, { usage: _a }],
      ...front,
      usage: told,
      choices: [before, behind],
      ...back,
      z: 1,
    };
  });
  fc.assert(
    fc.property(answer, cuts, fc.constantFrom(undefined, 2, "\t"), (value, shares, indent) => {
      const text = JSON.stringify(value, null, indent);
      const { usage: told } = JSON.parse(text) as {
        usage: { prompt_tokens: number; completion_tokens: number };
      };
      const [prompt, completion] = read(json(text), piecesOf(Buffer.from(text), shares));
      expect([prompt, completion]).toEqual([told.prompt_tokens, told.completion_tokens]);
    }),
    { numRuns: 500 },
  );
});

describe("messages of gRPC", () => {
  const told = message({ 2: message({ 3: 4, 4: 5 }) });

  test("that are compressed are inflated", () => {
    const body = frameOf(gzipSync(told), true);
    const answer: Answer = { format: "vllm-grpc", isEventStream: false, body };
    expect(read(answer, crumbsOf(body))).toEqual([4, 5, 9, -1, 0]);
  });

  test.each([
    ["are too long", Buffer.concat([Buffer.from([0, 0x10, 0, 0, 1]), Buffer.alloc(9)])],
    ["are of another encoding", frameOf(Buffer.from("zzz"), true)],
    ["inflate to too much", frameOf(gzipSync(Buffer.alloc(GRPC_ANSWER_BYTES_MAX + 1)), true)],
  ])("that %s end the reading, and that is told", (_, body) => {
    const reader = new AnswerReader("vllm-grpc", false, null);
    expect(reader.isLost).toBe(false);
    reader.read(body);
    reader.read(frameOf(told));
    expect(reader.isLost).toBe(true);
    expect(reader.totals().promptTokens).toBe(0);
  });
});
