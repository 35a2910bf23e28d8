/**
 * What a gateway sends in one exchange, ready to be written: the requests of practice (warm-up.ts). They differ as those of
 * clients do, since code that has seen one kind only is compiled anew when the next one comes.
 * @module
 */
import { Writer, writeGrpcFramePrefix } from "../proto/index.ts";
import { EXT_PROC_METHOD } from "./data-plane.ts";
import { Flag, FRAME_BYTES_MAX, FrameType, frame, H2Error, u32Frame } from "./ingress/h2/frames.ts";

/** Framed messages of one exchange, by what a gateway waits for before it sends them. */
export interface PracticeExchange {
  readonly request: Buffer;
  /** Sent when the request has been answered. */
  readonly responseHead: Buffer;
  /** Sent when the head has been answered, piece by piece. */
  readonly responseChunks: readonly Buffer[];
}

const PROMPT_BYTES = [1_000, 1_000, 8_000, 1_000, 24_000] as const;
const PROMPTS = 12;
const RESPONSE_CHUNKS = 6;
const FULL_DUPLEX_STREAMED = 4;
/** Bytes of a body in one message. */
const BODY_CHUNK_BYTES = 32 * 1024;

/** Exchanges of all kinds and sizes, to be played in this order again and again. */
export function practiceExchanges(): readonly PracticeExchange[] {
  return Array.from({ length: PROMPTS * PROMPT_BYTES.length }, (_, i) => {
    const body = BODIES[i % BODIES.length]!(PROMPT_BYTES[i % PROMPT_BYTES.length]!, i);
    return exchangeOf(Buffer.from(JSON.stringify(body)), i);
  });
}

/** Frames of a part of an exchange. @param head null = the stream is open already */
export function framesOf(id: number, head: Buffer | null, messages: Buffer): Buffer[] {
  const frames = head === null ? [] : [frame(FrameType.Headers, Flag.EndHeaders, id, head)];
  for (let at = 0; at < messages.length; at += FRAME_BYTES_MAX) {
    frames.push(frame(FrameType.Data, 0, id, messages.subarray(at, at + FRAME_BYTES_MAX)));
  }
  return frames;
}

/** How a gateway ends an exchange. */
export function resetOf(id: number): Buffer {
  return u32Frame(FrameType.RstStream, id, H2Error.Cancel);
}

// ── header blocks ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Static entries `:method: POST` and `:scheme: http` (RFC 7541, Appendix A). */
const STATIC_FIELDS = [0x83, 0x86];
const INDEXED_FIELDS = [
  [":path", EXT_PROC_METHOD],
  [":authority", "endpoint-picker"],
  ["te", "trailers"],
  ["content-type", "application/grpc"],
] as const;
/** Index of the newest entry of the dynamic table. */
const NEWEST_INDEX = 62;

/** The first head of a connection: literals that go into the dynamic table (RFC 7541 §6.2.1). */
const FIRST_HEAD = firstHead();
/** The heads after it: indexes (RFC 7541 §6.1), the oldest entry first. */
const HEAD = Buffer.from([
  ...STATIC_FIELDS,
  ...INDEXED_FIELDS.map((_, i) => 0x80 | (NEWEST_INDEX + INDEXED_FIELDS.length - 1 - i)),
]);

/** `www.example.com` (RFC 7541, C.4.1). */
const HUFFMAN_TEXT = Buffer.from("8cf1e3c2e5f23a6ba0ab90f4ff", "hex");

/** Every other exchange has a deadline, and so a head that is like no other. @param index of the exchange on its connection */
export function headOf(index: number): Buffer {
  if (index === 0) return FIRST_HEAD;
  if (index % 2 === 0) return HEAD;
  const w = new Writer();
  w.raw(HEAD);
  writeLiteral(w, 0x00, "grpc-timeout", `${1_000_000 + index}u`);
  w.byte(0x00);
  w.byte("x-practice".length);
  w.text("x-practice", "x-practice".length);
  w.raw(HUFFMAN_TEXT);
  return Buffer.from(w.bytes.subarray(0, w.length));
}

function writeLiteral(w: Writer, kind: number, name: string, value: string): void {
  w.byte(kind);
  w.byte(name.length);
  w.text(name, name.length);
  w.byte(value.length);
  w.text(value, value.length);
}

function firstHead(): Buffer {
  const w = new Writer();
  for (const byte of STATIC_FIELDS) w.byte(byte);
  for (const [name, value] of INDEXED_FIELDS) writeLiteral(w, 0x40, name, value);
  return Buffer.from(w.bytes.subarray(0, w.length));
}

// ── requests and responses ────────────────────────────────────────────────────────────────────────────────────────

/** Prompts of a size share their beginnings, as those of one application do. */
const promptText = (bytes: number, i: number): string =>
  `practice ${i % 6} makes the picker quick `.repeat(bytes / 32);

const BODIES: readonly ((bytes: number, i: number) => object)[] = [
  (bytes, i) => ({
    model: "practice",
    stream: i % 2 === 0,
    max_tokens: 64,
    messages: [
      { role: "system", content: promptText(bytes, i) },
      { role: "user", content: `question ${i}` },
    ],
  }),
  (bytes, i) => ({ model: "practice", prompt: promptText(bytes, i), temperature: 0.5 }),
  (bytes, i) => ({
    messages: [
      { role: "user", content: [{ type: "text", text: `"${i}"\n\u00fc ${promptText(bytes, i)}` }] },
      { role: "assistant", content: null, tool_calls: [{ id: "1", type: "function" }] },
    ],
    max_completion_tokens: 1e3,
    stream: true,
    stream_options: { include_usage: true },
    model: `practice-${i % 3}`,
  }),
];
const PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/chat/completions"] as const;

type Headers = readonly (readonly [string, string])[];

const requestHeaders = (i: number): Headers => [
  [":method", "POST"],
  [":path", PATHS[i % PATHS.length]!],
  [":authority", "practice"],
  [":scheme", "http"],
  ["content-type", "application/json"],
  ["user-agent", "practice/1.0"],
  ["accept", "*/*"],
  ["x-forwarded-proto", "http"],
  ...(i % 8 === 0 ? [["x-llm-d-model-name-rewrite", "served"] as const] : []),
  // Without one, we make it.
  ...(i % 4 === 0 ? [] : [["x-request-id", `00000000-0000-4000-8000-${i}`] as const]),
];

function exchangeOf(body: Buffer, i: number): PracticeExchange {
  const request = [framed((w) => writeHeaders(w, 2, requestHeaders(i), true))];
  for (let at = 0; at < body.length; at += BODY_CHUNK_BYTES) {
    const chunk = body.subarray(at, at + BODY_CHUNK_BYTES);
    request.push(framed((w) => writeBody(w, 4, chunk, false)));
  }
  request.push(framed((w) => writeBody(w, 4, Buffer.alloc(0), true)));
  const isStream = i % 2 === 0;
  const responseHeaders: Headers = [
    [":status", i % 16 === 0 ? "503" : "200"],
    ["content-type", isStream ? "text/event-stream" : "application/json"],
  ];
  const chunks = isStream ? RESPONSE_CHUNKS : 1;
  return {
    request: Buffer.concat(request),
    responseHead: framed((w) => writeHeaders(w, 3, responseHeaders, false)),
    responseChunks: Array.from({ length: chunks }, (_, k) =>
      framed((w) => writeBody(w, 5, pieceOf(isStream, k === chunks - 1), k === chunks - 1)),
    ),
  };
}

/** Most pieces tell nothing, the last one tells the usage. */
function pieceOf(isStream: boolean, isLast: boolean): Buffer {
  if (!isStream) return RESPONSE_BODY;
  return isLast ? RESPONSE_USAGE : RESPONSE_EVENT;
}

const USAGE = `"usage":{"prompt_tokens":12,"completion_tokens":6,"total_tokens":18}`;
const RESPONSE_USAGE = Buffer.from(`data: {"model":"served","choices":[],${USAGE}}\n\n`);
const RESPONSE_EVENT = Buffer.from(`data: {"choices":[{"delta":{"content":"word "}}]}\n\n`);
const RESPONSE_BODY = Buffer.from(
  `{"model":"served","choices":[{"message":{"content":"word"}}],${USAGE}}`,
);

function framed(write: (w: Writer) => void): Buffer {
  const message = new Writer();
  write(message);
  const w = new Writer();
  writeGrpcFramePrefix(w, message.length);
  w.raw(message.bytes.subarray(0, message.length));
  return Buffer.from(w.bytes.subarray(0, w.length));
}

/** ProcessingRequest with HttpHeaders {1 headers} as its member, and perhaps the body modes. */
function writeHeaders(w: Writer, member: number, headers: Headers, withModes: boolean): void {
  const map = new Writer();
  for (const [name, value] of headers) {
    map.open(1, 2 + name.length + 2 + value.length);
    map.string(1, name);
    map.string(3, value);
  }
  const list = new Writer();
  list.open(1, map.length);
  list.raw(map.bytes.subarray(0, map.length));
  w.open(member, list.length);
  w.raw(list.bytes.subarray(0, list.length));
  if (!withModes) return;
  w.open(11, 4);
  w.varintField(1, FULL_DUPLEX_STREAMED);
  w.varintField(2, FULL_DUPLEX_STREAMED);
}

/** ProcessingRequest with HttpBody {1 body, 2 end_of_stream} as its member. */
function writeBody(w: Writer, member: number, body: Uint8Array, endOfStream: boolean): void {
  const inner = new Writer();
  if (body.length > 0) {
    inner.open(1, body.length);
    inner.raw(body);
  }
  if (endOfStream) inner.varintField(2, 1);
  w.open(member, inner.length);
  w.raw(inner.bytes.subarray(0, inner.length));
}
