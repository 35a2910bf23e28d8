/**
 * Answers of gRPC model servers: messages in frames that may be cut anywhere, several in a piece.
 *
 *   vLLM      GenerateResponse { 1 chunk {2 prompt, 3 completion, 4 cached} | 2 complete {3 prompt, 4 completion, 5 cached} }
 *             EmbedResponse    { 1 embedding (floats), 2 prompt_tokens (varint), 3 embedding_dim }
 *   Vertex AI google.api.HttpBody { 1 content_type, 2 data }, the data JSON or events of OpenAI's form
 * Sources: vllm: vllm/grpc/vllm_engine.proto; googleapis: google/api/httpbody.proto
 * @module
 */
import { gunzipSync } from "node:zlib";
import { GrpcFrameReader, Reader, WireStatus, WireType } from "../../proto/index.ts";
import { EventStream } from "./event-stream.ts";
import type { JsonWalk } from "./json-walk.ts";
import { type TokenUsage, Told } from "./token-usage.ts";

/** Longest message that is looked at, bytes; behind a longer one nothing is read any more. */
export const GRPC_ANSWER_BYTES_MAX = 1024 * 1024;

/** Takes the message bytes[start, end). */
type OnMessage = (bytes: Uint8Array, start: number, end: number) => void;

/** Finds the messages of an answer, and inflates those that are compressed. */
export class GrpcAnswer {
  readonly #frames = new GrpcFrameReader(GRPC_ANSWER_BYTES_MAX);
  readonly #onMessage: OnMessage;
  #isLost = false;

  constructor(onMessage: OnMessage) {
    this.#onMessage = onMessage;
  }

  /** A message could not be read: what comes behind it is not looked at. */
  get isLost(): boolean {
    return this.#isLost;
  }

  read(bytes: Uint8Array): void {
    if (this.#isLost) return;
    const frames = this.#frames;
    frames.push(bytes);
    while (frames.next()) {
      if (!frames.compressed) this.#onMessage(frames.bytes, frames.start, frames.end);
      else if (!this.#readCompressed()) this.#isLost = true;
      if (this.#isLost) break;
    }
    if (frames.error !== null) this.#isLost = true;
    if (this.#isLost) frames.reset();
  }

  #readCompressed(): boolean {
    const { bytes, end, start } = this.#frames;
    try {
      const inflated = gunzipSync(bytes.subarray(start, end), {
        maxOutputLength: GRPC_ANSWER_BYTES_MAX,
      });
      this.#onMessage(inflated, 0, inflated.length);
      return true;
    } catch {
      return false;
    }
  }
}

/** Field numbers of the two messages inside GenerateResponse, by the member that they are. */
const CHUNK = { member: 1, prompt: 2, completion: 3, cached: 4 } as const;
const COMPLETE = { member: 2, prompt: 3, completion: 4, cached: 5 } as const;
const EMBED_PROMPT = 2;

export class VllmUsage {
  /** Messages that carry tokens. */
  events = 0;
  readonly #usage: TokenUsage;
  readonly #outer = new Reader();
  readonly #inner = new Reader();

  constructor(usage: TokenUsage) {
    this.#usage = usage;
  }

  read(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#outer;
    reader.reset(bytes, start, end);
    let embedded = -1;
    let inner: typeof CHUNK | typeof COMPLETE | null = null;
    let from = 0;
    let to = 0;
    while (reader.next()) {
      const { field, type } = reader;
      if (field === EMBED_PROMPT && type === WireType.Varint) {
        embedded = reader.varint();
      } else if (type === WireType.Bytes && (field === CHUNK.member || field === COMPLETE.member)) {
        if (!reader.range()) return;
        inner = field === CHUNK.member ? CHUNK : COMPLETE;
        from = reader.start;
        to = reader.stop;
      } else if (!reader.skip()) return;
    }
    if (reader.status !== WireStatus.Ok) return;
    if (embedded >= 0) this.#usage.set(Told.promptTokens, embedded);
    else if (inner !== null) this.#readInner(bytes, from, to, inner);
  }

  #readInner(
    bytes: Uint8Array,
    start: number,
    end: number,
    fields: typeof CHUNK | typeof COMPLETE,
  ): void {
    const reader = this.#inner;
    reader.reset(bytes, start, end);
    if (fields === CHUNK) this.events++;
    while (reader.next()) {
      const { field } = reader;
      if (reader.type !== WireType.Varint) {
        if (!reader.skip()) return;
        continue;
      }
      const value = reader.varint();
      if (field === fields.prompt) this.#usage.set(Told.promptTokens, value);
      else if (field === fields.completion) this.#usage.set(Told.completionTokens, value);
      else if (field === fields.cached) this.#usage.set(Told.cachedTokens, value);
    }
  }
}

const HTTP_BODY_CONTENT_TYPE = 1;
const HTTP_BODY_DATA = 2;
const DATA_FIELD = 0x64; // the "d" that events begin with; no JSON value does

export class HttpBodyUsage {
  readonly #walk: JsonWalk;
  readonly #events: EventStream;
  readonly #reader = new Reader();
  /** null = nothing has come that tells. */
  #isEventStream: boolean | null = null;

  constructor(walk: JsonWalk) {
    this.#walk = walk;
    this.#events = new EventStream(walk);
  }

  get events(): number {
    return this.#events.events;
  }

  read(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    while (reader.next()) {
      const { field, type } = reader;
      if (
        type !== WireType.Bytes ||
        (field !== HTTP_BODY_CONTENT_TYPE && field !== HTTP_BODY_DATA)
      ) {
        if (!reader.skip()) return;
      } else if (!reader.range()) {
        return;
      } else if (field === HTTP_BODY_DATA) {
        this.#data(bytes, reader.start, reader.stop);
      } else if (this.#isEventStream === null && reader.stop > reader.start) {
        const text = Buffer.from(bytes.subarray(reader.start, reader.stop)).toString("latin1");
        this.#isEventStream = text.toLowerCase().includes("text/event-stream");
      }
    }
  }

  #data(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    this.#isEventStream ??= bytes[start] === DATA_FIELD;
    if (this.#isEventStream) this.#events.read(bytes, start, end);
    else this.#walk.walk(bytes, start, end);
  }
}
