/**
 * `passthrough-parser`: reads nothing. Requests are routed without model and prompt, and their bodies go on as they came.
 * Source: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/passthrough.
 * @module
 */
import type { Parser } from "./parser.ts";

export const passthroughParser: Parser = {
  type: "passthrough-parser",
  usage: "none",
  claims: [],
  needsBody: false,
  parse: () => null,
};
