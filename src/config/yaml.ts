/**
 * YAML 1.2 (JSON is a part of it) with merge keys → plain values; a duplicate key, an unknown tag or an alias bomb is an
 * error, never a guess.
 * @module
 */
import { parseDocument } from "yaml";

/** Aliases expanded in one document: a few anchors are fine, a bomb is not. */
const ALIASES_MAX = 100;

export interface YamlProblem {
  /** 1-based; 0 = no place in the text. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** The one document of a text, or everything that is wrong with it. */
export function parseYaml(
  text: string,
): { readonly value: unknown } | { readonly problems: readonly YamlProblem[] } {
  try {
    const document = parseDocument(text, { merge: true, prettyErrors: true, uniqueKeys: true });
    const faults = [...document.errors, ...document.warnings];
    if (faults.length === 0) return { value: document.toJS({ maxAliasCount: ALIASES_MAX }) };
    return {
      problems: faults.map(({ linePos, message }) => ({
        line: linePos?.[0].line ?? 0,
        column: linePos?.[0].col ?? 0,
        message: firstSentence(message),
      })),
    };
  } catch (error) {
    // Aliases beyond the bound, or brackets nested so deep that the parser runs out of stack.
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
