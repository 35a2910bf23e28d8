/**
 * `openai-parser`: the OpenAI API and its vLLM extensions. Refuses what has no prompt; whatever else may be wrong with a
 * body is for the model server to say.
 *
 * Prompts are hashed for all its paths. For `responses` only what the body holds is known: a `previous_response_id`
 * stands for turns that are kept by the model server. Sounds are routed by model alone (audio.ts).
 * Source: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/openai.
 * @module
 */
import type { PromptApi } from "../prompt-format.ts";
import { type BodyScan, Member } from "../scan-json.ts";
import { Byte } from "../work-area.ts";
import { audioClaims, takeAudioFacts } from "./audio.ts";
import { jsonProblem, takeCacheSalt, takeModel } from "./json-facts.ts";
import type { ParsedBody, ParseError, Parser } from "./parser.ts";
import { hasSuffix, normalizePath } from "./path.ts";

type OpenAiApi = Extract<
  PromptApi,
  "completions" | "chat" | "responses" | "conversations" | "embeddings" | "images"
>;

/** Paths in the order in which they are tried. */
const APIS: readonly (readonly [string, OpenAiApi])[] = [
  ["conversations", "conversations"],
  ["responses", "responses"],
  ["chat/completions", "chat"],
  ["chat/completions/render", "chat"],
  ["completions", "completions"],
  ["completions/render", "completions"],
  ["embeddings", "embeddings"],
  ["images/generations", "images"],
];

/** Members that cap the output, the first that holds a count wins. */
const CAPS: Readonly<Record<OpenAiApi, readonly Member[]>> = {
  completions: [Member.max_tokens],
  chat: [Member.max_completion_tokens, Member.max_tokens],
  responses: [Member.max_output_tokens],
  conversations: [],
  embeddings: [],
  images: [],
};

const MISSING: Readonly<Record<OpenAiApi, string>> = {
  completions: "invalid completions request: must have prompt field",
  chat: "invalid chat completions request: must have valid messages field",
  responses: "invalid responses request: must have input field",
  conversations: "invalid conversations request: must have items field",
  embeddings: "invalid embeddings request: must have input field",
  images: "invalid images generations request: must have prompt field",
};

export const openaiParser: Parser = {
  type: "openai-parser",
  usage: "openai",
  appProtocols: ["kubernetes.io/h2c", "http"],
  claims: [...APIS.map(([path]) => path), ...audioClaims],
  needsBody: true,
  parse(body, path, out) {
    const { scan } = out;
    const normalized = normalizePath(path);
    const problem = scan.scan(body);
    for (const claim of audioClaims) {
      if (hasSuffix(normalized, claim)) return takeAudioFacts(body, problem === null, out);
    }
    return problem === null ? takeOpenAiFacts(apiOf(normalized), out) : jsonProblem(problem);
  },
};

/** Takes the facts of a body that was scanned and found to be an object. */
export function takeOpenAiFacts(api: OpenAiApi, out: ParsedBody): ParseError | null {
  const { scan } = out;
  if (!hasPrompt(scan, api)) return { message: MISSING[api] };
  out.api = api;
  out.isModelRequired = true;
  out.streaming = scan.isTrue(Member.stream);
  for (const member of CAPS[api]) {
    out.maxOutputTokens = scan.count(member);
    if (out.maxOutputTokens >= 0) break;
  }
  return takeCacheSalt(scan, out) ?? takeModel(scan, out);
}

/** @param path normalized */
function apiOf(path: string): OpenAiApi {
  for (const [suffix, api] of APIS) if (hasSuffix(path, suffix)) return api;
  return "completions";
}

function hasPrompt(scan: BodyScan, api: OpenAiApi): boolean {
  switch (api) {
    case "chat":
      return scan.isFilledArray(Member.messages);
    case "conversations":
      return scan.isFilledArray(Member.items);
    case "responses":
      return scan.has(Member.input) && scan.lead(Member.input) !== Byte.LetterN;
    case "embeddings":
      return scan.isFilledString(Member.input) || scan.isFilledArray(Member.input);
    case "images":
      return scan.isFilledString(Member.prompt);
    default:
      return scan.isFilledString(Member.prompt) || scan.isFilledArray(Member.prompt);
  }
}
