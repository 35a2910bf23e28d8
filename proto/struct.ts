/**
 * google.protobuf.Struct, and core.v3.Metadata whose namespaces are Structs. Depth and number of values are bounded, and
 * keys can not reach a prototype.
 *
 *   Metadata {1 filter_metadata: map<namespace, Struct>}      Struct {1 fields: map<key, Value>}
 *   map entry {1 key, 2 value}                                ListValue {1 values: repeated Value}
 *   Value oneof {1 null, 2 number, 3 string, 4 bool, 5 Struct, 6 ListValue}
 * @module
 */
import { equalsText, utf8, utf8Size } from "./text.ts";
import { fieldSize, Reader, WireStatus, WireType, type Writer, wireLimits } from "./wire.ts";

export type StructValue = null | number | string | boolean | StructValue[] | StructObject;
/** Decoded ones have no prototype: any key is a plain member. */
export interface StructObject {
  [key: string]: StructValue;
}

const Kind = { Null: 1, Number: 2, String: 3, Bool: 4, Struct: 5, List: 6 } as const;
const DOUBLE_BYTES = 8;

/** What one decoding may still make, and how it failed. */
class Decoding {
  readonly bytes: Uint8Array;
  status: WireStatus = WireStatus.Ok;
  #values = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  reader(start: number, end: number): Reader {
    const reader = new Reader();
    reader.reset(this.bytes, start, end);
    return reader;
  }

  /** Takes note of the end of a message. @returns true when it was read to its end */
  ended(reader: Reader): boolean {
    if (reader.status !== WireStatus.Ok) this.status = reader.status;
    return this.status === WireStatus.Ok;
  }

  /** Counts one more value at this depth. @returns false when it is one too many */
  allows(depth: number): boolean {
    if (depth > wireLimits.structDepthMax) this.status = WireStatus.TooDeep;
    else if (++this.#values > wireLimits.structNodesMax) this.status = WireStatus.TooLarge;
    return this.status === WireStatus.Ok;
  }
}

/**
 * Decodes the filter_metadata of the core.v3.Metadata at bytes[start, end).
 *
 * @returns namespace → Struct, or the reason why not: Truncated, Malformed, TooDeep, TooLarge
 */
export function decodeMetadata(
  bytes: Uint8Array,
  start: number,
  end: number,
): Map<string, StructObject> | WireStatus {
  const decoding = new Decoding(bytes);
  const out = new Map<string, StructObject>();
  const reader = decoding.reader(start, end);
  while (reader.next()) {
    if (reader.field !== 1 || reader.type !== WireType.Bytes) {
      if (!reader.skip()) break;
      continue;
    }
    if (!reader.range()) break;
    const struct: StructObject = Object.create(null);
    let namespace = "";
    const entry = decoding.reader(reader.start, reader.stop);
    if (!decoding.allows(0)) return decoding.status;
    while (entry.next()) {
      if (entry.type !== WireType.Bytes || entry.field > 2) {
        if (!entry.skip()) break;
        continue;
      }
      if (!entry.range()) break;
      if (entry.field === 1) namespace = utf8(bytes, entry.start, entry.stop);
      else if (!readStruct(decoding, entry.start, entry.stop, 1, struct)) return decoding.status;
    }
    if (!decoding.ended(entry)) return decoding.status;
    out.set(namespace, struct);
  }
  return decoding.ended(reader) ? out : decoding.status;
}

/**
 * Finds filter_metadata[namespace][key] in the core.v3.Metadata at bytes[start, end), and decodes that value alone.
 *
 * @returns undefined when it is absent, and when what was read on the way can not be decoded or breaks a limit
 */
export function metadataValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  namespace: string,
  key: string,
): StructValue | undefined {
  const struct = findEntry(bytes, start, end, namespace);
  if (struct === undefined) return undefined;
  const value = struct === "split" ? struct : findEntry(bytes, struct.start, struct.end, key);
  if (value === undefined) return undefined;
  const decoding = new Decoding(bytes);
  if (value === "split") {
    const all = decodeMetadata(bytes, start, end);
    return typeof all === "number" ? undefined : all.get(namespace)?.[key];
  }
  return readValue(decoding, value.start, value.end, 1, undefined);
}

interface Range {
  readonly start: number;
  readonly end: number;
}

const EMPTY_RANGE: Range = { start: 0, end: 0 };

/**
 * Finds the value of a key in a map<string, message> in field 1; the last entry of a key counts. "split" = its value
 * comes in several pieces, which are to be merged.
 */
function findEntry(
  bytes: Uint8Array,
  start: number,
  end: number,
  key: string,
): Range | "split" | undefined {
  let found: Range | "split" | undefined;
  const map = new Reader();
  const entry = new Reader();
  map.reset(bytes, start, end);
  while (map.next()) {
    if (map.field !== 1 || map.type !== WireType.Bytes) {
      if (!map.skip()) break;
      continue;
    }
    if (!map.range()) break;
    let isKey = key === "";
    let value: Range | "split" = EMPTY_RANGE;
    entry.reset(bytes, map.start, map.stop);
    while (entry.next()) {
      if (entry.type !== WireType.Bytes || entry.field > 2) {
        if (!entry.skip()) break;
        continue;
      }
      if (!entry.range()) break;
      if (entry.field === 1) isKey = equalsText(bytes, entry.start, entry.stop, key);
      else value = value === EMPTY_RANGE ? { start: entry.start, end: entry.stop } : "split";
    }
    if (entry.status !== WireStatus.Ok) return undefined;
    if (isKey) found = value;
  }
  return map.status === WireStatus.Ok ? found : undefined;
}

/** Reads the members of a Struct into `out`. @param depth levels of values around it */
function readStruct(
  decoding: Decoding,
  start: number,
  end: number,
  depth: number,
  out: StructObject,
): boolean {
  const reader = decoding.reader(start, end);
  const entry = new Reader();
  while (reader.next()) {
    if (reader.field !== 1 || reader.type !== WireType.Bytes) {
      if (!reader.skip()) break;
      continue;
    }
    if (!reader.range()) break;
    let key = "";
    let value: StructValue | undefined;
    entry.reset(decoding.bytes, reader.start, reader.stop);
    while (entry.next()) {
      if (entry.type !== WireType.Bytes || entry.field > 2) {
        if (!entry.skip()) break;
        continue;
      }
      if (!entry.range()) break;
      if (entry.field === 1) key = utf8(decoding.bytes, entry.start, entry.stop);
      else {
        value = readValue(decoding, entry.start, entry.stop, depth, value);
        if (value === undefined) return false;
      }
    }
    if (!decoding.ended(entry)) return false;
    if (value === undefined && !decoding.allows(depth)) return false;
    out[key] = value ?? null;
  }
  return decoding.ended(reader);
}

function readList(
  decoding: Decoding,
  start: number,
  end: number,
  depth: number,
  out: StructValue[],
): boolean {
  const reader = decoding.reader(start, end);
  while (reader.next()) {
    if (reader.field !== 1 || reader.type !== WireType.Bytes) {
      if (!reader.skip()) break;
      continue;
    }
    if (!reader.range()) break;
    const value = readValue(decoding, reader.start, reader.stop, depth, undefined);
    if (value === undefined) return false;
    out.push(value);
  }
  return decoding.ended(reader);
}

/**
 * Reads a Value; null when it has no kind.
 *
 * @param before what an earlier piece of the same Value gave: a Struct or list goes on, anything else is replaced
 * @returns undefined = failed, see decoding.status
 */
function readValue(
  decoding: Decoding,
  start: number,
  end: number,
  depth: number,
  before: StructValue | undefined,
): StructValue | undefined {
  if (!decoding.allows(depth)) return undefined;
  const { bytes } = decoding;
  let value: StructValue = before ?? null;
  const reader = decoding.reader(start, end);
  while (reader.next()) {
    const { field, type } = reader;
    if (field === Kind.Null && type === WireType.Varint) {
      reader.varint();
      value = null;
    } else if (field === Kind.Bool && type === WireType.Varint) {
      value = reader.varint() !== 0;
    } else if (field === Kind.Number && type === WireType.Fixed64) {
      const at = reader.at;
      if (!reader.skip()) break;
      value = new DataView(bytes.buffer, bytes.byteOffset + at, DOUBLE_BYTES).getFloat64(0, true);
    } else if (type !== WireType.Bytes || field < Kind.String || field > Kind.List) {
      if (!reader.skip()) break;
    } else if (!reader.range()) {
      break;
    } else if (field === Kind.String) {
      value = utf8(bytes, reader.start, reader.stop);
    } else if (field === Kind.Struct) {
      const struct: StructObject = isStruct(value) ? value : Object.create(null);
      if (!readStruct(decoding, reader.start, reader.stop, depth + 1, struct)) return undefined;
      value = struct;
    } else if (field === Kind.List) {
      const list: StructValue[] = Array.isArray(value) ? value : [];
      if (!readList(decoding, reader.start, reader.stop, depth + 1, list)) return undefined;
      value = list;
    }
  }
  return decoding.ended(reader) ? value : undefined;
}

function isStruct(value: StructValue): value is StructObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Bytes of a Struct's encoding. */
export function structSize(object: StructObject): number {
  let size = 0;
  for (const key of Object.keys(object)) size += fieldSize(entrySize(key, object[key]!));
  return size;
}

/**
 * Appends a Struct: its fields, without a tag and length of its own (structSize() bytes).
 *
 * @param object a tree of our own making, nested a few levels deep; not written to
 */
export function encodeStruct(writer: Writer, object: StructObject): void {
  for (const key of Object.keys(object)) {
    const value = object[key]!;
    writer.open(1, entrySize(key, value));
    writer.string(1, key);
    writer.open(2, valueSize(value));
    writeValue(writer, value);
  }
}

function entrySize(key: string, value: StructValue): number {
  return fieldSize(utf8Size(key)) + fieldSize(valueSize(value));
}

function valueSize(value: StructValue): number {
  if (value === null || typeof value === "boolean") return 2;
  if (typeof value === "number") return 1 + DOUBLE_BYTES;
  if (typeof value === "string") return fieldSize(utf8Size(value));
  return fieldSize(Array.isArray(value) ? listSize(value) : structSize(value));
}

function listSize(values: readonly StructValue[]): number {
  let size = 0;
  for (const value of values) size += fieldSize(valueSize(value));
  return size;
}

/** The kind is a oneof: it is written even when it holds a zero. */
function writeValue(writer: Writer, value: StructValue): void {
  if (value === null) {
    writer.varintField(Kind.Null, 0);
  } else if (typeof value === "boolean") {
    writer.varintField(Kind.Bool, value ? 1 : 0);
  } else if (typeof value === "number") {
    writer.byte((Kind.Number << 3) | WireType.Fixed64);
    writer.reserve(DOUBLE_BYTES);
    writer.length = writer.bytes.writeDoubleLE(value, writer.length);
  } else if (typeof value === "string") {
    writer.string(Kind.String, value);
  } else if (Array.isArray(value)) {
    writer.open(Kind.List, listSize(value));
    for (const item of value) {
      writer.open(1, valueSize(item));
      writeValue(writer, item);
    }
  } else {
    writer.open(Kind.Struct, structSize(value));
    encodeStruct(writer, value);
  }
}
