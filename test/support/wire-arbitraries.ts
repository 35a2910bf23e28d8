/**
 * Messages for the property tests of proto/: random contents, and the same contents written as no encoder writes them.
 * @module
 */
import fc from "fast-check";
import protobuf from "protobufjs";
import type { StructObject, StructValue } from "../../proto/index.ts";

const KNOWN_NAMES = [
  ":path",
  ":method",
  "content-type",
  "x-request-id",
  "X-Request-Id",
  "x-llm-d-inference-objective",
  "x-gateway-destination-endpoint-subset",
  "traceparent",
] as const;
/** Lengths around the borders of one, two and three bytes of varint. */
const BORDER_LENGTHS = [126, 127, 128, 129, 16_383, 16_384, 16_390] as const;

const text = fc.string({ unit: "binary", maxLength: 20 });
const borderText = fc.constantFrom(...BORDER_LENGTHS).map((length) => "v".repeat(length));

/** One core.v3.HeaderValue: value, raw_value, both or none. */
const header = fc.record(
  {
    key: fc.oneof(
      fc.constantFrom(...KNOWN_NAMES),
      fc.string({ unit: "grapheme-ascii", maxLength: 12 }),
      borderText,
    ),
    value: fc.oneof({ weight: 3, arbitrary: fc.constant("") }, { weight: 1, arbitrary: text }),
    rawValue: fc.oneof(
      { weight: 6, arbitrary: text.map((value) => Buffer.from(value)) },
      { weight: 1, arbitrary: borderText.map((value) => Buffer.from(value)) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)) },
    ),
  },
  { requiredKeys: [] },
);

const headerMap = fc.record({ headers: fc.array(header, { maxLength: 80, size: "small" }) });

const key = fc.oneof(text, fc.constantFrom("__proto__", "constructor", "toString"));

/** A google.protobuf.Value as plain value; numbers include NaN, -0 and infinities. */
const structValue = fc.letrec<{ value: StructValue; object: StructObject }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant(null),
    fc.double(),
    text,
    fc.boolean(),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("object"),
  ),
  object: fc.dictionary(key, tie("value"), { maxKeys: 4 }),
}));

export const structObject: fc.Arbitrary<StructObject> = structValue.object;

/** Namespaces of a core.v3.Metadata. */
export const filterMetadata: fc.Arbitrary<Record<string, StructObject>> = fc.dictionary(
  key,
  structObject,
  { maxKeys: 3 },
);

const body = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(...BORDER_LENGTHS).map((length) => Buffer.alloc(length, "b")),
);
const httpHeaders = fc.record({ headers: headerMap, endOfStream: fc.boolean() });
const httpBody = fc.record({ body, endOfStream: fc.boolean() });
const httpTrailers = fc.record({ trailers: headerMap });

/** The member of the oneof, in the oracle's form; none now and then. */
export const requestMember: fc.Arbitrary<object> = fc.oneof(
  fc.record({ requestHeaders: httpHeaders }),
  fc.record({ responseHeaders: httpHeaders }),
  fc.record({ requestBody: httpBody }),
  fc.record({ responseBody: httpBody }),
  fc.record({ requestTrailers: httpTrailers }),
  fc.record({ responseTrailers: httpTrailers }),
  fc.constant({}),
);

/** The fields beside the oneof, without metadata. */
export const requestOptions: fc.Arbitrary<object> = fc.record(
  {
    observabilityMode: fc.boolean(),
    protocolConfig: fc.record(
      {
        requestBodyMode: fc.integer({ min: 0, max: 5 }),
        responseBodyMode: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer()),
        sendBodyWithoutWaitingForHeaderResponse: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);

/** Names and values in turn, as they come in a header mutation. */
export const headerSet: fc.Arbitrary<string[]> = fc
  .array(fc.tuple(fc.oneof(text, borderText), fc.oneof(text, borderText)), { maxLength: 5 })
  .map((pairs) => pairs.flat());

/** Small deterministic generator, so that one integer of fast-check decides a whole rewriting. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** An integer from 0 to below `sides`. */
  roll(sides: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % sides;
  }
}

/** One field as it stands on the wire. */
interface RawField {
  readonly id: number;
  readonly bytes: Buffer;
}

/**
 * The same message, written as no encoder would: fields shuffled (but not those of one number among themselves),
 * unknown fields of every wire type between them, known numbers with a foreign wire type, fields of a message split into
 * several that are to be merged.
 */
export function scramble(type: protobuf.Type, bytes: Uint8Array, dice: Dice): Buffer {
  const fields = splitFields(bytes).flatMap((field) => scrambleField(type, field, dice));
  for (let i = dice.roll(3); i > 0; i--) fields.push(unknownField(type, dice));
  return Buffer.concat(shuffled(fields, dice).map((field) => field.bytes));
}

function scrambleField(type: protobuf.Type, field: RawField, dice: Dice): RawField[] {
  const known = type.fieldsById[field.id]?.resolve();
  const inner = known?.resolvedType;
  if (known === undefined || !(inner instanceof protobuf.Type)) return [field];
  const reader = protobuf.Reader.create(field.bytes);
  reader.uint32();
  const value = reader.bytes();
  if (known instanceof protobuf.MapField) {
    const entry = splitFields(value).map((part) =>
      part.id === 2 ? lengthDelimited(2, scramble(inner, contentOf(part), dice)) : part,
    );
    return [lengthDelimited(field.id, joined(shuffled(entry, dice)))];
  }
  const scrambled = scramble(inner, value, dice);
  if (known.repeated || dice.roll(3) > 0) return [lengthDelimited(field.id, scrambled)];
  const parts = splitFields(scrambled);
  const cut = dice.roll(parts.length + 1);
  return [
    lengthDelimited(field.id, joined(parts.slice(0, cut))),
    lengthDelimited(field.id, joined(parts.slice(cut))),
  ];
}

function contentOf(field: RawField): Uint8Array {
  const reader = protobuf.Reader.create(field.bytes);
  reader.uint32();
  return reader.bytes();
}

function joined(fields: readonly RawField[]): Buffer {
  return Buffer.concat(fields.map((field) => field.bytes));
}

/** Cuts a message into its fields. */
function splitFields(bytes: Uint8Array): RawField[] {
  const reader = protobuf.Reader.create(bytes);
  const fields: RawField[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    reader.skipType(tag & 7, 0, tag >>> 3);
    fields.push({ id: tag >>> 3, bytes: Buffer.from(bytes.subarray(start, reader.pos)) });
  }
  return fields;
}

/** Shuffles, and gives fields of one number back in the order they had. */
function shuffled(fields: readonly RawField[], dice: Dice): RawField[] {
  const out = [...fields];
  for (let i = out.length - 1; i > 0; i--) {
    const other = dice.roll(i + 1);
    [out[i], out[other]] = [out[other]!, out[i]!];
  }
  const queues = new Map<number, RawField[]>();
  for (const field of fields) {
    const queue = queues.get(field.id);
    if (queue === undefined) queues.set(field.id, [field]);
    else queue.push(field);
  }
  return out.map((field) => queues.get(field.id)!.shift()!);
}

function lengthDelimited(id: number, content: Uint8Array): RawField {
  const writer = protobuf.Writer.create();
  writer.uint32(((id << 3) | 2) >>> 0).bytes(content);
  return { id, bytes: Buffer.from(writer.finish()) };
}

const UNKNOWN_NUMBERS = [17, 200, 5000, 536_870_911] as const;

function unknownField(type: protobuf.Type, dice: Dice): RawField {
  const known = type.fieldsArray;
  if (known.length === 0 || dice.roll(2) === 0) {
    const id = UNKNOWN_NUMBERS[dice.roll(UNKNOWN_NUMBERS.length)]!;
    return rawField(id, dice.roll(5), dice, 0);
  }
  const field = known[dice.roll(known.length)]!;
  const own = ownWireTypes(field);
  let wireType = dice.roll(5);
  while (own.includes(WIRE_TYPES[wireType]!)) wireType = (wireType + 1) % WIRE_TYPES.length;
  return rawField(field.id, wireType, dice, 0);
}

/** Wire types without the end of a group. */
const WIRE_TYPES = [0, 1, 2, 3, 5] as const;

function ownWireTypes(field: protobuf.Field): number[] {
  field.resolve();
  if (field.map || field.repeated) return [2];
  const basic = (protobuf.types.basic as Record<string, number>)[field.type];
  if (basic !== undefined) return [basic];
  return [field.resolvedType instanceof protobuf.Enum ? 0 : 2];
}

function rawField(id: number, wireTypeIndex: number, dice: Dice, depth: number): RawField {
  const wireType = WIRE_TYPES[wireTypeIndex]!;
  const writer = protobuf.Writer.create();
  writer.uint32(((id << 3) | wireType) >>> 0);
  switch (wireType) {
    case 0:
      writer.uint64(2 ** dice.roll(53));
      break;
    case 1:
      writer.fixed64(dice.roll(1000));
      break;
    case 2:
      writer.bytes(Buffer.alloc(dice.roll(200), dice.roll(256)));
      break;
    case 3: {
      const inner: Buffer[] = [];
      for (let i = depth < 3 ? dice.roll(3) : 0; i > 0; i--) {
        inner.push(rawField(1 + dice.roll(20), dice.roll(5), dice, depth + 1).bytes);
      }
      const end = protobuf.Writer.create().uint32(((id << 3) | 4) >>> 0);
      return {
        id,
        bytes: Buffer.concat([writer.finish(), ...inner, end.finish()]),
      };
    }
    default:
      writer.fixed32(dice.roll(1000));
  }
  return { id, bytes: Buffer.from(writer.finish()) };
}

/** Damages bytes: flips, cuts, insertions, and varints that lie about a length. */
export function damage(bytes: Uint8Array, dice: Dice): Buffer {
  let out = Buffer.from(bytes);
  for (let i = 1 + dice.roll(4); i > 0; i--) {
    const at = dice.roll(out.length + 1);
    const before = out.subarray(0, at);
    switch (dice.roll(6)) {
      case 0:
        if (at < out.length) out[at] = out[at]! ^ (1 << dice.roll(8));
        break;
      case 1:
        out = Buffer.from(before);
        break;
      case 2:
        out = Buffer.concat([before, out.subarray(at + 1 + dice.roll(8))]);
        break;
      case 3:
        out = Buffer.concat([before, Buffer.from([dice.roll(256)]), out.subarray(at)]);
        break;
      case 4:
        if (at < out.length) out[at] = dice.roll(256);
        break;
      default:
        out = Buffer.concat([before, lie(dice), out.subarray(at + 1)]);
    }
  }
  return out;
}

/** A varint from 2^7 to 2^63, put where a length or another value was. */
function lie(dice: Dice): Buffer {
  const length = 2 + dice.roll(8);
  const bytes = Buffer.alloc(length, 0xff);
  bytes[length - 1] = 1 + dice.roll(127);
  return bytes;
}
