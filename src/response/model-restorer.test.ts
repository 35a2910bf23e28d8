import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crumbsOf, cuts, piecesOf } from "../../test/support/cuts.ts";
import { AnswerReader } from "./answer-reader.ts";
import { HELD_BYTES_MAX, ModelRestorer } from "./model-restorer.ts";

function restore(
  pieces: readonly Buffer[],
  { served = "srv-01", asked = "gpt-x", isEventStream = false } = {},
): string {
  const reader = new AnswerReader("openai", isEventStream, new ModelRestorer(served, asked));
  const out = pieces.flatMap((piece) => reader.rewrite([piece], false));
  return Buffer.concat([...out, ...reader.rewrite([], true)]).toString();
}

const TABLE: readonly (readonly [string, string, string])[] = [
  [
    "the top-level member",
    `{"id":"c1","model":"srv-01","choices":[]}`,
    `{"id":"c1","model":"gpt-x","choices":[]}`,
  ],
  ["with white space", `{ "model" :\n "srv-01" }`, `{ "model" :\n "gpt-x" }`],
  ["spelled with escapes", `{"model":"srv\\u002d01"}`, `{"model":"gpt-x"}`],
  ["twice", `{"model":"srv-01","model":"srv-01"}`, `{"model":"gpt-x","model":"gpt-x"}`],
  ["another name stays", `{"model":"srv-011"}`, `{"model":"srv-011"}`],
  [
    "content stays",
    `{"choices":[{"model":"srv-01","text":"\\"model\\":\\"srv-01\\""}]}`,
    `{"choices":[{"model":"srv-01","text":"\\"model\\":\\"srv-01\\""}]}`,
  ],
  [
    "of a response",
    `{"response":{"model":"srv-01","x":{"model":"srv-01"}}}`,
    `{"response":{"model":"gpt-x","x":{"model":"srv-01"}}}`,
  ],
  ["of a message", `{"message":{"model":"srv-01"}}`, `{"message":{"model":"gpt-x"}}`],
  ["no name", `{"model":null,"message":"srv-01"}`, `{"model":null,"message":"srv-01"}`],
  ["no JSON", `"model":"srv-01"`, `"model":"srv-01"`],
  ["a name that breaks off", `{"model":"srv-0`, `{"model":"srv-0`],
];

describe.each(TABLE)("%s", (_, body, expected) => {
  test("comes out right, however it is cut", () => {
    const bytes = Buffer.from(body);
    expect(restore([bytes])).toBe(expected);
    expect(restore(crumbsOf(bytes))).toBe(expected);
    fc.assert(
      fc.property(cuts, (shares) => {
        expect(restore(piecesOf(bytes, shares))).toBe(expected);
      }),
      { numRuns: 50 },
    );
  });
});

test("events are restored one by one, and their framing stays", () => {
  const event = (name: string) =>
    `: c\r\ndata:{"model":"${name}","choices":[{"text":"model"}]}\r\n\r\n`;
  const body = `${event("srv-01")}${event("srv-01")}data: {"model":"srv\n\ndata: {"model":"srv-01"}\n\ndata: [DONE]\n\n`;
  const expected = body.replaceAll(`"srv-01"`, `"gpt-x"`);
  for (const pieces of [[Buffer.from(body)], crumbsOf(Buffer.from(body))]) {
    expect(restore(pieces, { isEventStream: true })).toBe(expected);
  }
});

test("names of any letters become what JSON.parse reads as the other name", () => {
  const name = fc.string({ minLength: 1, maxLength: 12, unit: "binary" });
  const others = fc.dictionary(fc.constantFrom("a", "choices", "x"), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(name, name, others, cuts, (served, asked, members, shares) => {
      const before = { ...members, model: served, choices: [{ model: served }] };
      const bytes = Buffer.from(JSON.stringify(before));
      const after = restore(piecesOf(bytes, shares), { served, asked });
      expect(JSON.parse(after)).toEqual(JSON.parse(JSON.stringify({ ...before, model: asked })));
    }),
    { numRuns: 500 },
  );
});

test("a piece that nothing is changed in goes on as the slice that it is", () => {
  const reader = new AnswerReader("openai", true, new ModelRestorer("a", "b"));
  const piece = Buffer.from(`data: {"choices":[]}\n\n`);
  expect(reader.rewrite([piece], false)[0]).toBe(piece);
});

test("no more than a name is held, and no name without end", () => {
  const reader = new AnswerReader("openai", false, new ModelRestorer("a", "b"));
  const sizeOf = (pieces: readonly Uint8Array[]) =>
    pieces.reduce((sum, { length }) => sum + length, 0);
  const head = Buffer.from(`{"id":"x","model":"`);
  expect(sizeOf(reader.rewrite([head], false))).toBe(head.length - 1);
  let out = 0;
  let most = 0;
  for (let i = 1; i <= 100; i++) {
    out += sizeOf(reader.rewrite([Buffer.alloc(1000, "m")], false));
    most = Math.max(most, i * 1000 - out);
  }
  expect(most).toBeGreaterThan(HELD_BYTES_MAX - 2000);
  expect(most).toBeLessThanOrEqual(HELD_BYTES_MAX);
  out += sizeOf(reader.rewrite([Buffer.from(`"}`)], true));
  expect(out).toBe(100_000 + 1 + 2);
});
