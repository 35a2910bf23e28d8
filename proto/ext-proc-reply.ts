/**
 * Encoder of envoy.service.ext_proc.v3.ProcessingResponse: each function appends one complete gRPC frame. Header values go
 * into raw_value only; an empty message inside the oneof is still written, since it carries the case.
 * @module
 */
import { writeGrpcFramePrefix } from "./grpc-frame.ts";
import { encodeStruct, type StructObject, structSize } from "./struct.ts";
import { utf8Size, varintSize, type Writer } from "./wire.ts";

export const Side = { Request: 0, Response: 1 } as const;
export type Side = (typeof Side)[keyof typeof Side];

/** What changes in the headers; names and values in turn. */
export interface HeaderMutation {
  readonly set: readonly string[];
  readonly remove: readonly string[];
}

const HEADERS_FIELD = 1; // + side
const BODY_FIELD = 3;
const TRAILERS_FIELD = 5;
const IMMEDIATE_FIELD = 7;
const DYNAMIC_METADATA_FIELD = 8;

function sized(length: number): number {
  return 1 + varintSize(length) + length;
}

function headerOptionSize(name: string, value: string): number {
  return sized(sized(utf8Size(name)) + sized(utf8Size(value)));
}

function mutationSize(mutation: HeaderMutation): number {
  let size = 0;
  const { set, remove } = mutation;
  for (let i = 0; i < set.length; i += 2) size += sized(headerOptionSize(set[i]!, set[i + 1]!));
  for (const name of remove) size += sized(utf8Size(name));
  return size;
}

function writeMutation(w: Writer, mutation: HeaderMutation): void {
  const { set, remove } = mutation;
  for (let i = 0; i < set.length; i += 2) {
    const name = set[i]!;
    const value = set[i + 1]!;
    const header = sized(utf8Size(name)) + sized(utf8Size(value));
    w.open(1, sized(header)); // set_headers
    w.open(1, header); // HeaderValueOption.header
    w.string(1, name);
    w.string(3, value); // raw_value
  }
  for (const name of remove) w.string(2, name);
}

/** Reply to request or response headers. */
export function writeHeadersReply(
  w: Writer,
  side: Side,
  mutation: HeaderMutation,
  clearRouteCache: boolean,
  metadata: StructObject | null,
): void {
  const inner = mutationSize(mutation);
  const common = (inner > 0 ? sized(inner) : 0) + (clearRouteCache ? 2 : 0);
  const reply = common > 0 ? sized(common) : 0;
  const tail = metadata === null ? 0 : structSize(metadata);
  writeGrpcFramePrefix(w, sized(reply) + (metadata === null ? 0 : sized(tail)));
  w.open(HEADERS_FIELD + side, reply);
  if (common > 0) {
    w.open(1, common);
    if (inner > 0) {
      w.open(2, inner);
      writeMutation(w, mutation);
    }
    if (clearRouteCache) {
      w.byte(5 << 3);
      w.byte(1);
    }
  }
  if (metadata !== null) {
    w.open(DYNAMIC_METADATA_FIELD, tail);
    encodeStruct(w, metadata);
  }
}

const DESTINATION = "x-gateway-destination-endpoint";
const SCORES = "x-gateway-destination-endpoint-scores";

/**
 * Reply to request headers that names the endpoint, in header and metadata alike.
 *
 * @param contentLength bytes of the body that follows; -1 = not told
 * @param extraSet further headers, names and values in turn
 * @param remove names to remove from the request
 * @param scores `ip:port` → score, or null
 */
export function writeDestinationReply(
  w: Writer,
  destination: string,
  contentLength: number,
  extraSet: readonly string[],
  remove: readonly string[],
  scores: StructObject | null,
): void {
  const set =
    contentLength < 0
      ? [DESTINATION, destination, ...extraSet]
      : [DESTINATION, destination, "content-length", String(contentLength), ...extraSet];
  const kept = remove.includes(DESTINATION) ? remove.filter((name) => name !== DESTINATION) : remove;
  const lb: StructObject = { [DESTINATION]: destination };
  if (scores !== null) lb[SCORES] = scores;
  writeHeadersReply(w, Side.Request, { set, remove: kept }, true, { "envoy.lb": lb });
}

/**
 * Everything of a streamed body reply except the body's bytes, which must follow: they stand last on the wire, so that
 * the caller appends its own slice.
 */
export function writeBodyPrefix(w: Writer, side: Side, bodyLength: number, endOfStream: boolean): void {
  const streamed = (endOfStream ? 2 : 0) + (bodyLength > 0 ? sized(bodyLength) : 0);
  const mutation = sized(streamed);
  const common = sized(mutation);
  const reply = sized(common);
  writeGrpcFramePrefix(w, sized(reply));
  w.open(BODY_FIELD + side, reply);
  w.open(1, common);
  w.open(3, mutation);
  w.open(3, streamed);
  if (endOfStream) {
    w.byte(2 << 3);
    w.byte(1);
  }
  if (bodyLength > 0) w.open(1, bodyLength);
}

/** Streamed body reply with its bytes and metadata. */
export function writeBodyReply(
  w: Writer,
  side: Side,
  body: Uint8Array,
  endOfStream: boolean,
  metadata: StructObject | null,
): void {
  const start = w.length;
  writeBodyPrefix(w, side, body.length, endOfStream);
  w.raw(body);
  if (metadata === null) return;
  w.open(DYNAMIC_METADATA_FIELD, structSize(metadata));
  encodeStruct(w, metadata);
  const length = w.length - start - 5;
  w.bytes.writeUInt32BE(length, start + 1);
}

/** Body reply of the BUFFERED and STREAMED modes. @param body replacement, or null to keep what the gateway has */
export function writeBufferedBodyReply(
  w: Writer,
  side: Side,
  mutation: HeaderMutation,
  body: Uint8Array | null,
  clearRouteCache: boolean,
  metadata: StructObject | null,
): void {
  const inner = mutationSize(mutation);
  const bodySize = body === null ? 0 : sized(body.length);
  const common =
    (inner > 0 ? sized(inner) : 0) +
    (body === null ? 0 : sized(bodySize)) +
    (clearRouteCache ? 2 : 0);
  const reply = common > 0 ? sized(common) : 0;
  const tail = metadata === null ? 0 : structSize(metadata);
  writeGrpcFramePrefix(w, sized(reply) + (metadata === null ? 0 : sized(tail)));
  w.open(BODY_FIELD + side, reply);
  if (common > 0) {
    w.open(1, common);
    if (inner > 0) {
      w.open(2, inner);
      writeMutation(w, mutation);
    }
    if (body !== null) {
      w.open(3, bodySize);
      w.open(1, body.length);
      w.raw(body);
    }
    if (clearRouteCache) {
      w.byte(5 << 3);
      w.byte(1);
    }
  }
  if (metadata !== null) {
    w.open(DYNAMIC_METADATA_FIELD, tail);
    encodeStruct(w, metadata);
  }
}

export function writeTrailersReply(w: Writer, side: Side): void {
  writeGrpcFramePrefix(w, 2);
  w.open(TRAILERS_FIELD + side, 0);
}

/**
 * Reply that ends the request with a response of ours.
 *
 * @param grpcStatus google.rpc.Code for gRPC clients; -1 = leave out
 * @param details for the gateway's access log; "" = leave out
 */
export function writeImmediateReply(
  w: Writer,
  status: number,
  setHeaders: readonly string[],
  body: Uint8Array,
  grpcStatus: number,
  details: string,
): void {
  const statusSize = 1 + varintSize(status);
  const headers = mutationSize({ set: setHeaders, remove: [] });
  const grpcSize = grpcStatus > 0 ? 1 + varintSize(grpcStatus) : 0;
  const size =
    sized(statusSize) +
    (headers > 0 ? sized(headers) : 0) +
    (body.length > 0 ? sized(body.length) : 0) +
    (grpcStatus >= 0 ? sized(grpcSize) : 0) +
    (details === "" ? 0 : sized(utf8Size(details)));
  writeGrpcFramePrefix(w, sized(size));
  w.open(IMMEDIATE_FIELD, size);
  w.open(1, statusSize);
  w.byte(1 << 3);
  w.varint(status);
  if (headers > 0) {
    w.open(2, headers);
    writeMutation(w, { set: setHeaders, remove: [] });
  }
  if (body.length > 0) {
    w.open(3, body.length);
    w.raw(body);
  }
  if (grpcStatus >= 0) {
    w.open(4, grpcSize);
    if (grpcStatus > 0) {
      w.byte(1 << 3);
      w.varint(grpcStatus);
    }
  }
  if (details !== "") w.string(5, details);
}
