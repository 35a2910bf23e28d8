/**
 * The one error table: everything that a client can be told by this process. Rows give status, text and the reason header;
 * the pure folders return reasons, and the maps below turn each into a row.
 * @module
 */
import type { RejectReason } from "../scheduler/index.ts";

/** Header that tells a client, and the gateway's access log, why a request was dropped. */
export const DROPPED_REASON_HEADER = "x-llm-d-request-dropped-reason";

export interface ErrorRow {
  /** HTTP status of the immediate response. */
  readonly http: number;
  /** gRPC status for requests whose content type is gRPC (google.rpc.Code). */
  readonly grpc: number;
  /** Error class as upstream names it in texts and in the `error_code` label. */
  readonly code: string;
  /** Client text; a detail may be appended. */
  readonly text: string;
  /** Value of the reason header, "" = no header. */
  readonly dropped: string;
}

export const errors = {
  EPP_REQUEST_NO_PARSER: {
    http: 400,
    grpc: 3,
    code: "BadRequest",
    text: "no parser registered matching path suffix",
    dropped: "",
  },
  EPP_REQUEST_BODY_INVALID: { http: 400, grpc: 3, code: "BadRequest", text: "", dropped: "" },
  EPP_REQUEST_HEADER_INVALID: { http: 400, grpc: 3, code: "BadRequest", text: "", dropped: "" },
  EPP_REQUEST_NO_MODEL: {
    http: 400,
    grpc: 3,
    code: "BadRequest",
    text: "model not found in request body",
    dropped: "",
  },
  EPP_REQUEST_BODY_TOO_LARGE: {
    http: 413,
    grpc: 8,
    code: "PayloadTooLarge",
    text: "request body is larger than the limit",
    dropped: "",
  },
  EPP_REQUEST_ENCODING_UNSUPPORTED: {
    http: 415,
    grpc: 12,
    code: "UnsupportedMediaType",
    text: "content-encoding is not one of gzip, deflate, br",
    dropped: "",
  },
  EPP_REQUEST_HEADERS_TOO_LARGE: {
    http: 431,
    grpc: 8,
    code: "RequestHeaderFieldsTooLarge",
    text: "request has more headers than the limit",
    dropped: "",
  },
  EPP_INGRESS_BODY_BUDGET: {
    http: 503,
    grpc: 14,
    code: "ServiceUnavailable",
    text: "request bodies in flight have reached the memory budget",
    dropped: "rejected-saturated",
  },
  EPP_POOL_NO_ENDPOINTS: {
    http: 503,
    grpc: 14,
    code: "ServiceUnavailable",
    text: "failed to find endpoint candidates for serving the request",
    dropped: "rejected-no-endpoints",
  },
  EPP_SCHEDULER_NO_MATCHING_ENDPOINT: {
    http: 503,
    grpc: 14,
    code: "ServiceUnavailable",
    text: "no endpoint of the pool has the labels or role that the scheduling profile asks for",
    dropped: "rejected-no-endpoints",
  },
  EPP_SCHEDULER_SATURATED: {
    http: 429,
    grpc: 8,
    code: "ResourceExhausted",
    text: "no endpoints available for the given request",
    dropped: "rejected-saturated",
  },
  EPP_SCHEDULER_NO_PROFILE: {
    http: 500,
    grpc: 13,
    code: "Internal",
    text: "failed to find target endpoint: no scheduling profile produced a result",
    dropped: "",
  },
  EPP_REQUEST_PROFILE_UNKNOWN: {
    http: 400,
    grpc: 3,
    code: "BadRequest",
    text: "the request names a scheduling profile that is not configured",
    dropped: "",
  },
  EPP_SCHEDULER_NOT_CACHED: {
    http: 412,
    grpc: 9,
    code: "PreconditionFailed",
    text: "no decode worker has the requested KV cache",
    dropped: "",
  },
  EPP_SHUTTING_DOWN: {
    http: 503,
    grpc: 14,
    code: "ServiceUnavailable",
    text: "endpoint picker is shutting down",
    dropped: "rejected-shutting-down",
  },
  EPP_INTERNAL: {
    http: 500,
    grpc: 13,
    code: "Internal",
    text: "internal error while handling the request",
    dropped: "",
  },
} as const satisfies Record<`EPP_${string}`, ErrorRow>;

export type ErrorCode = keyof typeof errors;

/** Row for each reason of the scheduler; the type makes the map total. */
export const rejectionErrors: Readonly<Record<RejectReason, ErrorCode>> = {
  "no-candidates": "EPP_POOL_NO_ENDPOINTS",
  "filtered-by-labels": "EPP_SCHEDULER_NO_MATCHING_ENDPOINT",
  "filtered-by-load": "EPP_SCHEDULER_SATURATED",
  "no-profile": "EPP_SCHEDULER_NO_PROFILE",
  "unknown-profile": "EPP_REQUEST_PROFILE_UNKNOWN",
  "not-cached": "EPP_SCHEDULER_NOT_CACHED",
};

/** Body of the immediate response: `inference error: <Code> - <text>`, the form upstream's users match on. */
export function errorText(code: ErrorCode, detail = ""): string {
  const row: ErrorRow = errors[code];
  const text = detail === "" ? row.text : row.text === "" ? detail : `${row.text}: ${detail}`;
  return `inference error: ${row.code} - ${text}`;
}
