/**
 * google.protobuf.Struct and the metadata maps made of it. Rare on the wire, so clear rather than fast; depth and size are
 * bounded, and keys can not reach a prototype.
 * @module
 */
import { utf8 } from "./header-block.ts";
import { Reader, utf8Size, varintSize, WireStatus, WireType, type Writer, wireLimits } from "./wire.ts";

export type StructValue = null | number | string | boolean | StructValue[] | StructObject;
export interface StructObject {
  [key: string]: StructValue;
}

class Budget {
  nodes = 0;
}

/** Value of filter_metadata[namespace][key] in a core.v3.Metadata at bytes[start, end), or undefined. */
export function metadataValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  namespace: string,
  key: string,
): StructValue | undefined {
  const struct = findEntry(bytes, start, end, namespace);
  if (struct === null) return undefined;
  const value = findEntry(bytes, struct.start, struct.stop, key);
  if (value === null) return undefined;
  const budget = new Budget();
  return readValue(bytes, value.start, value.stop, 0, budget);
}

interface Range {
  readonly start: number;
  readonly stop: number;
}

/** Both Metadata.filter_metadata and Struct.fields are maps in field 1; the last entry of a key counts. */
function findEntry(bytes: Uint8Array, start: number, end: number, key: string): Range | null {
  let found: Range | null = null;
  const reader = new Reader();
  reader.reset(bytes, start, end);
  while (reader.next()) {
    if (reader.field !== 1) {
      if (!reader.skip()) return null;
      continue;
    }
    if (!reader.range()) return null;
    const entry = readEntry(bytes, reader.start, reader.stop);
    if (entry === null) return null;
    if (entry.key === key) found = entry;
  }
  return reader.status === WireStatus.Ok ? found : null;
}

function readEntry(
  bytes: Uint8Array,
  start: number,
  end: number,
): { key: string; start: number; stop: number } | null {
  const reader = new Reader();
  reader.reset(bytes, start, end);
  let key = "";
  let from = start;
  let to = start;
  while (reader.next()) {
    if (reader.field === 1 || reader.field === 2) {
      if (!reader.range()) return null;
      if (reader.field === 1) key = utf8(bytes, reader.start, reader.stop);
      else {
        from = reader.start;
        to = reader.stop;
      }
    } else if (!reader.skip()) return null;
  }
  return reader.status === WireStatus.Ok ? { key, start: from, stop: to } : null;
}

/** Decodes a Struct. @returns undefined when malformed, too deep or too large */
export function decodeStruct(
  bytes: Uint8Array,
  start: number,
  end: number,
): StructObject | undefined {
  return readStruct(bytes, start, end, 0, new Budget());
}

function readStruct(
  bytes: Uint8Array,
  start: number,
  end: number,
  depth: number,
  budget: Budget,
): StructObject | undefined {
  const out: StructObject = Object.create(null);
  const reader = new Reader();
  reader.reset(bytes, start, end);
  while (reader.next()) {
    if (reader.field !== 1) {
      if (!reader.skip()) return undefined;
      continue;
    }
    if (!reader.range()) return undefined;
    const entry = readEntry(bytes, reader.start, reader.stop);
    if (entry === null) return undefined;
    const value = readValue(bytes, entry.start, entry.stop, depth + 1, budget);
    if (value === undefined) return undefined;
    out[entry.key] = value;
  }
  return reader.status === WireStatus.Ok ? out : undefined;
}

function readValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  depth: number,
  budget: Budget,
): StructValue | undefined {
  if (depth > wireLimits.structDepthMax || ++budget.nodes > wireLimits.structNodesMax) {
    return undefined;
  }
  let value: StructValue | undefined = null;
  const reader = new Reader();
  reader.reset(bytes, start, end);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        reader.varint();
        value = null;
        break;
      case 2:
        if (reader.type !== WireType.Fixed64 || reader.end - reader.at < 8) return undefined;
        value = new DataView(bytes.buffer, bytes.byteOffset + reader.at, 8).getFloat64(0, true);
        reader.at += 8;
        break;
      case 3:
        if (!reader.range()) return undefined;
        value = utf8(bytes, reader.start, reader.stop);
        break;
      case 4:
        value = reader.varint() !== 0;
        break;
      case 5:
        if (!reader.range()) return undefined;
        value = readStruct(bytes, reader.start, reader.stop, depth, budget);
        break;
      case 6:
        if (!reader.range()) return undefined;
        value = readList(bytes, reader.start, reader.stop, depth, budget);
        break;
      default:
        if (!reader.skip()) return undefined;
    }
    if (value === undefined) return undefined;
  }
  return reader.status === WireStatus.Ok ? value : undefined;
}

function readList(
  bytes: Uint8Array,
  start: number,
  end: number,
  depth: number,
  budget: Budget,
): StructValue[] | undefined {
  const out: StructValue[] = [];
  const reader = new Reader();
  reader.reset(bytes, start, end);
  while (reader.next()) {
    if (reader.field !== 1) {
      if (!reader.skip()) return undefined;
      continue;
    }
    if (!reader.range()) return undefined;
    const value = readValue(bytes, reader.start, reader.stop, depth + 1, budget);
    if (value === undefined) return undefined;
    out.push(value);
  }
  return reader.status === WireStatus.Ok ? out : undefined;
}

/** Bytes of a Struct's encoding. */
export function structSize(object: StructObject): number {
  let size = 0;
  for (const key of Object.keys(object)) size += lengthDelimitedSize(entrySize(key, object[key]!));
  return size;
}

/** Appends a Struct (its fields, without a tag of its own). */
export function encodeStruct(writer: Writer, object: StructObject): void {
  for (const key of Object.keys(object)) {
    const value = object[key]!;
    writer.open(1, entrySize(key, value));
    writer.string(1, key);
    writer.open(2, valueSize(value));
    writeValue(writer, value);
  }
}

function lengthDelimitedSize(length: number): number {
  return 1 + varintSize(length) + length;
}

function entrySize(key: string, value: StructValue): number {
  return lengthDelimitedSize(utf8Size(key)) + lengthDelimitedSize(valueSize(value));
}

function valueSize(value: StructValue): number {
  if (value === null || typeof value === "boolean") return 2;
  if (typeof value === "number") return 9;
  if (typeof value === "string") return lengthDelimitedSize(utf8Size(value));
  return lengthDelimitedSize(Array.isArray(value) ? listSize(value) : structSize(value));
}

function listSize(values: readonly StructValue[]): number {
  let size = 0;
  for (const value of values) size += lengthDelimitedSize(valueSize(value));
  return size;
}

const float64 = new DataView(new ArrayBuffer(8));

function writeValue(writer: Writer, value: StructValue): void {
  if (value === null) {
    writer.byte((1 << 3) | WireType.Varint);
    writer.byte(0);
  } else if (typeof value === "boolean") {
    writer.byte((4 << 3) | WireType.Varint);
    writer.byte(value ? 1 : 0);
  } else if (typeof value === "number") {
    writer.byte((2 << 3) | WireType.Fixed64);
    float64.setFloat64(0, value, true);
    writer.raw(new Uint8Array(float64.buffer));
  } else if (typeof value === "string") {
    writer.string(3, value);
  } else if (Array.isArray(value)) {
    writer.open(6, listSize(value));
    for (const item of value) {
      writer.open(1, valueSize(item));
      writeValue(writer, item);
    }
  } else {
    writer.open(5, structSize(value));
    encodeStruct(writer, value);
  }
}
