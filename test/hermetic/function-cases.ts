/**
 * Cases of level unit that are about one function: the table goes straight into it.
 * @module
 */
import { z } from "zod";
import {
  decodeProcessingRequest,
  HeaderId,
  ProcessingRequest,
  WireStatus,
} from "../../proto/index.ts";
import type { Parser } from "../../src/request/parsers/parser.ts";
import { ParserTable } from "../../src/request/parsers/registry.ts";
import { encodeRequest } from "../support/ext-proc-client.ts";

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

/** Players by case. */
export const FUNCTION_PLAYERS: Readonly<Record<string, FunctionPlayer>> = {
  "header-normalisation": headerNormalization,
  "parser-suffix": parserByPath,
  "parser-fallback": parserByPath,
  "parser-first-wins": parserFirstWins,
};
