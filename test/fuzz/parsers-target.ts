/**
 * Fuzz target: bodies of all kinds of requests, to the real parsers and the hashing of prompts.
 *
 *   input   [way][cut seed] bytes …       way = path, and what the plain reading of it is (WAYS)
 *
 * A parser takes what the plain reading takes, and reads the same in it; however the body is cut, and whatever was read
 * before. Another model can be put where one may be put, and nothing else changes.
 * @module
 */
import type { HashPlan } from "../../scheduler/index.ts";
import { rewriteModel } from "../../src/request/model-rewrite.ts";
import { ParsedBody, type Parser } from "../../src/request/parsers/parser.ts";
import { PARSERS, ParserTable } from "../../src/request/parsers/registry.ts";
import { hashPrompt } from "../../src/request/prompt-blocks.ts";
import { runSteps } from "../../src/request/steps.ts";
import type { BodyBytes } from "../../src/request/work-area.ts";
import { Dice } from "../support/wire-arbitraries.ts";
import { BodyGenerator } from "./body-generator.ts";
import { cutPieces, type FuzzTarget, type MemoryWatch, must } from "./fuzz-target.ts";
import { depthOf } from "./json-target.ts";
import {
  factsBy,
  type ReferenceFacts,
  takeAudio,
  takeCountTokens,
  takeGrpc,
  takeJson,
  takeNothing,
  takeSglang,
  takeVertex,
  takeVllm,
} from "./reference-facts.ts";

type BodyKind = "json" | "form" | "generateFrames" | "embedFrames" | "predictFrames";
type Way = readonly [path: string, kind: BodyKind, take: (body: Buffer) => ReferenceFacts];

const VLLM = "/vllm.grpc.engine.VllmEngine";
const VERTEX = "/google.cloud.aiplatform.v1.PredictionService";

const WAYS: readonly Way[] = [
  ["/v1/chat/completions", "json", takeJson("chat")],
  ["/v1/completions?x=1", "json", takeJson("completions")],
  ["/v1/responses", "json", takeJson("responses")],
  ["/v1/conversations", "json", takeJson("conversations")],
  ["/v1/embeddings", "json", takeJson("embeddings")],
  ["/v1/images/generations", "json", takeJson("images")],
  ["/v1/audio/speech", "json", takeAudio],
  ["/v1/audio/transcriptions", "form", takeAudio],
  ["/v1/messages", "json", takeJson("messages")],
  ["/v1/messages/count_tokens", "json", takeCountTokens],
  ["/inference/v1/generate", "json", takeVllm],
  ["/generate", "json", takeSglang],
  [`${VLLM}/Generate`, "generateFrames", takeGrpc(false)],
  [`${VLLM}/Embed`, "embedFrames", takeGrpc(true)],
  [`${VLLM}/Abort`, "generateFrames", takeNothing],
  [`${VERTEX}/ChatCompletions`, "predictFrames", takeVertex(true)],
  [`${VERTEX}/RawPredict`, "predictFrames", takeVertex(false)],
];

const PLANS: readonly HashPlan[] = [
  { blockSizeTokens: 4, blocksMax: 64, upstreamRoot: false },
  { blockSizeTokens: 16, blocksMax: 8, upstreamRoot: true },
];
/** Something to forget. */
const BEFORE = Buffer.from(
  '{"model":"before","stream":true,"max_tokens":3,"cache_salt":"b","messages":[{"role":"b"}]}',
);
const ANOTHER_MODEL = 'another "model" é';
/** Inputs up to this length are also cut into single bytes. */
const CRUMBS_BYTES_MAX = 2000;
const MESSAGE_CHARS_MAX = 300;
/** JSON.stringify, which is recursive, can do this many. */
const FLAT_LEVELS_MAX = 1000;
/** Levels that the scanner takes. */
const DEPTH_MAX = 10_000;

function generate(dice: Dice): Buffer {
  const way = dice.roll(WAYS.length);
  const [, kind] = WAYS[way]!;
  const body = new BodyGenerator(dice)[dice.roll(20) === 0 ? "form" : kind]();
  return Buffer.concat([Buffer.of(way, dice.roll(256)), body]);
}

interface Found {
  readonly facts: ReferenceFacts | null;
  readonly message: string;
  /** All that must not depend on the cuts. */
  readonly all: string;
}

function look(parser: Parser, path: string, body: BodyBytes, parsed: ParsedBody): Found {
  parsed.reset();
  const problem = parser.parse(body, path, parsed);
  if (problem !== null) return { facts: null, message: problem.message, all: problem.message };
  const { promptTokens, blockHashes } = runSteps(hashPrompt(parsed, body, PLANS, parsed.model));
  const { cacheSalt, maxOutputTokens, model, modelEnd, modelForm, modelStart, streaming } = parsed;
  const { isModelRequired, skipResponseProcessing } = parsed;
  const facts = { model, streaming, maxOutputTokens, cacheSalt, promptTokens };
  const hashes = blockHashes.map((hashes) => hashes && [...hashes.words, ...hashes.promptStarts]);
  const rest = [modelStart, modelEnd, modelForm, isModelRequired, skipResponseProcessing, hashes];
  return { facts, message: "", all: JSON.stringify([facts, rest]) };
}

function compare(path: string, whole: Found, expected: ReferenceFacts | null): void {
  if (expected !== null && whole.facts !== null) {
    const [found, wanted] = [comparable(whole.facts, expected), JSON.stringify(expected)];
    must(found === wanted, () => `${path}: ${found} instead of ${wanted}`);
  } else {
    must(whole.facts === null, () => `${path}: taken`);
    must(expected === null, () => `${path}: refused: ${whole.message}`);
  }
}

/** What the reading tells and the reference can not, and the other way round, is left out. */
function comparable(facts: ReferenceFacts, expected: ReferenceFacts): string {
  const { cacheSalt, promptTokens } = expected;
  return JSON.stringify({
    ...facts,
    cacheSalt: cacheSalt === "?" ? "?" : facts.cacheSalt,
    promptTokens: promptTokens < 0 ? -1 : facts.promptTokens,
  });
}

function checkRewrite(
  parser: Parser,
  path: string,
  pieces: readonly Buffer[],
  parsed: ParsedBody,
): void {
  look(parser, path, pieces, parsed);
  const { modelEnd, modelForm, modelStart } = parsed;
  if (modelForm === "none") return;
  const body = Buffer.concat(pieces);
  const parts = rewriteModel(pieces, modelStart, modelEnd, ANOTHER_MODEL, modelForm);
  const rewritten = Buffer.concat(parts);
  if (modelForm === "json" && depthOf(body) < FLAT_LEVELS_MAX) {
    const before = { ...JSON.parse(body.toString()), model: ANOTHER_MODEL };
    const after = JSON.parse(rewritten.toString());
    must(isSameObject(before, after), () => "the rewriting changes something else");
  }
  const found = look(parser, path, rewritten, parsed);
  must(found.facts?.model === ANOTHER_MODEL, () => `model ${found.facts?.model} after rewriting`);
}

/** Whether the members are the same, in any order. */
function isSameObject(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every(
      (name) => Object.hasOwn(b, name) && JSON.stringify(a[name]) === JSON.stringify(b[name]),
    )
  );
}

export function parsersTarget(parsers: readonly Parser[] = PARSERS): FuzzTarget {
  const table = new ParserTable(parsers);
  const shared = new ParsedBody();
  const run = (input: Buffer, memory: MemoryWatch | null): void => {
    const [path, , take] = WAYS[(input[0] ?? 0) % WAYS.length]!;
    const body = input.subarray(2);
    const parser = table.resolve(path)!;
    if (memory !== null) watchMemory(memory, parser, path, body);
    const expected = factsBy(take, body);
    const whole = look(parser, path, body, shared);
    must(whole.message.length <= MESSAGE_CHARS_MAX, () => "a text of any length");
    // What is nested too deep is no JSON for us, and is for JSON.parse.
    if (depthOf(body) <= DEPTH_MAX) compare(path, whole, expected);
    const cuts = [cutPieces(body, new Dice((input[1] ?? 0) * 2))];
    if (body.length <= CRUMBS_BYTES_MAX) cuts.push([...body].map((byte) => Buffer.of(byte)));
    for (const pieces of cuts) {
      look(table.resolve("/v1/chat/completions")!, "/v1/chat/completions", BEFORE, shared);
      const { all } = look(parser, path, pieces, shared);
      must(all === whole.all, () => `${path}, cuts show: ${whole.all} became ${all}`);
    }
    if (whole.facts !== null) checkRewrite(parser, path, cuts[0]!, shared);
  };
  return { name: "parsers", generate, run };
}

function watchMemory(memory: MemoryWatch, parser: Parser, path: string, body: Buffer): void {
  memory.start();
  const parsed = new ParsedBody();
  look(parser, path, Buffer.from(body), parsed);
  memory.check(body.length);
  parsed.reset();
}
