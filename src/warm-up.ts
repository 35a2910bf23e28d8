/**
 * Practice before the first request: exchanges of our own making go over a loopback connection through the very code and
 * configuration of this process, with a pool, a scheduler and counters that are thrown away. V8 compiles the hot path
 * meanwhile; otherwise it does so while the first thousands of requests wait, at twice the CPU and three times the
 * latency (docs/benchmarks.md).
 *
 * Whatever goes wrong here ends the practice and nothing else.
 * @module
 */
import { connect, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { Writer, writeGrpcFramePrefix } from "../proto/index.ts";
import { type Clock, DecisionRecorder, EndpointPool, Known } from "../scheduler/index.ts";
import { createDataPlane, type DataPlaneOptions } from "./data-plane.ts";
import { ExtProcStream } from "./ingress/ext-proc-stream.ts";
import {
  Flag,
  FRAME_BYTES_MAX,
  FrameType,
  frame,
  H2Error,
  PREFACE,
  Setting,
  settingsFrame,
  u32Frame,
  WINDOW_MAX,
} from "./ingress/h2/frames.ts";
import { H2Transport } from "./ingress/h2/h2-transport.ts";
import { Metrics } from "./metrics/metrics.ts";

export const warmUpLimits = {
  /**
   * What is compiled for the only instance of everything is thrown away when there is another: the later rounds are
   * those other ones, and the last code is general.
   */
  rounds: 4,
  /** Exchanges of a round. */
  exchangesMax: 1000,
  /** The start waits no longer. */
  millisecondsMax: 2000,
} as const;

const ENDPOINTS = 8;
/** Exchanges written in one turn of the event loop. */
const EXCHANGES_PER_TURN = 10;
const PROMPT_BYTES = [1_000, 1_000, 8_000, 1_000, 24_000] as const;
const PROMPTS = 60;
const RESPONSE_CHUNKS = 6;
const FULL_DUPLEX_STREAMED = 4;
const HOST = "127.0.0.1";

type WarmUpOptions = Pick<DataPlaneOptions, "config" | "flags" | "clock">;

/** @returns exchanges that were practiced */
export async function warmUp(method: string, options: WarmUpOptions): Promise<number> {
  const { clock } = options;
  const untilMs = clock.nowMs() + warmUpLimits.millisecondsMax;
  const scripts = PROMPT_BYTES.map((bytes) => messagesOf(bytes));
  let exchanges = 0;
  for (let round = 0; round < warmUpLimits.rounds; round++) {
    exchanges += await playRound(method, options, scripts, () => clock.nowMs() < untilMs);
  }
  return exchanges;
}

async function playRound(
  method: string,
  base: WarmUpOptions,
  scripts: readonly (readonly Buffer[])[],
  hasTime: () => boolean,
): Promise<number> {
  const { clock } = base;
  const pool = practicePool();
  const plane = createDataPlane({
    ...base,
    pool,
    metrics: new Metrics({ collectsProcess: false }),
    recorder: new DecisionRecorder(1),
    refresh: () => scraped(pool, clock),
    onFault: () => {},
    warn: () => {},
  });
  const transport = new H2Transport({
    accept: (path, stream) => (path === method ? new ExtProcStream(stream, plane.context) : null),
  });
  let socket: Socket | null = null;
  try {
    const port = await transport.listen(0, HOST);
    socket = connect({ host: HOST, port });
    socket.on("error", () => {}); // the counters below stand still then, and the deadline ends the practice
    socket.resume();
    await practice(socket, transport, scripts, hasTime);
  } catch {
    // No loopback, no practice.
  } finally {
    socket?.destroy();
    await transport.drain(0);
  }
  return transport.stats.streamsTotal;
}

async function practice(
  socket: Socket,
  { stats }: H2Transport,
  scripts: readonly (readonly Buffer[])[],
  hasTime: () => boolean,
): Promise<void> {
  socket.write(PREFACE);
  socket.write(settingsFrame([[Setting.InitialWindowSize, WINDOW_MAX]]));
  socket.write(u32Frame(FrameType.WindowUpdate, 0, WINDOW_MAX - 65_535));
  for (let i = 0; i < warmUpLimits.exchangesMax && hasTime(); ) {
    for (let n = 0; n < EXCHANGES_PER_TURN; n++, i++) {
      const prompts = scripts[i % scripts.length]!;
      writeExchange(socket, 2 * i + 1, i === 0 ? FIRST_HEAD : HEAD, prompts[i % prompts.length]!);
    }
    while (stats.streamsTotal < i && hasTime()) await setImmediate();
  }
  while (stats.streams > 0 && hasTime()) await setImmediate();
}

function practicePool(): EndpointPool {
  const pool = new EndpointPool();
  for (let i = 0; i < ENDPOINTS; i++) {
    const name = `practice-${i}`;
    pool.upsert({
      id: `default/${name}`,
      name,
      namespace: "default",
      address: HOST,
      port: i + 1,
      labels: new Map(),
      rankIndex: 0,
    });
  }
  return pool;
}

/** Facts that differ from endpoint to endpoint, fresh at each pick. */
function scraped(pool: EndpointPool, clock: Clock): void {
  const { columns } = pool;
  const nowMs = clock.nowMs();
  for (let i = 0; i < pool.liveCount; i++) {
    const slot = pool.live[i]!;
    columns.waiting[slot] = slot % 3;
    columns.running[slot] = slot;
    columns.kvUtilization[slot] = slot / 10;
    columns.known[slot] = Known.waiting | Known.running | Known.kvUtilization;
    columns.scrapedAtMs[slot] = nowMs;
  }
}

// ── what a gateway sends ──────────────────────────────────────────────────────────────────────────────────────────

function writeExchange(socket: Socket, id: number, head: Buffer, messages: Buffer): void {
  socket.cork();
  socket.write(frame(FrameType.Headers, Flag.EndHeaders, id, head));
  for (let at = 0; at < messages.length; at += FRAME_BYTES_MAX) {
    socket.write(frame(FrameType.Data, 0, id, messages.subarray(at, at + FRAME_BYTES_MAX)));
  }
  socket.write(u32Frame(FrameType.RstStream, id, H2Error.Cancel));
  socket.uncork();
}

/** Static entries `:method: POST` and `:scheme: http` (RFC 7541, Appendix A). */
const STATIC_FIELDS = [0x83, 0x86];
const INDEXED_FIELDS = [
  [":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"],
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

function firstHead(): Buffer {
  const w = new Writer();
  for (const byte of STATIC_FIELDS) w.byte(byte);
  for (const [name, value] of INDEXED_FIELDS) {
    w.byte(0x40);
    w.byte(name.length);
    w.text(name, name.length);
    w.byte(value.length);
    w.text(value, value.length);
  }
  return Buffer.from(w.bytes.subarray(0, w.length));
}

/** Framed messages of whole exchanges, with prompts of so many bytes that share their beginnings. */
function messagesOf(promptBytes: number): Buffer[] {
  return Array.from({ length: PROMPTS }, (_, i) => {
    const shared = `practice ${i % 6} makes the picker quick `.repeat(promptBytes / 32);
    const body = JSON.stringify({
      model: "practice",
      stream: i % 2 === 0,
      messages: [
        { role: "system", content: shared },
        { role: "user", content: `question ${i}` },
      ],
    });
    return exchangeOf(Buffer.from(body));
  });
}

function exchangeOf(body: Buffer): Buffer {
  const parts = [framed((w) => writeHeaders(w, 2, REQUEST_HEADERS, true))];
  for (let at = 0; at < body.length; at += FRAME_BYTES_MAX) {
    const chunk = body.subarray(at, at + FRAME_BYTES_MAX);
    parts.push(framed((w) => writeBody(w, 4, chunk, false)));
  }
  parts.push(framed((w) => writeBody(w, 4, Buffer.alloc(0), true)));
  parts.push(framed((w) => writeHeaders(w, 3, RESPONSE_HEADERS, false)));
  for (let i = 1; i <= RESPONSE_CHUNKS; i++) {
    parts.push(framed((w) => writeBody(w, 5, RESPONSE_CHUNK, i === RESPONSE_CHUNKS)));
  }
  return Buffer.concat(parts);
}

const REQUEST_HEADERS = [
  [":method", "POST"],
  [":path", "/v1/chat/completions"],
  [":scheme", "http"],
  [":authority", "practice"],
  ["content-type", "application/json"],
  ["user-agent", "practice"],
  ["x-request-id", "00000000-0000-4000-8000-000000000000"],
] as const;
const RESPONSE_HEADERS = [
  [":status", "200"],
  ["content-type", "text/event-stream"],
] as const;
const RESPONSE_CHUNK = Buffer.from(`data: {"choices":[{"delta":{"content":"word "}}]}\n\n`);

function framed(write: (w: Writer) => void): Buffer {
  const message = new Writer();
  write(message);
  const w = new Writer();
  writeGrpcFramePrefix(w, message.length);
  w.raw(message.bytes.subarray(0, message.length));
  return Buffer.from(w.bytes.subarray(0, w.length));
}

/** ProcessingRequest with HttpHeaders {1 headers} as its member, and perhaps the body modes. */
function writeHeaders(
  w: Writer,
  member: number,
  headers: readonly (readonly [string, string])[],
  withModes: boolean,
): void {
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
