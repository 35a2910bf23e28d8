/**
 * Encoder of envoy.service.ext_proc.v3.ProcessingResponse: each function appends one complete gRPC frame to the writer.
 *
 *   [gRPC prefix][oneof member 1…7 { 1 CommonResponse { 2 header_mutation, 3 body_mutation, 5 clear_route_cache } }]
 *                [8 dynamic_metadata]
 *
 * Sizes are computed first, since they stand in front. An empty message inside the oneof is still written, since it
 * carries the case; other defaults are left out. A streamed body stands last, so that it can follow from elsewhere;
 * metadata that goes with it stands before the oneof, else behind it. The reply that names a destination is in destination-reply.ts.
 * @module
 */
import { writeGrpcFramePrefix } from "./grpc-frame.ts";
import {
  type HeaderMutation,
  mutationSize,
  setSize,
  writeMutation,
  writeSet,
} from "./header-mutation.ts";
import { COMMON_RESPONSE, Common, DYNAMIC_METADATA, FLAG_BYTES, Member } from "./reply-fields.ts";
import { encodeStruct, type StructObject, structSize } from "./struct.ts";
import { utf8Size } from "./text.ts";
import { fieldSize, varintSize, type Writer } from "./wire.ts";

/** Half of the exchange that a reply belongs to. */
export const Side = { Request: 0, Response: 1 } as const;
export type Side = (typeof Side)[keyof typeof Side];

/** Writes prefix and the member's tag for a CommonResponse of this size, which is to follow; empty, it is left out. */
function openCommon(
  w: Writer,
  member: number,
  common: number,
  metadata: StructObject | null,
): void {
  const reply = common === 0 ? 0 : fieldSize(common);
  const tail = metadata === null ? 0 : fieldSize(structSize(metadata));
  writeGrpcFramePrefix(w, fieldSize(reply) + tail);
  w.open(member, reply);
  if (common > 0) w.open(COMMON_RESPONSE, common);
}

function writeMetadata(w: Writer, metadata: StructObject | null): void {
  if (metadata === null) return;
  w.open(DYNAMIC_METADATA, structSize(metadata));
  encodeStruct(w, metadata);
}

/**
 * Writes the reply to request or response headers.
 *
 * @param clearRouteCache Envoy heeds it only together with a header that changes
 * @param metadata namespace → Struct, or null
 */
export function writeHeadersReply(
  w: Writer,
  side: Side,
  mutation: HeaderMutation,
  clearRouteCache: boolean,
  metadata: StructObject | null,
): void {
  const headers = mutationSize(mutation);
  const common = (headers > 0 ? fieldSize(headers) : 0) + (clearRouteCache ? FLAG_BYTES : 0);
  openCommon(w, Member.Headers + side, common, metadata);
  if (headers > 0) {
    w.open(Common.HeaderMutation, headers);
    writeMutation(w, mutation);
  }
  if (clearRouteCache) w.varintField(Common.ClearRouteCache, 1);
  writeMetadata(w, metadata);
}

/**
 * Writes everything of a streamed body reply but the body's bytes, which must follow: they stand last on the wire, so
 * that the caller appends the slice that came without copying it.
 *
 * @param bodyLength bytes that the caller will append; they are counted in the gRPC frame
 * @param endOfStream false when trailers follow
 * @param metadata namespace → Struct, or null
 */
export function writeBodyPrefix(
  w: Writer,
  side: Side,
  bodyLength: number,
  endOfStream: boolean,
  metadata: StructObject | null = null,
): void {
  const streamed = (endOfStream ? FLAG_BYTES : 0) + (bodyLength > 0 ? fieldSize(bodyLength) : 0);
  const mutation = fieldSize(streamed);
  const common = fieldSize(mutation);
  const reply = fieldSize(common);
  const head = metadata === null ? 0 : fieldSize(structSize(metadata));
  writeGrpcFramePrefix(w, head + fieldSize(reply));
  writeMetadata(w, metadata);
  w.open(Member.Body + side, reply);
  w.open(COMMON_RESPONSE, common);
  w.open(Common.BodyMutation, mutation);
  w.open(3, streamed); // BodyMutation.streamed_response
  if (endOfStream) w.varintField(2, 1); // before the body, whatever the numbers say
  if (bodyLength > 0) w.open(1, bodyLength);
}

/** Writes a streamed body reply with a copy of the body, and with metadata when there is some. */
export function writeBodyReply(
  w: Writer,
  side: Side,
  body: Uint8Array,
  endOfStream: boolean,
  metadata: StructObject | null,
): void {
  writeBodyPrefix(w, side, body.length, endOfStream, metadata);
  w.raw(body);
}

/**
 * Writes the body reply of the BUFFERED and STREAMED modes.
 *
 * @param mutation headers may still change in BUFFERED mode
 * @param body what replaces the body (empty = a body of no bytes), or null to keep what the gateway has
 */
export function writeBufferedBodyReply(
  w: Writer,
  side: Side,
  mutation: HeaderMutation,
  body: Uint8Array | null,
  clearRouteCache: boolean,
  metadata: StructObject | null,
): void {
  const headers = mutationSize(mutation);
  const bodyMutation = body === null ? 0 : fieldSize(body.length);
  const common =
    (headers > 0 ? fieldSize(headers) : 0) +
    (body === null ? 0 : fieldSize(bodyMutation)) +
    (clearRouteCache ? FLAG_BYTES : 0);
  openCommon(w, Member.Body + side, common, metadata);
  if (headers > 0) {
    w.open(Common.HeaderMutation, headers);
    writeMutation(w, mutation);
  }
  if (body !== null) {
    w.open(Common.BodyMutation, bodyMutation);
    w.open(1, body.length); // BodyMutation.body, a oneof: written even when empty
    w.raw(body);
  }
  if (clearRouteCache) w.varintField(Common.ClearRouteCache, 1);
  writeMetadata(w, metadata);
}

/** Writes the reply to trailers, which changes nothing. @param metadata namespace → Struct, or null */
export function writeTrailersReply(
  w: Writer,
  side: Side,
  metadata: StructObject | null = null,
): void {
  const tail = metadata === null ? 0 : fieldSize(structSize(metadata));
  writeGrpcFramePrefix(w, fieldSize(0) + tail);
  w.open(Member.Trailers + side, 0);
  writeMetadata(w, metadata);
}

/**
 * Writes the reply that answers the client in place of the model server.
 *
 * @param status HTTP status; Envoy answers 200 when it is below 200
 * @param setHeaders names and values in turn
 * @param grpcStatus google.rpc.Code for gRPC clients; -1 = left out
 * @param details for the gateway's access log; "" = left out
 */
export function writeImmediateReply(
  w: Writer,
  status: number,
  setHeaders: readonly string[],
  body: Uint8Array,
  grpcStatus: number,
  details: string,
): void {
  const httpStatus = status === 0 ? 0 : 1 + varintSize(status);
  const headers = setSize(setHeaders);
  const grpc = grpcStatus > 0 ? 1 + varintSize(grpcStatus) : 0;
  const size =
    fieldSize(httpStatus) +
    (headers > 0 ? fieldSize(headers) : 0) +
    (body.length > 0 ? fieldSize(body.length) : 0) +
    (grpcStatus >= 0 ? fieldSize(grpc) : 0) +
    (details === "" ? 0 : fieldSize(utf8Size(details)));
  writeGrpcFramePrefix(w, fieldSize(size));
  w.open(Member.Immediate, size);
  w.open(1, httpStatus);
  if (status !== 0) w.varintField(1, status);
  if (headers > 0) {
    w.open(2, headers);
    writeSet(w, setHeaders);
  }
  if (body.length > 0) {
    w.open(3, body.length);
    w.raw(body);
  }
  if (grpcStatus >= 0) {
    w.open(4, grpc);
    if (grpcStatus > 0) w.varintField(1, grpcStatus);
  }
  if (details !== "") w.string(5, details);
}
