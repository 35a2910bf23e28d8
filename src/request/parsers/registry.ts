/**
 * The list of parsers, and which of them takes a request: the longest claim that fits the end of the path.
 * @module
 */
import type { OuterPlugin } from "../../../scheduler/index.ts";
import { anthropicParser } from "./anthropic.ts";
import { openaiParser } from "./openai.ts";
import type { Parser } from "./parser.ts";
import { passthroughParser } from "./passthrough.ts";
import { hasSuffix, normalizeClaim, normalizePath } from "./path.ts";
import { sglanghttpParser } from "./sglanghttp.ts";
import { vertexaiParser } from "./vertexai.ts";
import { vllmgrpcParser } from "./vllmgrpc.ts";
import { vllmhttpParser } from "./vllmhttp.ts";

/** Every parser there is. */
export const PARSERS: readonly Parser[] = [
  openaiParser,
  anthropicParser,
  vllmhttpParser,
  sglanghttpParser,
  vllmgrpcParser,
  vertexaiParser,
  passthroughParser,
];

/** Types in the order in which they stand when the configuration names none. */
export const defaultParserTypes: readonly string[] = [
  openaiParser,
  anthropicParser,
  vllmhttpParser,
  passthroughParser,
].map((parser) => parser.type);

/** Type strings that a configuration may use. */
export const parserTypes: readonly string[] = PARSERS.map((parser) => parser.type);

interface Claim {
  readonly suffix: string;
  readonly parser: Parser;
}

/** Parsers in configured order. */
export class ParserTable {
  /** Remarks for the operator: entries without effect. */
  readonly warnings: readonly string[];
  readonly #claims: readonly Claim[];
  readonly #fallback: Parser | null;

  /** @param parsers one without claims is the fallback; what stands behind it is left out */
  constructor(parsers: readonly Parser[]) {
    const warnings: string[] = [];
    const claims: Claim[] = [];
    const types = new Set<string>();
    let fallback: Parser | null = null;
    for (const parser of parsers) {
      if (fallback !== null) {
        warnings.push(
          `parser ${parser.type} is left out: ${fallback.type} before it takes every request`,
        );
      } else if (types.has(parser.type)) {
        warnings.push(`parser ${parser.type} is left out: there is one of this type before it`);
      } else if (parser.claims.length === 0) {
        fallback = parser;
      } else {
        types.add(parser.type);
        for (const claim of parser.claims) claims.push({ suffix: normalizeClaim(claim), parser });
      }
    }
    this.warnings = warnings;
    // stable, so that among equal claims the parser configured first stays first
    this.#claims = claims.sort((a, b) => b.suffix.length - a.suffix.length);
    this.#fallback = fallback;
  }

  /** @param path as in `:path`, query included. @returns null when nobody takes it */
  resolve(path: string): Parser | null {
    const normalized = normalizePath(path);
    for (const { suffix, parser } of this.#claims) {
      if (hasSuffix(normalized, suffix)) return parser;
    }
    return this.#fallback;
  }
}

/**
 * Builds the table for `requestHandler.parsers`; an empty list stands for the default ones.
 *
 * @throws Error when a type is not one of `parserTypes`
 */
export function buildParsers(configured: readonly OuterPlugin[]): ParserTable {
  if (configured.length === 0) {
    return new ParserTable(PARSERS.filter(({ type }) => defaultParserTypes.includes(type)));
  }
  return new ParserTable(
    configured.map(({ type, path }) => {
      const parser = PARSERS.find((candidate) => candidate.type === type);
      if (parser !== undefined) return parser;
      throw new Error(
        `${path}.type: parser "${type}" is not available; available are ${parserTypes.join(", ")}`,
      );
    }),
  );
}
