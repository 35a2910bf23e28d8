/**
 * The immediate response that refuses a request: status, reason, headers and a body in the form that the client reads.
 *
 *   gRPC request                       text (the gateway puts it into grpc-message) and gRPC status
 *   --error-format=text                text
 *   --error-format=json                JSON
 *   --error-format=auto                JSON for clients that accept application/json by name, as SDKs do; else text
 *
 * JSON has the shape of OpenAI's errors, on Anthropic's paths that of theirs; the message is the text either way.
 * @module
 */
import { type Writer, writeImmediateReply } from "../../proto/index.ts";
import {
  DROPPED_REASON_HEADER,
  type ErrorCode,
  type ErrorRow,
  errors,
  errorText,
  errorTypes,
  RETRY_AFTER_HEADER,
} from "../errors.ts";
import { hasSuffix, normalizePath } from "../request/parsers/path.ts";
import type { RequestHeaders } from "./request-headers.ts";

/** What the body of a refusal is. */
export type ErrorFormat = "auto" | "text" | "json";

const ANTHROPIC_PATHS = ["messages", "messages/count_tokens"] as const;

/** What a client is told. */
export interface RejectionFacts {
  readonly code: ErrorCode;
  readonly detail: string;
  /** Told where a request was dropped, which may do better then. */
  readonly retryAfterSeconds: number;
}

/**
 * Writes the refusal of a request.
 *
 * @param headers null when the request's headers could not be read
 */
export function writeRejection(
  w: Writer,
  { code, detail, retryAfterSeconds }: RejectionFacts,
  headers: RequestHeaders | null,
  format: ErrorFormat,
): void {
  const row: ErrorRow = errors[code];
  const isGrpc = headers?.isGrpc ?? false;
  const isJson = !isGrpc && (format === "json" || (format === "auto" && headers?.acceptsJson));
  const text = errorText(code, detail);
  const body = isJson ? jsonError(code, text, headers?.path ?? "") : text;
  writeImmediateReply(
    w,
    row.http,
    rejectionHeaders(row, retryAfterSeconds, isJson === true),
    Buffer.from(body),
    isGrpc ? row.grpc : -1,
    row.dropped,
  );
}

/** Every header of a refusal, names and values in turn. */
function rejectionHeaders(
  row: ErrorRow,
  retryAfterSeconds: number,
  isJson: boolean,
): readonly string[] {
  const set: string[] = [];
  if (row.dropped !== "") {
    set.push(DROPPED_REASON_HEADER, row.dropped, RETRY_AFTER_HEADER, String(retryAfterSeconds));
  }
  if (isJson) set.push("content-type", "application/json");
  return set;
}

/** @param path as in `:path` */
export function jsonError(code: ErrorCode, message: string, path: string): string {
  const types = errorTypes[errors[code].http];
  const normalized = normalizePath(path);
  return ANTHROPIC_PATHS.some((suffix) => hasSuffix(normalized, suffix))
    ? JSON.stringify({ type: "error", error: { type: types.anthropic, message } })
    : JSON.stringify({ error: { message, type: types.openai, code, param: null } });
}
