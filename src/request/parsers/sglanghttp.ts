/**
 * `sglanghttp-parser`: SGLang's own generate endpoint. It names no model, and its body goes on as it came.
 *
 * Of the forms that SGLang takes for the prompt (one or several: ids, texts, embeddings) embeddings are not hashed.
 * Source: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/sglanghttp; SGLang: GenerateReqInput.
 * @module
 */
import { isPresent } from "../json-walk.ts";
import { type BodyScan, Member } from "../scan-json.ts";
import { Byte } from "../work-area.ts";
import {
  jsonProblem,
  lengthProblem,
  parserLimits,
  SamplingCap,
  takeCacheSalt,
} from "./json-facts.ts";
import type { ParsedBody, ParseError, Parser } from "./parser.ts";
import { tokenIdProblem } from "./token-ids.ts";

const cap = new SamplingCap("max_new_tokens");

export const sglanghttpParser: Parser = {
  type: "sglanghttp-parser",
  usage: "sglang",
  appProtocols: ["kubernetes.io/h2c", "http"],
  claims: ["generate"],
  needsBody: true,
  parse(body, _path, out) {
    const { scan } = out;
    const problem = scan.scan(body);
    if (problem !== null) return jsonProblem(problem);
    const promptProblem = takePrompt(scan, out);
    if (promptProblem !== null) return promptProblem;
    out.streaming = scan.isTrue(Member.stream);
    out.maxOutputTokens = cap.of(scan);
    return takeExtraKey(scan, out);
  },
};

function takePrompt(scan: BodyScan, out: ParsedBody): ParseError | null {
  const { area } = scan;
  if (isPresent(area, scan.start(Member.input_ids))) {
    if (!scan.isFilledArray(Member.input_ids)) {
      return { message: "invalid generate request: input_ids must be a list of token ids" };
    }
    out.api = "sglang-generate";
    const start = scan.start(Member.input_ids);
    const isBatch = area.bytes[area.skipSpace(start + 1)] === Byte.OpenBracket;
    return isBatch ? null : tokenIdProblem(scan, start, "input_ids");
  }
  if (scan.isFilledString(Member.text) || scan.isFilledArray(Member.text)) {
    out.api = "sglang-generate";
    return null;
  }
  return isPresent(area, scan.start(Member.input_embeds))
    ? null
    : { message: "invalid generate request: must have input_ids field" };
}

/** A text, or one for each prompt of a batch, which then stands for all of them as it came. */
function takeExtraKey(scan: BodyScan, out: ParsedBody): ParseError | null {
  const { area } = scan;
  const start = scan.start(Member.extra_key);
  if (!isPresent(area, start) || area.bytes[start] === Byte.Quote) {
    return takeCacheSalt(scan, out, Member.extra_key);
  }
  if (area.bytes[start] !== Byte.OpenBracket) {
    return { message: "extra_key: unsupported type, must be a string" };
  }
  const end = scan.end(Member.extra_key);
  const problem = lengthProblem("extra_key", end - start, parserLimits.cacheSaltBytesMax);
  if (problem === null) out.cacheSalt = area.bytes.toString("utf8", start, end);
  return problem;
}
