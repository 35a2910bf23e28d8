/**
 * `vertexai-parser`: the prediction service of Vertex AI over gRPC, with an OpenAI body inside, which goes on as it came:
 *
 *   [prefix] ChatCompletionsRequest | RawPredictRequest | StreamRawPredictRequest  { 1 endpoint, 2 http_body }
 *            google.api.HttpBody  { 1 content_type, 2 data: JSON, 3 extensions }
 *
 * Sources: llm-d-router: pkg/epp/framework/plugins/requesthandling/parsers/vertexai; googleapis:
 * google/cloud/aiplatform/v1beta1/prediction_service.proto.
 * @module
 */
import { Reader, WireStatus, WireType } from "../../../proto/index.ts";
import { GrpcMessages, grpcProblem } from "../grpc-messages.ts";
import { type BodyScan, Member } from "../scan-json.ts";
import { bodyLength, type WorkArea, workAreaLimits } from "../work-area.ts";
import { jsonProblem } from "./json-facts.ts";
import { takeOpenAiFacts } from "./openai.ts";
import type { Parser } from "./parser.ts";
import { hasSuffix, normalizePath } from "./path.ts";

const CHAT_COMPLETIONS = "PredictionService/ChatCompletions";
const HTTP_BODY = 2;
const DATA = 2;

const messages = new GrpcMessages();
const reader = new Reader();

export const vertexaiParser: Parser = {
  type: "vertexai-parser",
  usage: "vertex",
  appProtocols: ["kubernetes.io/h2c"],
  claims: [CHAT_COMPLETIONS, "PredictionService/StreamRawPredict", "PredictionService/RawPredict"],
  needsBody: true,
  parse(body, path, out) {
    const { scan } = out;
    const { area } = scan;
    if (!area.load(body)) {
      const { bodyBytesMax } = workAreaLimits;
      return { message: grpcProblem(`${bodyLength(body)} bytes; at most ${bodyBytesMax}`) };
    }
    const problem = findJson(area);
    if (problem !== null) return { message: grpcProblem(problem) };
    const jsonFault = scan.scanPart(reader.start, reader.stop);
    if (jsonFault !== null) return jsonProblem(jsonFault);
    const isChat = hasSuffix(normalizePath(path), CHAT_COMPLETIONS);
    const error = takeOpenAiFacts(isChat ? "chat" : rawApi(scan), out);
    // The endpoint names the model, too, and the JSON is inside of lengths that would have to change.
    out.isModelRequired = false;
    out.modelForm = "none";
    return error;
  },
};

/** Leaves the range of the JSON in `reader`. @returns null, or what is wrong */
function findJson(area: WorkArea): string | null {
  messages.begin(area);
  if (!messages.next()) return messages.problem ?? "there is no message";
  reader.reset(area.bytes, messages.start, messages.end);
  if (!toLast(HTTP_BODY))
    return reader.status === WireStatus.Ok ? "must have http_body" : MALFORMED;
  reader.reset(area.bytes, reader.start, reader.stop);
  if (toLast(DATA)) return null;
  return reader.status === WireStatus.Ok ? "must have data in http_body" : MALFORMED;
}

const MALFORMED = "malformed request";

/** Leaves the range of the last field with this number. @returns false: there is none, or the message is broken */
function toLast(field: number): boolean {
  let start = -1;
  let stop = -1;
  while (reader.next()) {
    if (!reader.skip()) return false;
    if (reader.field !== field || reader.type !== WireType.Bytes) continue;
    start = reader.start;
    stop = reader.stop;
  }
  reader.start = start;
  reader.stop = stop;
  return start >= 0 && reader.status === WireStatus.Ok;
}

/** What a raw body is for is told by the member that holds its prompt. */
function rawApi(scan: BodyScan): "chat" | "responses" | "completions" {
  if (scan.has(Member.messages)) return "chat";
  if (scan.has(Member.input)) return "responses";
  return scan.has(Member.prompt) ? "completions" : "chat";
}
