/**
 * What it costs to look into an answer, by the chunk: events as vLLM sends them, a chat answer in one piece, embeddings.
 * The search for the bytes `usage` is the least that looking can cost; it finds them in a text too, and not across a cut.
 * @module
 */
import { Bench } from "tinybench";
import { AnswerReader } from "../../../src/response/answer-reader.ts";
import { ModelRestorer } from "../../../src/response/model-restorer.ts";

const EVENT = Buffer.from(
  `data: {"id":"chatcmpl-0b5c8a2f6e2d4f0f9a","object":"chat.completion.chunk","created":1764288000,` +
    `"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"delta":{"content":" word"},` +
    `"logprobs":null,"finish_reason":null,"token_ids":null}]}\n\n`,
);
const WORDS = "the quick brown fox jumps over the lazy dog. ";
const USAGE = { prompt_tokens: 812, completion_tokens: 400, total_tokens: 1212 };
const CHAT = Buffer.from(
  JSON.stringify({
    id: "chatcmpl-1",
    model: "meta-llama/Llama-3.1-8B-Instruct",
    choices: [{ index: 0, message: { role: "assistant", content: WORDS.repeat(80) } }],
    usage: USAGE,
  }),
);
const EMBEDDINGS = Buffer.from(
  JSON.stringify({
    data: Array.from({ length: 32 }, (_, i) => ({
      embedding: Array.from({ length: 1024 }, (_, k) => Math.sin(i * 1024 + k)),
    })),
    usage: USAGE,
  }),
);
const NEEDLE = Buffer.from("usage");
/** Enough for a figure that is no timer's. */
const REPEAT = 100;
const MS_TO_US = 1000;

export async function run(): Promise<void> {
  const bench = new Bench({ time: 500, warmupTime: 200 });
  const sizes = new Map<string, number>();
  const add = (name: string, piece: Buffer, look: (piece: Buffer) => unknown) => {
    sizes.set(name, piece.length);
    bench.add(name, () => {
      for (let i = 0; i < REPEAT; i++) look(piece);
    });
  };
  const stream = new AnswerReader("openai", true, null);
  const whole = new AnswerReader("openai", false, null);
  const renamed = new AnswerReader(
    "openai",
    true,
    new ModelRestorer("meta-llama/Llama-3.1-8B-Instruct", "llama"),
  );
  for (const [name, piece] of [
    ["event", EVENT],
    ["chat answer", CHAT],
    ["embeddings", EMBEDDINGS],
  ] as const) {
    add(`${name}: bytes searched`, piece, (bytes) => bytes.indexOf(NEEDLE));
    add(`${name}: usage read`, piece, (bytes) => (piece === EVENT ? stream : whole).read(bytes));
  }
  add("event: name restored", EVENT, (bytes) => renamed.rewrite([bytes], false));
  await bench.run();
  if (whole.totals().promptTokens !== USAGE.prompt_tokens) throw new Error("usage was not read");
  console.table(
    bench.tasks.map(({ name, result }) => {
      if (result.state !== "completed") return { name, state: result.state };
      const us = (ms: number) => Math.round((ms * MS_TO_US * 100) / REPEAT) / 100;
      const { latency } = result;
      return {
        name,
        bytes: sizes.get(name),
        "median us": us(latency.p50),
        "min us": us(latency.min),
        "± %": Math.round(latency.rme * 100) / 100,
      };
    }),
  );
}
