/**
 * Messages of grpc.health.v1.
 * @module
 */
import { writeGrpcFramePrefix } from "./grpc-frame.ts";
import { utf8 } from "./header-block.ts";
import { Reader, utf8Size, varintSize, WireStatus, type Writer } from "./wire.ts";

export const HealthStatus = { Unknown: 0, Serving: 1, NotServing: 2, ServiceUnknown: 3 } as const;

/** Service name of a HealthCheckRequest, or why it can not be read. */
export function decodeHealthCheckRequest(bytes: Uint8Array): string | WireStatus {
  const reader = new Reader();
  reader.reset(bytes, 0, bytes.length);
  let service = "";
  while (reader.next()) {
    if (reader.field === 1) {
      if (!reader.range()) break;
      service = utf8(bytes, reader.start, reader.stop);
    } else if (!reader.skip()) break;
  }
  return reader.status === WireStatus.Ok ? service : reader.status;
}

export function writeHealthCheckResponse(w: Writer, status: number): void {
  writeGrpcFramePrefix(w, status === 0 ? 0 : 2);
  if (status === 0) return;
  w.byte(1 << 3);
  w.byte(status);
}

/** @param entries service names with their status */
export function writeHealthListResponse(
  w: Writer,
  entries: readonly (readonly [service: string, status: number])[],
): void {
  const size = (service: string): number => 1 + varintSize(utf8Size(service)) + utf8Size(service) + 4;
  let total = 0;
  for (const [service] of entries) total += 1 + varintSize(size(service)) + size(service);
  writeGrpcFramePrefix(w, total);
  for (const [service, status] of entries) {
    w.open(1, size(service));
    w.string(1, service);
    w.open(2, 2);
    w.byte(1 << 3);
    w.byte(status);
  }
}
