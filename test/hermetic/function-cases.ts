/**
 * Cases of level unit that are about one function: the table goes straight into it.
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import {
  decodeProcessingRequest,
  HeaderId,
  ProcessingRequest,
  Side,
  type StructObject,
  WireStatus,
} from "../../proto/index.ts";
import { ReplyBuffer } from "../../src/ingress/reply-buffer.ts";
import type { Parser } from "../../src/request/parsers/parser.ts";
import { ParserTable } from "../../src/request/parsers/registry.ts";
import { AnswerReader } from "../../src/response/answer-reader.ts";
import { ModelRestorer } from "../../src/response/model-restorer.ts";
import { encodeRequest } from "../support/ext-proc-client.ts";
import { fromStruct, type ProcessingResponse } from "../support/ext-proc-messages.ts";
import { decodeOracle, processingResponse, splitFrames } from "../support/wire-oracle.ts";

/** Differences between a table and what the function does. */
export type FunctionPlayer = (raw: unknown) => string[];

/** A parser that claims paths and reads nothing. */
function claimant(type: string, claims: readonly string[]): Parser {
  return { type, usage: "none", claims, needsBody: claims.length > 0, parse: () => null };
}

const ByPath = z.object({
  parsers: z.array(z.strictObject({ name: z.string(), paths: z.array(z.string()) })),
  table: z.array(
    z.strictObject({
      path: z.string(),
      parser: z.string().optional(),
      error: z.literal(true).optional(),
    }),
  ),
});

const parserByPath: FunctionPlayer = (raw) => {
  const { parsers, table } = ByPath.parse(raw);
  const registry = new ParserTable(parsers.map(({ name, paths }) => claimant(name, paths)));
  return table.flatMap(({ path, parser, error }) => {
    const found = registry.resolve(path)?.type ?? null;
    const expected = error === true ? null : (parser ?? null);
    return found === expected ? [] : [`${path}: parser ${found}, expected ${expected}`];
  });
};

const parserFirstWins: FunctionPlayer = (raw) => {
  const { table } = z
    .object({
      table: z.array(
        z.strictObject({
          order: z.array(z.string()),
          "both claim": z.string(),
          parser: z.string(),
        }),
      ),
    })
    .parse(raw);
  return table.flatMap(({ order, "both claim": claim, parser }) => {
    const registry = new ParserTable(order.map((name) => claimant(name, [claim])));
    const found = registry.resolve(`/${claim}`)?.type ?? null;
    return found === parser ? [] : [`${order.join(" before ")}: ${found}, expected ${parser}`];
  });
};

const headerNormalization: FunctionPlayer = (raw) => {
  const { table } = z
    .object({
      table: z.array(
        z.strictObject({
          headers: z.array(
            z.strictObject({
              key: z.string(),
              value: z.string().optional(),
              raw: z.string().optional(),
            }),
          ),
          seen: z.record(z.string(), z.string()).optional(),
          objective: z.string().optional(),
          rewrite: z.string().optional(),
        }),
      ),
    })
    .parse(raw);
  const message = new ProcessingRequest();
  return table.flatMap(({ headers, seen, objective, rewrite }, row) => {
    const bytes = encodeRequest({
      requestHeaders: {
        headers: {
          headers: headers.map(({ key, value, raw: rawValue }) => ({
            key,
            ...(value === undefined ? {} : { value }),
            ...(rawValue === undefined ? {} : { rawValue: Buffer.from(rawValue) }),
          })),
        },
        endOfStream: false,
      },
    });
    if (decodeProcessingRequest(bytes, 0, bytes.length, message) !== WireStatus.Ok) {
      return [`row ${row}: can not be decoded`];
    }
    const facts: [string, string | undefined, string | undefined][] = [
      ...Object.entries(seen ?? {}).map(([name, value]): [string, string, string | undefined] => [
        name,
        value,
        message.headers.getByName(name),
      ]),
      ["objective", objective, message.headers.get(HeaderId.objective)],
      ["rewrite", rewrite, message.headers.get(HeaderId.modelRewrite)],
    ];
    return facts
      .filter(([, expected, found]) => expected !== undefined && expected !== found)
      .map(([name, expected, found]) => `row ${row}: ${name} is ${found}, expected ${expected}`);
  });
};

const Usage = z.strictObject({
  prompt: z.number().optional(),
  completion: z.number().optional(),
  total: z.number().optional(),
  cached: z.number().optional(),
});

function compareUsage(
  chunks: readonly string[],
  isEventStream: boolean,
  expected: z.infer<typeof Usage>,
): string[] {
  const whole = Buffer.from(chunks.join(""));
  const cuts = [
    chunks.map((chunk) => Buffer.from(chunk)),
    Array.from(whole, (_, i) => whole.subarray(i, i + 1)),
  ];
  return cuts.flatMap((pieces) => {
    const reader = new AnswerReader("openai", isEventStream, null);
    for (const piece of pieces) reader.read(piece);
    const { cachedTokens, completionTokens, promptTokens, totalTokens } = reader.totals();
    const found = [promptTokens, completionTokens, totalTokens, cachedTokens];
    const { cached = -1, completion = 0, prompt = 0, total = 0 } = expected;
    const wanted = [prompt, completion, total, cached];
    return isDeepStrictEqual(found, wanted)
      ? []
      : [`${whole.toString()} in ${pieces.length} pieces: [${found}], expected [${wanted}]`];
  });
}

const usageUnary: FunctionPlayer = (raw) => {
  const { table } = z
    .object({
      parser: z.literal("openai"),
      table: z.array(z.strictObject({ body: z.string(), usage: Usage })),
    })
    .parse(raw);
  return table.flatMap(({ body, usage }) => compareUsage([body], false, usage));
};

const usageStream: FunctionPlayer = (raw) => {
  const { table } = z
    .object({
      parser: z.literal("openai"),
      table: z.array(z.strictObject({ chunks: z.array(z.string()), usage: Usage })),
    })
    .parse(raw);
  return table.flatMap(({ chunks, usage }) => compareUsage(chunks, true, usage));
};

/** Who restores nothing makes no restorer: an empty name on either side, or the same one. */
const modelNameBack: FunctionPlayer = (raw) => {
  const { table } = z
    .object({
      table: z.array(
        z.strictObject({
          body: z.string(),
          target: z.string(),
          incoming: z.string(),
          out: z.string(),
          mutated: z.boolean(),
        }),
      ),
    })
    .parse(raw);
  return table.flatMap(({ body, incoming, mutated, out, target }) => {
    const restorer = ModelRestorer.of(target, incoming);
    const bytes = Buffer.from(body);
    const reader = new AnswerReader("openai", body.startsWith("data:"), restorer);
    const pieces = restorer === null ? [bytes] : reader.rewrite([bytes], true);
    const found = Buffer.concat(pieces).toString();
    return found === out && (found !== body) === mutated
      ? []
      : [`${body} becomes ${found}, expected ${out}`];
  });
};

const LARGE_BODY_BYTES = 150_000;

const metadataLast: FunctionPlayer = (raw) => {
  const { table } = z
    .object({
      table: z.array(
        z.strictObject({
          metadata: z.record(z.string(), z.record(z.string(), z.number())).nullable(),
          onLastOnly: z.boolean(),
        }),
      ),
    })
    .parse(raw);
  return table.flatMap(({ metadata, onLastOnly }, row) => {
    const reply = new ReplyBuffer();
    const written: Uint8Array[] = [];
    const body = Buffer.alloc(LARGE_BODY_BYTES, "x");
    reply.body(Side.Response, [body], body.length, true, metadata as StructObject | null);
    const write = (segments: readonly Uint8Array[]) => void written.push(...segments);
    reply.flush({ encoding: "identity", write, end: () => {}, fail: () => {} });
    const found = splitFrames(Buffer.concat(written)).map((frame) => {
      const { dynamicMetadata } = decodeOracle(processingResponse, frame) as ProcessingResponse;
      return dynamicMetadata === undefined ? null : fromStruct(dynamicMetadata);
    });
    const wanted = found.map((_, i) => (onLastOnly && i === found.length - 1 ? metadata : null));
    return found.length > 2 && isDeepStrictEqual(found, wanted)
      ? []
      : [`row ${row}: ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)}`];
  });
};

/** Players by case. */
export const FUNCTION_PLAYERS: Readonly<Record<string, FunctionPlayer>> = {
  "header-normalisation": headerNormalization,
  "parser-suffix": parserByPath,
  "parser-fallback": parserByPath,
  "parser-first-wins": parserFirstWins,
  "usage-unary-table": usageUnary,
  "usage-sse-table": usageStream,
  "usage-sse-accumulate": usageStream,
  "model-name-back": modelNameBack,
  "response-metadata-last": metadataLast,
};
