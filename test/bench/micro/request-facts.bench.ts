/**
 * Request facts from bytes: scan + packing + block hashes against the obvious way (JSON.parse, one string for the prompt,
 * TextEncoder, FNV-1a in two 32-bit lanes, so without BigInt). Both get the same bodies in the same run and make the same
 * number of tokens from the same text; that is checked first.
 * @module
 */
import { Bench } from "tinybench";
import type { HashPlan } from "../../../scheduler/index.ts";
import { openaiParser } from "../../../src/request/parsers/openai.ts";
import { ParsedBody } from "../../../src/request/parsers/parser.ts";
import { hashPrompt } from "../../../src/request/prompt-blocks.ts";
import { runSteps } from "../../../src/request/steps.ts";

const PATH = "/v1/chat/completions";
/** Upstream's defaults: blocks of 64 tokens, at most 131,072 tokens. */
const BLOCK_TOKENS = 64;
const BLOCKS_MAX = 2048;
const BLOCK_BYTES = BLOCK_TOKENS * 4;
/** Sizes of bodies, and turns of the conversation in them. */
const SHAPES = [
  { bytes: 1000, messages: 2 },
  { bytes: 8000, messages: 10 },
  { bytes: 64_000, messages: 20 },
  { bytes: 1_000_000, messages: 50 },
] as const;
const WARMUP_MS = 50;
const ROUND_MS = 200;

/** Plain prose, and text as agents send it: code, with an escape every dozen bytes or so. */
const TEXTS = {
  prose:
    "A prompt whose beginning was seen before costs less on the server that still holds it, as long as the queue in " +
    "front of that server is short; otherwise another one is the better choice, and the work is done again.\n\n",
  code: '  if (x < 1) {\n\t\treturn "é"; // "none"\n\t}\n\n  for (const y of "abc") {\n    print("\\n");\n  }\n',
} as const;

function chatBody(text: string, bytes: number, count: number): Buffer {
  const size = Math.floor(bytes / count);
  let content = "";
  while (JSON.stringify(content).length < size - 40) content += text;
  const messages = Array.from({ length: count }, (_, i) => {
    return { role: i % 2 === 0 ? "user" : "assistant", content };
  });
  const rest = { stream: true, max_tokens: 512, temperature: 0.7, top_p: 0.95 };
  return Buffer.from(JSON.stringify({ model: "llama-3.1-8b-instruct", messages, ...rest }));
}

interface Facts {
  readonly model: string;
  readonly tokens: number;
  readonly blocks: number;
}

const parsed = new ParsedBody();
// upstream's format: role and text run together, which the plain way can make just as well
const plans: readonly HashPlan[] = [
  { blockSizeTokens: BLOCK_TOKENS, blocksMax: BLOCKS_MAX, upstreamRoot: true },
];

function scanned(body: Uint8Array): Facts {
  parsed.reset();
  openaiParser.parse(body, PATH, parsed);
  const { promptTokens, blockHashes } = runSteps(hashPrompt(parsed, body, plans, parsed.model));
  return {
    model: parsed.model,
    tokens: promptTokens,
    blocks: blockHashes[0]!.words.length / 2,
  };
}

const encoder = new TextEncoder();

function plain(body: Buffer): Facts {
  const request = JSON.parse(body.toString());
  let prompt = "";
  for (const { role, content } of request.messages) prompt += role + content;
  const bytes = encoder.encode(prompt);
  const blocks = Math.min(Math.ceil(bytes.length / BLOCK_BYTES), BLOCKS_MAX);
  const words = new Uint32Array(blocks * 2);
  let lo = 0x811c9dc5;
  let hi = 0x9747b28c;
  for (let block = 0; block < blocks; block++) {
    const end = Math.min((block + 1) * BLOCK_BYTES, bytes.length);
    for (let i = block * BLOCK_BYTES; i < end; i++) {
      lo = Math.imul(lo ^ bytes[i]!, 0x01000193);
      hi = Math.imul(hi ^ bytes[i]! ^ 0x5c, 0x01000193);
    }
    words[block * 2] = lo;
    words[block * 2 + 1] = hi;
  }
  return { model: request.model, tokens: Math.ceil(bytes.length / 4), blocks };
}

/** Bytes of JavaScript heap that one call takes; typed arrays' contents are not in it. */
function heapBytes(call: () => unknown, times: number): number {
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < times; i++) call();
  return Math.max(0, process.memoryUsage().heapUsed - before) / times;
}

async function measure(kind: keyof typeof TEXTS, bytes: number, messages: number) {
  const body = chatBody(TEXTS[kind], bytes, messages);
  const expected = plain(body);
  const found = scanned(body);
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(expected)}`);
  }
  const bench = new Bench({ time: ROUND_MS, warmupTime: WARMUP_MS });
  bench
    .add("scan", () => {
      parsed.reset();
      openaiParser.parse(body, PATH, parsed);
    })
    .add("facts", () => {
      scanned(body);
    })
    .add("parse", () => {
      JSON.parse(body.toString());
    })
    .add("plain", () => {
      plain(body);
    });
  await bench.run();
  const [scan, facts, parse, whole] = bench.tasks.map(({ result }) => {
    return "latency" in result ? result.latency.p50 * 1000 : Number.NaN;
  });
  const times = Math.max(1, Math.floor(1_000_000 / body.length));
  return {
    body: `${kind}, ${body.length} bytes`,
    tokens: found.tokens,
    "scan us": scan!.toFixed(1),
    "facts us": facts!.toFixed(1),
    "JSON.parse us": parse!.toFixed(1),
    "plain us": whole!.toFixed(1),
    "plain / facts": (whole! / facts!).toFixed(1),
    "facts heap": Math.round(heapBytes(() => scanned(body), times)),
    "plain heap": Math.round(heapBytes(() => plain(body), times)),
  };
}

export async function run(): Promise<void> {
  const rows = [];
  for (const kind of ["prose", "code"] as const) {
    for (const { bytes, messages } of SHAPES) rows.push(await measure(kind, bytes, messages));
  }
  console.table(rows);
  console.log(
    "scan: parse the body into model, stream, cap and prompt ranges. facts: scan + tokens + block hashes. medians.",
  );
}
