/**
 * Requests of vLLM's gRPC service and their prompts:
 *
 *   GenerateRequest  2 tokenized | 3 text · 4 sampling_params · 5 stream · 7 mm_inputs
 *   EmbedRequest     2 tokenized
 *   tokenized        1 original_text · 2 input_ids
 *   sampling_params  8 max_tokens
 *   mm_inputs        5 mm_placeholders {1 offset, 2 length} · 6 mm_hashes
 *
 * Ids are the prompt, four bytes each, with the hashes of images over their placeholders as in media-features.ts; a text
 * is its bytes. Several messages are several prompts.
 * Source: vLLM: vllm/grpc/vllm_engine.proto.
 * @module
 */
import { Reader, WireStatus, WireType } from "../../proto/index.ts";
import { GrpcMessages } from "./grpc-messages.ts";
import type { PromptStream } from "./prompt-stream.ts";
import type { WorkArea } from "./work-area.ts";

export type GrpcMethod = "Generate" | "Embed";

const FieldOf = { tokenized: 2, text: 3, sampling: 4, stream: 5, media: 7 } as const;
const Tokenized = { text: 1, ids: 2 } as const;
const MAX_TOKENS = 8;
const Media = { places: 5, hashes: 6 } as const;
const Place = { offset: 1, length: 2 } as const;
const TOKENS_MAX = 2 ** 31 - 1;
const VARINT_BYTES_MAX = 10;
const ID_BYTES = 4;

/** A range of the body; start -1 = there is none. */
class Range {
  start = -1;
  end = -1;
  set(start: number, end: number): void {
    this.start = start;
    this.end = end;
  }
}

export class GrpcPromptReader {
  /** Facts of the first message. */
  streaming = false;
  maxOutputTokens = -1;
  readonly #area: WorkArea;
  readonly #messages = new GrpcMessages();
  readonly #reader = new Reader();
  readonly #inner = new Reader();
  #method: GrpcMethod = "Generate";
  #isUpstream = false;
  // Of the message that was decoded last.
  readonly #tokenized = new Range();
  readonly #text = new Range();
  readonly #sampling = new Range();
  readonly #media = new Range();
  #isStream = false;

  constructor(area: WorkArea) {
    this.#area = area;
  }

  /** Looks at all messages of the loaded body. @returns null, or what is wrong with them */
  open(method: GrpcMethod): string | null {
    this.#method = method;
    const messages = this.#messages;
    messages.begin(this.#area);
    let count = 0;
    while (messages.next()) {
      if (!this.#decode() || !this.#isSound()) return `malformed ${method}Request`;
      if (this.#tokenized.start < 0 && this.#text.start < 0) {
        return method === "Embed" ? "must have tokenized input" : "must have tokenized or text";
      }
      if (count++ > 0) continue;
      this.streaming = this.#isStream;
      this.maxOutputTokens = this.#maxTokens();
    }
    return messages.problem ?? (count === 0 ? "there is no message" : null);
  }

  begin(upstream: boolean): void {
    this.#isUpstream = upstream;
    this.#messages.begin(this.#area);
  }

  /** Writes the prompt of the next message to a stream that was just begun. @returns false: there is none left */
  next(stream: PromptStream): boolean {
    if (!this.#messages.next() || !this.#decode()) return false;
    const { end, start } = this.#tokenized;
    if (start < 0) {
      stream.raw(this.#text.start, this.#text.end);
      return true;
    }
    stream.reserve((end - start) * ID_BYTES);
    this.#writeTokenized(stream, start, end);
    if (!this.#isUpstream && this.#media.start >= 0) this.#mark(stream);
    return true;
  }

  /** Notes where the fields of the message are. Of a field that comes twice, and of a oneof, the last one counts. */
  #decode(): boolean {
    const reader = this.#reader;
    for (const range of [this.#tokenized, this.#text, this.#sampling, this.#media]) {
      range.set(-1, -1);
    }
    this.#isStream = false;
    const isGenerate = this.#method === "Generate";
    reader.reset(this.#area.bytes, this.#messages.start, this.#messages.end);
    while (reader.next()) {
      if (reader.type === WireType.Bytes) {
        if (!reader.range()) break;
        this.#note(reader.field, isGenerate);
      } else if (isGenerate && reader.field === FieldOf.stream && reader.type === WireType.Varint) {
        this.#isStream = reader.varint() !== 0;
      } else if (!reader.skip()) {
        break;
      }
    }
    return reader.status === WireStatus.Ok;
  }

  #note(field: number, isGenerate: boolean): void {
    const { start, stop } = this.#reader;
    if (field === FieldOf.tokenized) {
      this.#tokenized.set(start, stop);
      this.#text.set(-1, -1);
    } else if (!isGenerate) {
      return;
    } else if (field === FieldOf.text) {
      this.#text.set(start, stop);
      this.#tokenized.set(-1, -1);
    } else if (field === FieldOf.sampling) {
      this.#sampling.set(start, stop);
    } else if (field === FieldOf.media) {
      this.#media.set(start, stop);
    }
  }

  /** Whether the ids are whole. */
  #isSound(): boolean {
    const { end, start } = this.#tokenized;
    if (start < 0) return true;
    const reader = this.#reader;
    reader.reset(this.#area.bytes, start, end);
    while (reader.next()) {
      if (!reader.skip()) break;
      const isPacked = reader.field === Tokenized.ids && reader.type === WireType.Bytes;
      if (isPacked && !areVarints(reader.bytes, reader.start, reader.stop)) return false;
    }
    return reader.status === WireStatus.Ok;
  }

  #maxTokens(): number {
    const { end, start } = this.#sampling;
    let value = -1;
    if (start < 0) return value;
    const reader = this.#reader;
    reader.reset(this.#area.bytes, start, end);
    while (reader.next()) {
      if (reader.field === MAX_TOKENS && reader.type === WireType.Varint) {
        value = Math.min(reader.int32() >>> 0, TOKENS_MAX);
      } else if (!reader.skip()) {
        break;
      }
    }
    return reader.status === WireStatus.Ok ? value : -1;
  }

  /** Ids, or the text that they were made from when they were left out. */
  #writeTokenized(stream: PromptStream, start: number, end: number): void {
    const reader = this.#reader;
    let textStart = 0;
    let textEnd = 0;
    reader.reset(this.#area.bytes, start, end);
    while (reader.next()) {
      const { field, type } = reader;
      if (field === Tokenized.ids && type === WireType.Varint) {
        stream.id(reader.int32() >>> 0);
        continue;
      }
      if (!reader.skip()) return;
      if (type !== WireType.Bytes) continue;
      if (field === Tokenized.ids) {
        writeIds(stream, reader.bytes, reader.start, reader.stop);
      } else if (field === Tokenized.text) {
        textStart = reader.start;
        textEnd = reader.stop;
      }
    }
    if (stream.byteLength === 0) stream.raw(textStart, textEnd);
  }

  /** Writes each hash over its placeholder: the n-th over the n-th. */
  #mark(stream: PromptStream): void {
    const places = this.#reader;
    const hashes = this.#inner;
    const { bytes } = this.#area;
    places.reset(bytes, this.#media.start, this.#media.end);
    hashes.reset(bytes, this.#media.start, this.#media.end);
    // Places that overlap could ask for more work than there are tokens.
    let left = stream.tokens;
    while (left > 0 && nextRange(places, Media.places) && nextRange(hashes, Media.hashes)) {
      const { stop: placeEnd, start: placeStart } = places;
      const resumeAt = places.at;
      const messageEnd = places.end;
      const [offset, length] = readPlace(places, placeStart, placeEnd);
      if (length > 0) {
        left -= stream.markRaw(offset, Math.min(length, left), hashes.start, hashes.stop);
      }
      places.reset(bytes, resumeAt, messageEnd);
    }
  }
}

/** Moves to the next length-delimited field with this number. */
function nextRange(reader: Reader, field: number): boolean {
  while (reader.next()) {
    if (!reader.skip()) return false;
    if (reader.field === field && reader.type === WireType.Bytes) return true;
  }
  return false;
}

/** Offset and length of a placeholder; length 0 when it can not be read. */
function readPlace(reader: Reader, start: number, end: number): [offset: number, length: number] {
  let offset = 0;
  let length = 0;
  reader.reset(reader.bytes, start, end);
  while (reader.next()) {
    if (reader.type !== WireType.Varint) {
      if (!reader.skip()) break;
      continue;
    }
    const value = reader.int32() >>> 0;
    if (reader.field === Place.offset) offset = value;
    else if (reader.field === Place.length) length = value;
  }
  return reader.status === WireStatus.Ok ? [offset, length] : [0, 0];
}

/** Whether [start, end) is nothing but whole varints. */
function areVarints(bytes: Uint8Array, start: number, end: number): boolean {
  let length = 0;
  for (let at = start; at < end; at++) {
    length = bytes[at]! < 0x80 ? 0 : length + 1;
    if (length >= VARINT_BYTES_MAX) return false;
  }
  return length === 0;
}

/** Appends packed ids: of each varint the lower 32 bits. What is behind the stream's cap is counted alone. */
function writeIds(stream: PromptStream, bytes: Uint8Array, start: number, end: number): void {
  let at = start;
  let value = 0;
  let shift = 0;
  for (; at < end && !stream.isFull; at++) {
    const byte = bytes[at]!;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte >= 0x80) {
      shift += 7;
      continue;
    }
    stream.id(value >>> 0);
    value = 0;
    shift = 0;
  }
  let rest = 0;
  for (; at < end; at++) rest += (bytes[at]! >>> 7) ^ 1;
  stream.skipIds(rest);
}
