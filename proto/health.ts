/**
 * Messages of grpc.health.v1. Replies are written as complete gRPC frames.
 * @module
 */
import { writeGrpcFramePrefix } from "./grpc-frame.ts";
import { utf8, utf8Size } from "./text.ts";
import { fieldSize, Reader, WireStatus, WireType, type Writer } from "./wire.ts";

/** HealthCheckResponse.ServingStatus. */
export const HealthStatus = { Unknown: 0, Serving: 1, NotServing: 2, ServiceUnknown: 3 } as const;
export type HealthStatus = (typeof HealthStatus)[keyof typeof HealthStatus];

/** Service name of a HealthCheckRequest ("" = the server as a whole), or the reason why it can not be read. */
export function decodeHealthCheckRequest(bytes: Uint8Array): string | WireStatus {
  const reader = new Reader();
  reader.reset(bytes, 0, bytes.length);
  let service = "";
  while (reader.next()) {
    if (reader.field === 1 && reader.type === WireType.Bytes) {
      if (!reader.range()) break;
      service = utf8(bytes, reader.start, reader.stop);
    } else if (!reader.skip()) break;
  }
  return reader.status === WireStatus.Ok ? service : reader.status;
}

/** Bytes of a HealthCheckResponse: its only field is left out when it is 0. */
function responseSize(status: number): number {
  return status === HealthStatus.Unknown ? 0 : 2;
}

function writeResponse(w: Writer, status: number): void {
  if (status !== HealthStatus.Unknown) w.varintField(1, status);
}

/** Writes a HealthCheckResponse. @param status HealthStatus */
export function writeHealthCheckResponse(w: Writer, status: number): void {
  writeGrpcFramePrefix(w, responseSize(status));
  writeResponse(w, status);
}

/** Writes a HealthListResponse. @param entries service names with their HealthStatus */
export function writeHealthListResponse(
  w: Writer,
  entries: readonly (readonly [service: string, status: number])[],
): void {
  let size = 0;
  for (const [service, status] of entries) size += fieldSize(entrySize(service, status));
  writeGrpcFramePrefix(w, size);
  for (const [service, status] of entries) {
    w.open(1, entrySize(service, status));
    w.string(1, service);
    w.open(2, responseSize(status));
    writeResponse(w, status);
  }
}

function entrySize(service: string, status: number): number {
  return fieldSize(utf8Size(service)) + fieldSize(responseSize(status));
}
