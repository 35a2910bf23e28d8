/**
 * `anthropic-parser`: the Anthropic messages API. Requests that only count tokens are routed by their model and nothing is
 * asked of them.
 * Source: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/anthropic.
 * @module
 */
import { Member } from "../scan-json.ts";
import { jsonProblem, takeCacheSalt, takeModel } from "./json-facts.ts";
import type { Parser } from "./parser.ts";
import { hasSuffix, normalizePath } from "./path.ts";

const COUNT_TOKENS = "messages/count_tokens";

export const anthropicParser: Parser = {
  type: "anthropic-parser",
  usage: "anthropic",
  appProtocols: ["kubernetes.io/h2c", "http"],
  claims: ["messages", COUNT_TOKENS],
  needsBody: true,
  parse(body, path, out) {
    const { scan } = out;
    const problem = scan.scan(body);
    if (hasSuffix(normalizePath(path), COUNT_TOKENS)) {
      out.skipResponseProcessing = true;
      return problem === null ? takeModel(scan, out) : null;
    }
    if (problem !== null) return jsonProblem(problem);
    if (!scan.isFilledArray(Member.messages)) {
      return { message: "invalid messages request: must have valid messages field" };
    }
    out.api = "messages";
    out.isModelRequired = true;
    out.streaming = scan.isTrue(Member.stream);
    out.maxOutputTokens = scan.count(Member.max_tokens);
    return takeCacheSalt(scan, out) ?? takeModel(scan, out);
  },
};
