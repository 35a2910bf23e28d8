/**
 * Headers and body of one request → the facts that scheduling works on, or the reason why the request is refused.
 * @module
 */
import { InferenceRequest } from "../../scheduler/index.ts";
import type { ErrorCode } from "../errors.ts";
import { withVideoHeaders } from "../request/media-estimate.ts";
import { parserLimits } from "../request/parsers/json-facts.ts";
import type { ParsedBody, Parser } from "../request/parsers/parser.ts";
import { hashPrompt } from "../request/prompt-blocks.ts";
import type { Steps } from "../request/steps.ts";
import type { BodyBuffer } from "./body-buffer.ts";
import type { IngressContext } from "./ingress-context.ts";
import type { RequestHeaders } from "./request-headers.ts";

/** Why a request is not even submitted. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
}

const DEFAULT_FAIRNESS_ID = "default-flow";
const NO_HASHES: InferenceRequest["blockHashes"] = [];

/**
 * Takes the facts of a request, in steps.
 *
 * @param parsed filled with what the parser has found
 * @param parser null = the request is routed on its headers, whatever has come of the body
 * @param body what has come of it
 */
export function* requestFacts(
  context: IngressContext,
  parsed: ParsedBody,
  headers: RequestHeaders,
  parser: Parser | null,
  body: BodyBuffer,
  arrivedAtMs: number,
): Steps<InferenceRequest | Refusal> {
  parsed.reset();
  let targetModel = "";
  let promptTokens = 0;
  let mediaItems = 0;
  let blockHashes = NO_HASHES;
  if (parser?.needsBody) {
    const bytes = body.readable;
    parsed.scan.load(bytes);
    yield;
    const problem = parser.parse(bytes, headers.path, parsed);
    if (problem !== null) return { code: "EPP_REQUEST_BODY_INVALID", detail: problem.message };
  }
  if (parser !== null) {
    targetModel = headers.modelRewrite || parsed.model;
    // A rule can not give a model to a body that no model can be put into.
    const rule =
      parsed.modelForm === "none" ? null : context.resources.current.ruleFor(parsed.model);
    if (rule !== null) {
      // A session stays with its target, as each retry of one request does.
      targetModel = rule.target(headers.sessionId || headers.requestId);
      context.metrics.rewritten(rule.rewrite, parsed.model, targetModel);
    }
    if (targetModel === "" && (rule !== null || parsed.isModelRequired)) {
      return { code: "EPP_REQUEST_NO_MODEL", detail: "" };
    }
    const { modelNameBytesMax } = parserLimits;
    if (targetModel.length * UTF8_BYTES_PER_UNIT > modelNameBytesMax) {
      const bytes = Buffer.byteLength(targetModel);
      if (bytes > modelNameBytesMax) return nameTooLong(bytes, modelNameBytesMax);
    }
  }
  if (parsed.api !== "none") {
    yield;
    const { mediaEstimate, port } = context;
    const prompt = yield* hashPrompt(
      parsed,
      body.readable,
      port.hashPlans,
      targetModel,
      parsed.cacheSalt,
      headers.video === null ? mediaEstimate : withVideoHeaders(mediaEstimate, headers.video),
    );
    promptTokens = prompt.promptTokens;
    mediaItems = parsed.stream.mediaItems;
    blockHashes = prompt.blockHashes;
  }
  return new InferenceRequest(
    {
      id: headers.requestId,
      model: parsed.model,
      targetModel,
      objective: headers.objective,
      priority: context.resources.current.priorityOf(headers.objective),
      fairnessId: headers.fairnessId || DEFAULT_FAIRNESS_ID,
      streaming: parsed.streaming,
      bodyBytes: body.byteLength,
      promptTokens,
      mediaItems,
      maxOutputTokens: parsed.maxOutputTokens,
      arrivedAtMs,
      blockHashes,
      headers: headers.forPlugins,
      ifAvailable: headers.ifAvailable && parser !== null,
    },
    context.modelHashes.get(targetModel),
  );
}

const UTF8_BYTES_PER_UNIT = 3;

/** Names of bodies are bounded by their parser, so that it is the header's. */
function nameTooLong(bytes: number, bytesMax: number): Refusal {
  return {
    code: "EPP_REQUEST_HEADER_INVALID",
    detail: `x-llm-d-model-name-rewrite: ${bytes} bytes; at most ${bytesMax} are allowed`,
  };
}
