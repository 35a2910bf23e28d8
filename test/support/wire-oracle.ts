/**
 * The messages of proto/ as protobufjs reads and writes them from the schemas, with every message turned into the plain
 * form that the tests of the codec compare.
 * @module
 */
import protobuf from "protobufjs";
import type { StructObject, StructValue } from "../../proto/index.ts";
import { inPackage } from "./paths.ts";

const SCHEMAS = [
  "envoy/service/ext_proc/v3/external_processor.proto",
  "grpc/health/v1/health.proto",
] as const;
/** Nesting that protobufjs accepts: three messages a level of Struct, and the limit of ours is the one under test. */
const RECURSION_MAX = 1000;
const GRPC_PREFIX_BYTES = 5;

protobuf.util.recursionLimit = RECURSION_MAX;
protobuf.Reader.recursionLimit = RECURSION_MAX;

const root = new protobuf.Root();
root.resolvePath = (_origin, target) =>
  target.startsWith("google/protobuf/") ? target : inPackage("proto", target);
root.loadSync([...SCHEMAS], { keepCase: false });

/** A message type by its full name. */
export function messageType(name: string): protobuf.Type {
  return root.lookupType(name);
}

export const processingRequest = messageType("envoy.service.ext_proc.v3.ProcessingRequest");
export const processingResponse = messageType("envoy.service.ext_proc.v3.ProcessingResponse");
export const metadata = messageType("envoy.config.core.v3.Metadata");

/** Encodes a message given in the oracle's form (camel case). */
export function encodeOracle(type: protobuf.Type, message: object): Buffer {
  const problem = type.verify(message as { [key: string]: unknown });
  if (problem !== null) throw new Error(`${type.name}: ${problem}`);
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}

/** Decodes to plain values: absent fields undefined, enums as numbers, bytes as Buffer. @throws on bad bytes */
export function decodeOracle(type: protobuf.Type, bytes: Uint8Array): Record<string, unknown> {
  return type.toObject(type.decode(bytes), { longs: Number, bytes: Buffer, oneofs: true });
}

/** The messages of a sequence of gRPC frames, whose prefixes must be right. */
export function splitFrames(bytes: Uint8Array): Buffer[] {
  const buffer = Buffer.from(bytes);
  const out: Buffer[] = [];
  let at = 0;
  while (at < buffer.length) {
    if (buffer[at] !== 0) throw new Error(`frame at ${at} is marked as compressed`);
    const end = at + GRPC_PREFIX_BYTES + buffer.readUInt32BE(at + 1);
    if (end > buffer.length) throw new Error(`frame at ${at} ends behind the bytes`);
    out.push(buffer.subarray(at + GRPC_PREFIX_BYTES, end));
    at = end;
  }
  return out;
}

interface OracleValue {
  nullValue?: number;
  numberValue?: number;
  stringValue?: string;
  boolValue?: boolean;
  structValue?: OracleStruct;
  listValue?: { values?: OracleValue[] };
}
export interface OracleStruct {
  fields?: Record<string, OracleValue>;
}

/** google.protobuf.Struct in the oracle's form. */
export function toOracleStruct(object: StructObject): OracleStruct {
  const fields: Record<string, OracleValue> = Object.create(null);
  for (const key of Object.keys(object)) fields[key] = toOracleValue(object[key]!);
  return { fields };
}

function toOracleValue(value: StructValue): OracleValue {
  if (value === null) return { nullValue: 0 };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(toOracleValue) } };
  return { structValue: toOracleStruct(value) };
}

/** What a google.protobuf.Struct of the oracle holds. */
export function fromOracleStruct(struct: OracleStruct | undefined): StructObject {
  const out: StructObject = Object.create(null);
  const fields = struct?.fields ?? {};
  for (const key of Object.keys(fields)) out[key] = fromOracleValue(fields[key]!);
  return out;
}

function fromOracleValue(value: OracleValue & { kind?: string }): StructValue {
  switch (value.kind) {
    case "numberValue":
      return value.numberValue!;
    case "stringValue":
      return value.stringValue!;
    case "boolValue":
      return value.boolValue!;
    case "structValue":
      return fromOracleStruct(value.structValue);
    case "listValue":
      return (value.listValue?.values ?? []).map(fromOracleValue);
    default:
      return null;
  }
}

/** The same values in objects without prototype, as decoding makes them. */
export function withoutPrototypes<T extends StructValue>(value: T): T;
export function withoutPrototypes(value: StructValue): StructValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => withoutPrototypes(each));
  const out: StructObject = Object.create(null);
  for (const key of Object.keys(value)) out[key] = withoutPrototypes(value[key]!);
  return out;
}
