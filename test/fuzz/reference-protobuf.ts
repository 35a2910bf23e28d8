/**
 * Protobuf read plainly: a list of fields. Independent of proto/, as its judge.
 * @module
 */

export interface ReferenceField {
  readonly field: number;
  readonly type: number;
  /** Of a varint. */
  readonly value: bigint;
  /** Of a length-delimited field. */
  readonly bytes: Buffer;
}

const NOTHING = Buffer.alloc(0);
const VARINT_BYTES_MAX = 10;
const GROUP_DEPTH_MAX = 100;

class Cursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  varint(): bigint {
    let value = 0n;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error("cut");
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) return value;
    }
    throw new Error("long varint");
  }

  take(length: number): Buffer {
    if (length > this.bytes.length - this.at) throw new Error("cut");
    const taken = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }
}

function readField(cursor: Cursor, depth: number): ReferenceField {
  const tag = cursor.varint();
  const field = Number(tag >> 3n);
  const type = Number(tag & 7n);
  if (tag > 0xffffffffn || field === 0) throw new Error("tag");
  switch (type) {
    case 0:
      return { field, type, value: cursor.varint(), bytes: NOTHING };
    case 1:
    case 5:
      return { field, type, value: 0n, bytes: cursor.take(type === 1 ? 8 : 4) };
    case 2:
      return { field, type, value: 0n, bytes: cursor.take(Number(cursor.varint())) };
    case 3: {
      if (depth >= GROUP_DEPTH_MAX) throw new Error("deep");
      let inner = readField(cursor, depth + 1);
      while (inner.type !== 4) inner = readField(cursor, depth + 1);
      if (inner.field !== field) throw new Error("end of another group");
      return { field, type, value: 0n, bytes: NOTHING };
    }
    case 4:
      if (depth === 0) throw new Error("end of no group");
      return { field, type, value: 0n, bytes: NOTHING };
    default:
      throw new Error("type");
  }
}

/** All fields of a message. @throws on bad bytes */
export function readFields(bytes: Buffer): ReferenceField[] {
  const cursor = new Cursor(bytes);
  const fields: ReferenceField[] = [];
  while (cursor.at < bytes.length) fields.push(readField(cursor, 0));
  return fields;
}

/** Packed varints. @throws on bad bytes */
export function readPacked(bytes: Buffer): bigint[] {
  const cursor = new Cursor(bytes);
  const values: bigint[] = [];
  while (cursor.at < bytes.length) values.push(cursor.varint());
  return values;
}

/** Messages of gRPC frames. @throws when one is cut or compressed, or there is none */
export function readFrames(body: Buffer): Buffer[] {
  const cursor = new Cursor(body);
  const messages: Buffer[] = [];
  do {
    const prefix = cursor.take(5);
    if (prefix[0] !== 0) throw new Error("flag");
    messages.push(cursor.take(prefix.readUInt32BE(1)));
  } while (cursor.at < body.length);
  return messages;
}
