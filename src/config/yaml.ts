/**
 * YAML 1.2 (JSON is a part of it) with merge keys → plain values; a duplicate key, an unknown tag or an alias bomb is an
 * error, never a guess.
 * @module
 */
import { type Document, parseAllDocuments, parseDocument } from "yaml";

/** Aliases expanded in one document: a few anchors are fine, a bomb is not. */
const ALIASES_MAX = 100;

export interface YamlProblem {
  /** 1-based; 0 = no place in the text. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** One document: its value, or everything that is wrong with it. */
export type ParsedYaml =
  | { readonly value: unknown }
  | { readonly problems: readonly YamlProblem[] };

const OPTIONS = { merge: true, prettyErrors: true, uniqueKeys: true } as const;

/** The one document of a text. */
export function parseYaml(text: string): ParsedYaml {
  return guarded(() => toValue(parseDocument(text, OPTIONS)));
}

/** Every document of a text, one as one: documents that hold nothing are left in, with the value null. */
export function parseYamlDocuments(text: string): readonly ParsedYaml[] {
  const documents = guarded(() => ({ value: parseAllDocuments(text, OPTIONS) }));
  if ("problems" in documents) return [documents];
  return [...documents.value].map((document) => guarded(() => toValue(document as Document)));
}

function toValue(document: Pick<Document, "errors" | "toJS" | "warnings">): ParsedYaml {
  const faults = [...document.errors, ...document.warnings];
  if (faults.length === 0) return { value: document.toJS({ maxAliasCount: ALIASES_MAX }) };
  return {
    problems: faults.map(({ linePos, message }) => ({
      line: linePos?.[0].line ?? 0,
      column: linePos?.[0].col ?? 0,
      message: firstSentence(message),
    })),
  };
}

/** The parser throws at aliases beyond the bound, and at brackets nested so deep that it runs out of stack. */
function guarded<T>(parse: () => T): T | { readonly problems: readonly YamlProblem[] } {
  try {
    return parse();
  } catch (error) {
    return { problems: [{ line: 0, column: 0, message: (error as Error).message }] };
  }
}

/** The place stands beside the message, and a drawing of it behind. */
function firstSentence(message: string): string {
  return message.split("\n")[0]!.replace(/ at line \d+, column \d+:?$/, "");
}

/** @throws TypeError when the bytes are no UTF-8, as of a file that is only half written */
export function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}
