/**
 * API boundary of the codec: ext_proc requests in, ext_proc replies out, grpc.health.v1, and gRPC framing.
 *
 * @example
 * frames.push(chunk);
 * while (frames.next()) {
 *   const status = decodeProcessingRequest(frames.bytes, frames.start, frames.end, message);
 *   if (status === WireStatus.Ok && message.kind === RequestKind.RequestHeaders) {
 *     const path = message.headers.get(HeaderId.path);
 *     writeDestinationReply(writer, "10.0.0.1:8000", -1, [], [], null);
 *   }
 * }
 * @module
 */
export { ByteParts } from "./byte-parts.ts";
export { writeDestinationReply } from "./destination-reply.ts";
export {
  Side,
  writeBodyPrefix,
  writeBodyReply,
  writeBufferedBodyReply,
  writeHeadersReply,
  writeImmediateReply,
  writeTrailersReply,
} from "./ext-proc-reply.ts";
export {
  decodeFrame,
  decodeProcessingRequest,
  findBodyRun,
  ProcessingRequest,
  RequestKind,
} from "./ext-proc-request.ts";
export { GrpcFrameReader, writeGrpcFramePrefix } from "./grpc-frame.ts";
export { HeaderBlock } from "./header-block.ts";
export type { HeaderMutation } from "./header-mutation.ts";
export {
  HeaderId,
  headerNames,
  isRemovedFromRequest,
  isSystemOwned,
  MetadataKey,
  MetadataNamespace,
} from "./header-names.ts";
export {
  decodeHealthCheckRequest,
  HealthStatus,
  writeHealthCheckResponse,
  writeHealthListResponse,
} from "./health.ts";
export {
  decodeMetadata,
  encodeStruct,
  metadataValue,
  type StructObject,
  type StructValue,
  structSize,
} from "./struct.ts";
export { Reader, WireStatus, WireType, Writer, wireLimits } from "./wire.ts";
