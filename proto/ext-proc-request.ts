/**
 * Decoder of envoy.service.ext_proc.v3.ProcessingRequest: one pass, no objects, body bytes as views.
 * @module
 */
import { HeaderBlock } from "./header-block.ts";
import { Reader, WireStatus, WireType } from "./wire.ts";

/** Member of the oneof, by its field number. */
export const RequestKind = {
  None: 0,
  RequestHeaders: 2,
  ResponseHeaders: 3,
  RequestBody: 4,
  ResponseBody: 5,
  RequestTrailers: 6,
  ResponseTrailers: 7,
} as const;

const METADATA_CONTEXT = 8;
const OBSERVABILITY_MODE = 10;
const PROTOCOL_CONFIG = 11;

/** One decoded message; reused, valid until the next decode into it. */
export class ProcessingRequest {
  kind: number = RequestKind.None;
  endOfStream = false;
  readonly headers = new HeaderBlock();
  /** View into the message. */
  body: Uint8Array = EMPTY;
  observabilityMode = false;
  hasProtocolConfig = false;
  requestBodyMode = 0;
  responseBodyMode = 0;
  sendBodyWithoutWaiting = false;
  /** Range of core.v3.Metadata in `bytes`; -1 = absent. */
  metadataStart = -1;
  metadataEnd = -1;
  bytes: Uint8Array = EMPTY;
}

const EMPTY: Uint8Array = new Uint8Array(0);
const reader = new Reader();
const inner = new Reader();

/** Decodes bytes[start, end) into `out`. Never throws and never reads outside the range. */
export function decodeProcessingRequest(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: ProcessingRequest,
): WireStatus {
  out.kind = RequestKind.None;
  out.endOfStream = false;
  out.headers.clear(bytes);
  out.body = EMPTY;
  out.observabilityMode = false;
  out.hasProtocolConfig = false;
  out.requestBodyMode = 0;
  out.responseBodyMode = 0;
  out.sendBodyWithoutWaiting = false;
  out.metadataStart = -1;
  out.metadataEnd = -1;
  out.bytes = bytes;
  reader.reset(bytes, start, end);
  while (reader.next()) {
    const { field } = reader;
    let status: WireStatus = WireStatus.Ok;
    if (field >= RequestKind.RequestHeaders && field <= RequestKind.ResponseTrailers) {
      if (!reader.range()) break;
      if (out.kind !== field) {
        // Another member of the oneof replaces what came before; the same one again is merged into it.
        out.kind = field;
        out.endOfStream = false;
        out.headers.clear(bytes);
        out.body = EMPTY;
      }
      inner.reset(bytes, reader.start, reader.stop);
      if (field === RequestKind.RequestBody || field === RequestKind.ResponseBody) readBody(out);
      else status = readHeaders(out);
      if (status === WireStatus.Ok) status = inner.status;
    } else if (field === METADATA_CONTEXT) {
      if (!reader.range()) break;
      out.metadataStart = reader.start;
      out.metadataEnd = reader.stop;
    } else if (field === OBSERVABILITY_MODE && reader.type === WireType.Varint) {
      out.observabilityMode = reader.varint() !== 0;
    } else if (field === PROTOCOL_CONFIG) {
      if (!reader.range()) break;
      out.hasProtocolConfig = true;
      inner.reset(bytes, reader.start, reader.stop);
      readProtocolConfig(out);
      status = inner.status;
    } else if (!reader.skip()) break;
    if (status !== WireStatus.Ok) return status;
  }
  return reader.status;
}

function readBody(out: ProcessingRequest): void {
  while (inner.next()) {
    if (inner.field === 1) {
      if (!inner.range()) return;
      out.body = inner.bytes.subarray(inner.start, inner.stop);
    } else if (inner.field === 2 && inner.type === WireType.Varint) {
      out.endOfStream = inner.varint() !== 0;
    } else if (!inner.skip()) return;
  }
}

const map = new Reader();

/** HttpHeaders {1 headers, 3 end_of_stream} and HttpTrailers {1 trailers} read alike. */
function readHeaders(out: ProcessingRequest): WireStatus {
  while (inner.next()) {
    if (inner.field === 1) {
      if (!inner.range()) break;
      map.reset(inner.bytes, inner.start, inner.stop);
      const status = out.headers.read(map);
      if (status !== WireStatus.Ok) return status;
    } else if (inner.field === 3 && inner.type === WireType.Varint) {
      out.endOfStream = inner.varint() !== 0;
    } else if (!inner.skip()) break;
  }
  return inner.status;
}

function readProtocolConfig(out: ProcessingRequest): void {
  while (inner.next()) {
    if (inner.type !== WireType.Varint) {
      if (!inner.skip()) return;
      continue;
    }
    const value = inner.varint();
    if (inner.field === 1) out.requestBodyMode = value;
    else if (inner.field === 2) out.responseBodyMode = value;
    else if (inner.field === 3) out.sendBodyWithoutWaiting = value !== 0;
  }
}
