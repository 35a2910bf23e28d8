/**
 * The one error table: everything that a client can be told by this process. Rows give status, text and the reason header;
 * the pure folders return reasons, and the maps below turn each into a row.
 * @module
 */
import type { RejectReason } from "../scheduler/index.ts";

/** Header that tells a client when to ask again, seconds; on every request that was dropped. */
export const RETRY_AFTER_HEADER = "retry-after";

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
  EPP_FLOW_QUEUE_FULL: {
    http: 429,
    grpc: 8,
    code: "ResourceExhausted",
    text: "request rejected: the queue is at capacity",
    dropped: "rejected-saturated",
  },
  EPP_FLOW_QUEUE_FULL_NO_ENDPOINTS: {
    http: 503,
    grpc: 14,
    code: "ServiceUnavailable",
    text: "no endpoints are available, and the queue is at capacity",
    dropped: "rejected-no-endpoints",
  },
  EPP_FLOW_TTL_EXPIRED: {
    http: 429,
    grpc: 8,
    code: "ResourceExhausted",
    text: "request timed out in the queue",
    dropped: "rejected-ttl-expired",
  },
  EPP_FLOW_TTL_EXPIRED_NO_ENDPOINTS: {
    http: 503,
    grpc: 14,
    code: "ServiceUnavailable",
    text: "request timed out in the queue, and no endpoints are available",
    dropped: "rejected-no-endpoints",
  },
  EPP_FLOW_DISPLACED: {
    http: 429,
    grpc: 8,
    code: "ResourceExhausted",
    text: "request left the full queue to one of higher priority",
    dropped: "rejected-saturated",
  },
  EPP_FLOW_CANCELED: {
    http: 503,
    grpc: 14,
    code: "ServiceUnavailable",
    text: "client disconnected while the request was queued",
    dropped: "rejected-context-cancelled",
  },
  EPP_FLOW_EVICTED: {
    http: 429,
    grpc: 8,
    code: "ResourceExhausted",
    text: "request evicted by flow control",
    dropped: "evicted",
  },
  EPP_FLOW_SHED: {
    http: 429,
    grpc: 8,
    code: "ResourceExhausted",
    text: "system saturated, sheddable request dropped",
    dropped: "rejected-saturated",
  },
  EPP_FLOW_NOT_ADMITTED: {
    http: 429,
    grpc: 8,
    code: "ResourceExhausted",
    text: "request cannot be admitted",
    dropped: "rejected-saturated",
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

/** Statuses of the table. */
type HttpStatus = (typeof errors)[ErrorCode]["http"];

/** `type` of an error in a JSON body, by status: as OpenAI's and Anthropic's APIs have it. */
export const errorTypes: Readonly<
  Record<HttpStatus, { readonly openai: string; readonly anthropic: string }>
> = {
  400: { openai: "invalid_request_error", anthropic: "invalid_request_error" },
  412: { openai: "invalid_request_error", anthropic: "invalid_request_error" },
  413: { openai: "invalid_request_error", anthropic: "request_too_large" },
  415: { openai: "invalid_request_error", anthropic: "invalid_request_error" },
  429: { openai: "rate_limit_error", anthropic: "rate_limit_error" },
  431: { openai: "invalid_request_error", anthropic: "invalid_request_error" },
  500: { openai: "server_error", anthropic: "api_error" },
  503: { openai: "server_error", anthropic: "overloaded_error" },
};

/** Row for each reason of the scheduler; the type makes the map total. */
export const rejectionErrors: Readonly<Record<RejectReason, ErrorCode>> = {
  "no-candidates": "EPP_POOL_NO_ENDPOINTS",
  "filtered-by-labels": "EPP_SCHEDULER_NO_MATCHING_ENDPOINT",
  "filtered-by-load": "EPP_SCHEDULER_SATURATED",
  "no-profile": "EPP_SCHEDULER_NO_PROFILE",
  "unknown-profile": "EPP_REQUEST_PROFILE_UNKNOWN",
  "not-cached": "EPP_SCHEDULER_NOT_CACHED",
  "queue-full": "EPP_FLOW_QUEUE_FULL",
  "queue-full-no-endpoints": "EPP_FLOW_QUEUE_FULL_NO_ENDPOINTS",
  "queue-expired": "EPP_FLOW_TTL_EXPIRED",
  "queue-expired-no-endpoints": "EPP_FLOW_TTL_EXPIRED_NO_ENDPOINTS",
  displaced: "EPP_FLOW_DISPLACED",
  canceled: "EPP_FLOW_CANCELED",
  "shutting-down": "EPP_SHUTTING_DOWN",
  evicted: "EPP_FLOW_EVICTED",
  shed: "EPP_FLOW_SHED",
  "not-admitted": "EPP_FLOW_NOT_ADMITTED",
};

/** Text of the immediate response: `inference error: <Code> - <text>`, the form upstream's users match on. */
export function errorText(code: ErrorCode, detail = ""): string {
  const row: ErrorRow = errors[code];
  const text = detail === "" ? row.text : row.text === "" ? detail : `${row.text}: ${detail}`;
  return `inference error: ${row.code} - ${text}`;
}
