/**
 * The ext_proc messages as @grpc/proto-loader represents them here (camel case, bytes as Buffer, enums as numbers,
 * absent fields undefined), and the conversions between them and plain values.
 * @module
 */

/** Header names and values in the order of the wire; names repeat when a header repeats. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

interface HeaderValue {
  key: string;
  value?: string;
  rawValue?: Buffer;
}
export interface HeaderMap {
  headers?: HeaderValue[];
}

/** google.protobuf.Value. */
interface StructValue {
  nullValue?: number;
  numberValue?: number;
  stringValue?: string;
  boolValue?: boolean;
  structValue?: Struct;
  listValue?: { values?: StructValue[] };
}
export interface Struct {
  fields?: Record<string, StructValue>;
}

/** A JSON value. */
export type Plain = null | boolean | number | string | readonly Plain[] | { [key: string]: Plain };

/** `metadata_context`: namespace to members. */
export type FilterMetadata = Readonly<Record<string, Readonly<Record<string, Plain>>>>;

export interface ProcessingRequest {
  requestHeaders?: { headers: HeaderMap; endOfStream: boolean };
  responseHeaders?: { headers: HeaderMap; endOfStream: boolean };
  requestBody?: { body: Uint8Array; endOfStream: boolean };
  responseBody?: { body: Uint8Array; endOfStream: boolean };
  requestTrailers?: { trailers: HeaderMap };
  responseTrailers?: { trailers: HeaderMap };
  metadataContext?: { filterMetadata: Record<string, Struct> };
  protocolConfig?: { requestBodyMode: number; responseBodyMode: number };
  observabilityMode?: boolean;
}

interface HeaderMutation {
  setHeaders?: {
    header?: HeaderValue;
    append?: { value?: boolean };
    appendAction?: number;
  }[];
  removeHeaders?: string[];
}

interface CommonResponse {
  status?: number;
  headerMutation?: HeaderMutation;
  bodyMutation?: {
    body?: Buffer;
    clearBody?: boolean;
    streamedResponse?: { body?: Buffer; endOfStream?: boolean };
  };
  clearRouteCache?: boolean;
}

/** Which reply a message is. */
export type ReplyKind =
  | "requestHeaders"
  | "responseHeaders"
  | "requestBody"
  | "responseBody"
  | "requestTrailers"
  | "responseTrailers"
  | "immediateResponse";

export interface ProcessingResponse {
  /** Name of the member of the oneof that is set. */
  response?: ReplyKind;
  requestHeaders?: { response?: CommonResponse };
  responseHeaders?: { response?: CommonResponse };
  requestBody?: { response?: CommonResponse };
  responseBody?: { response?: CommonResponse };
  requestTrailers?: { headerMutation?: HeaderMutation };
  responseTrailers?: { headerMutation?: HeaderMutation };
  immediateResponse?: {
    status?: { code?: number };
    headers?: HeaderMutation;
    body?: Buffer;
    grpcStatus?: { status?: number };
    details?: string;
  };
  dynamicMetadata?: Struct;
}

/** Headers with their values in `raw_value` only, as Envoy sends them; names go out as given. */
export function toHeaderMap(pairs: HeaderPairs): HeaderMap {
  return {
    headers: pairs.map(([name, value]) => ({
      key: name,
      rawValue: Buffer.from(value, "latin1"),
    })),
  };
}

function toValue(value: Plain): StructValue {
  if (value === null) return { nullValue: 0 };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (isList(value)) return { listValue: { values: value.map(toValue) } };
  return { structValue: toStruct(value) };
}

function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value);
}

export function toStruct(members: Readonly<Record<string, Plain>>): Struct {
  return {
    fields: Object.fromEntries(
      Object.entries(members).map(([key, value]) => [key, toValue(value)]),
    ),
  };
}

function fromValue(value: StructValue): Plain {
  if (value.numberValue !== undefined) return value.numberValue;
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (value.structValue !== undefined) return fromStruct(value.structValue);
  if (value.listValue !== undefined) return (value.listValue.values ?? []).map(fromValue);
  return null;
}

export function fromStruct(struct: Struct | undefined): Record<string, Plain> {
  const out: Record<string, Plain> = {};
  for (const [key, value] of Object.entries(struct?.fields ?? {})) out[key] = fromValue(value);
  return out;
}

export function toMetadataContext(metadata: FilterMetadata): {
  filterMetadata: Record<string, Struct>;
} {
  return {
    filterMetadata: Object.fromEntries(
      Object.entries(metadata).map(([namespace, members]) => [namespace, toStruct(members)]),
    ),
  };
}

/** One header to set, as Envoy reads it. */
export interface SetHeader {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  /** True when the value is added beside present ones instead of replacing them. */
  readonly append: boolean;
}

/**
 * The headers a mutation sets, in order. Follows Envoy: a value that is only in `value` is read as empty, both set is
 * an error, and neither `append` nor `append_action` set means overwrite.
 */
export function setHeadersOf(mutation: HeaderMutation | undefined): SetHeader[] {
  return (mutation?.setHeaders ?? []).map((option) => {
    const header = option.header;
    if (header === undefined) throw new Error("set_headers entry without a header");
    const name = header.key.toLowerCase();
    const raw = header.rawValue;
    if ((header.value ?? "") !== "" && raw !== undefined && raw.length > 0) {
      throw new Error(`header ${name} has both value and raw_value: Envoy rejects the mutation`);
    }
    return { name, value: raw?.toString("latin1") ?? "", append: option.append?.value === true };
  });
}

/** Lower-case names of the headers a mutation removes. */
export function removedHeadersOf(mutation: HeaderMutation | undefined): string[] {
  return (mutation?.removeHeaders ?? []).map((name) => name.toLowerCase());
}

/** The header mutation of any reply that can carry one. */
export function headerMutationOf(reply: ProcessingResponse): HeaderMutation | undefined {
  switch (reply.response) {
    case "requestHeaders":
      return reply.requestHeaders?.response?.headerMutation;
    case "responseHeaders":
      return reply.responseHeaders?.response?.headerMutation;
    case "requestBody":
      return reply.requestBody?.response?.headerMutation;
    case "responseBody":
      return reply.responseBody?.response?.headerMutation;
    case "requestTrailers":
      return reply.requestTrailers?.headerMutation;
    case "responseTrailers":
      return reply.responseTrailers?.headerMutation;
    case "immediateResponse":
      return reply.immediateResponse?.headers;
    default:
      return undefined;
  }
}

/** The streamed body of a body reply; an error when it carries another kind of mutation, as Envoy calls it spurious. */
export function streamedBodyOf(reply: ProcessingResponse): { body: Buffer; endOfStream: boolean } {
  const common =
    reply.response === "requestBody" ? reply.requestBody?.response : reply.responseBody?.response;
  const streamed = common?.bodyMutation?.streamedResponse;
  if (streamed === undefined) {
    throw new Error(`${reply.response ?? "empty"} reply without body_mutation.streamed_response`);
  }
  return { body: streamed.body ?? EMPTY, endOfStream: streamed.endOfStream === true };
}

export const EMPTY = Buffer.alloc(0);
