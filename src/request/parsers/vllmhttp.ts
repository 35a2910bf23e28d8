/**
 * `vllmhttp-parser`: vLLM's generate endpoint, which takes token ids, with the images and sounds among them by their hashes.
 * Source: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/vllmhttp.
 * @module
 */
import { Member } from "../scan-json.ts";
import { jsonProblem, SamplingCap, takeCacheSalt, takeModel } from "./json-facts.ts";
import type { Parser } from "./parser.ts";
import { tokenIdProblem } from "./token-ids.ts";

const cap = new SamplingCap("max_tokens");

export const vllmhttpParser: Parser = {
  type: "vllmhttp-parser",
  usage: "openai",
  appProtocols: ["kubernetes.io/h2c", "http"],
  claims: ["inference/v1/generate"],
  needsBody: true,
  parse(body, _path, out) {
    const { scan } = out;
    const problem = scan.scan(body);
    if (problem !== null) return jsonProblem(problem);
    if (!scan.isFilledArray(Member.token_ids)) {
      return { message: "invalid generate request: must have token_ids field" };
    }
    const idProblem = tokenIdProblem(scan, scan.start(Member.token_ids), "token_ids");
    if (idProblem !== null) return idProblem;
    out.api = "vllm-generate";
    out.isModelRequired = true;
    out.streaming = scan.isTrue(Member.stream);
    out.maxOutputTokens = cap.of(scan);
    return takeCacheSalt(scan, out) ?? takeModel(scan, out);
  },
};
