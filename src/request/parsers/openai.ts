/**
 * `openai-parser`: the OpenAI API and its vLLM extensions. Refuses what has no prompt; whatever else may be wrong with a
 * body is for the model server to say.
 *
 * Prompts are hashed for all its paths. For `responses` only what the body holds is known: a `previous_response_id`
 * stands for turns that are kept by the model server.
 * Source: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/openai.
 * @module
 */
import type { PromptApi } from "../prompt-format.ts";
import { type BodyScan, Member } from "../scan-json.ts";
import { Byte } from "../work-area.ts";
import type { ParsedBody, ParseError, Parser } from "./parser.ts";
import { hasSuffix, normalizePath } from "./path.ts";

export const openaiLimits = {
  /** UTF-8 bytes of a model's name. */
  modelNameBytesMax: 256,
  /** UTF-8 bytes of a cache salt; it is hashed once a request. */
  cacheSaltBytesMax: 4096,
} as const;

/** Paths in the order in which they are tried. */
const APIS: readonly (readonly [string, PromptApi])[] = [
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
const CAPS: Readonly<Record<PromptApi, readonly Member[]>> = {
  none: [],
  completions: [Member.max_tokens],
  chat: [Member.max_completion_tokens, Member.max_tokens],
  responses: [Member.max_output_tokens],
  conversations: [],
  embeddings: [],
  images: [],
};

const MISSING: Readonly<Record<PromptApi, string>> = {
  none: "",
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
  claims: APIS.map(([path]) => path),
  needsBody: true,
  parse(body, path, out) {
    const { scan } = out;
    const problem = scan.scan(body);
    if (problem !== null) return { message: `error unmarshaling request bodyMap: ${problem}` };
    const api = apiOf(path);
    if (!hasPrompt(scan, api)) return { message: MISSING[api] };
    out.api = api;
    out.streaming = scan.isTrue(Member.stream);
    if (scan.textLength(Member.cache_salt) > openaiLimits.cacheSaltBytesMax) {
      return tooLong(
        "cache_salt",
        scan.textLength(Member.cache_salt),
        openaiLimits.cacheSaltBytesMax,
      );
    }
    out.cacheSalt = scan.text(Member.cache_salt);
    for (const member of CAPS[api]) {
      out.maxOutputTokens = scan.count(member);
      if (out.maxOutputTokens >= 0) break;
    }
    return takeModel(scan, out);
  },
};

function apiOf(path: string): PromptApi {
  const normalized = normalizePath(path);
  for (const [suffix, api] of APIS) if (hasSuffix(normalized, suffix)) return api;
  return "completions";
}

function hasPrompt(scan: BodyScan, api: PromptApi): boolean {
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

function takeModel(scan: BodyScan, out: ParsedBody): ParseError | null {
  if (!scan.has(Member.model)) return null;
  const { body } = scan.area;
  out.modelStart = scan.start(Member.model) - body;
  out.modelEnd = scan.end(Member.model) - body;
  const length = scan.textLength(Member.model);
  if (length > openaiLimits.modelNameBytesMax) {
    return tooLong("model", length, openaiLimits.modelNameBytesMax);
  }
  out.model = scan.text(Member.model);
  return hasControlCharacter(out.model)
    ? { message: "model: name with a control character" }
    : null;
}

function tooLong(member: string, length: number, max: number): ParseError {
  return { message: `${member}: ${length} bytes; at most ${max} are allowed` };
}

/** Names go into metric labels and logs. */
function hasControlCharacter(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
