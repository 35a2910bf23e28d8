/**
 * Bytes played to a connection of ours, its handlers watched: nobody is told anything behind the end, everybody is told the
 * end once, and the work follows from the bytes.
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { H2Connection } from "../../src/ingress/h2/connection.ts";
import { h2Limits, noExceededLimits } from "../../src/ingress/h2/limits.ts";
import type { AcceptStream, GrpcStream, GrpcStreamHandler } from "../../src/ingress/transport.ts";
import { MemorySocket } from "../support/h2-memory.ts";
import { type MemoryWatch, must } from "./fuzz-target.ts";
import { SentFrames } from "./sent-frames.ts";

const REPLY = Buffer.from("\0\0\0\0\x05reply");
/** More than the first windows; shared, so that it costs nothing. */
const BIG_REPLY = Buffer.alloc(200_000, "b");
/** Calls to handlers a byte of input: each call has bytes of its own. */
const CALLS_PER_BYTE = 1;
const CALLS_FREE = 10;
/** What Node reads from a socket at once. */
export const READ_BYTES = 64 * 1024;

export interface Play {
  readonly pieces: readonly Buffer[];
  /** The kernel takes nothing until all has been read. */
  readonly isStalled: boolean;
  /** `drain`: our side drains half way; the connection is cut at the end as with `cut`. */
  readonly ending: "cut" | "end" | "drain";
}

/** What can be broken on purpose. */
export interface PlayParts {
  readonly createSocket: (onCall: (bytes: Buffer) => void) => MemorySocket;
  readonly wrapHandler: (handler: GrpcStreamHandler) => GrpcStreamHandler;
}

export const PLAY_PARTS: PlayParts = {
  createSocket: (onCall) => new MemorySocket(onCall),
  wrapHandler: (handler) => handler,
};

class WatchedHandler implements GrpcStreamHandler {
  readonly path: string;
  readonly #stream: GrpcStream;
  /** Kept, not thrown: some calls come from events, where nobody would catch it. */
  readonly #faults: string[];
  byteLength = 0;
  calls = 0;
  halfCloses = 0;
  closes = 0;

  constructor(path: string, stream: GrpcStream, faults: string[]) {
    this.path = path;
    this.#stream = stream;
    this.#faults = faults;
    if (path === "/now") this.#reply(REPLY);
    else if (path === "/fail") stream.fail(13, "at once");
  }

  data(chunk: Uint8Array): void {
    this.#told("data");
    if (this.halfCloses > 0) this.#faults.push("data behind the half-close");
    if (chunk.length === 0) this.#faults.push("data of no bytes");
    this.byteLength += chunk.length;
    if (this.path === "/data" && this.calls === 1) this.#reply(REPLY);
  }

  halfClose(): void {
    this.#told("halfClose");
    this.halfCloses++;
    if (this.halfCloses > 1) this.#faults.push("half-closed twice");
    this.#reply(this.path === "/big" ? BIG_REPLY : REPLY);
  }

  closed(): void {
    this.#told("closed");
    this.closes++;
  }

  #told(what: string): void {
    this.calls++;
    if (this.closes > 0) this.#faults.push(`${what} behind closed, ${this.path}`);
  }

  #reply(bytes: Buffer): void {
    this.#stream.write([bytes], bytes.length);
    this.#stream.end();
  }
}

/**
 * Plays bytes and the end of the connection.
 *
 * @returns what must not depend on how the bytes are cut: what was sent, and what handlers were told; null = all may
 * @throws when a promise is broken
 */
export async function playConnection(
  play: Play,
  parts: PlayParts,
  memory: MemoryWatch | null,
): Promise<string | null> {
  // Time stands still: how much the buckets of control frames have been refilled would be a matter of luck.
  performance.now = () => 0;
  try {
    return await playOnce(play, parts, memory);
  } finally {
    Reflect.deleteProperty(performance, "now");
  }
}

async function playOnce(
  play: Play,
  parts: PlayParts,
  memory: MemoryWatch | null,
): Promise<string | null> {
  const handlers: WatchedHandler[] = [];
  const faults: string[] = [];
  const stats = {
    streams: 0,
    streamsTotal: 0,
    sessionErrors: 0,
    unsentBytes: 0,
    exceeded: noExceededLimits(),
  };
  const sent = new SentFrames();
  let closes = 0;
  const accept: AcceptStream = (path, stream) => {
    if (path.startsWith("/none")) return null;
    const handler = new WatchedHandler(path, stream, faults);
    handlers.push(handler);
    return parts.wrapHandler(handler);
  };
  memory?.start();
  // Bookkeeping of what is sent would count as memory held.
  const socket = parts.createSocket(memory === null ? (bytes) => sent.read(bytes) : () => {});
  const connection = new H2Connection(socket.asSocket, {
    accept,
    stats,
    onClosed: () => closes++,
    onError: () => {},
    onUnsentBytes: () => {},
  });
  await setImmediate(); // from here on the socket hands bytes over at once
  socket.isStalled = play.isStalled;
  await feed(socket, connection, play);
  const inputBytes = play.pieces.reduce((sum, piece) => sum + piece.length, 0);
  memory?.check(inputBytes);
  socket.release();
  await setImmediate();
  const seen = `${memory === null ? sent.end() : ""} ${handlers.map(describe).join(" ")}`;
  if (play.ending === "end") socket.push(null);
  else socket.destroy();
  await setImmediate();
  socket.destroy();
  await setImmediate();
  const calls = handlers.reduce((sum, handler) => sum + handler.calls, 0);
  must(faults.length === 0, () => faults.join(", "));
  must(closes === 1, () => `the end of the connection was told ${closes} times`);
  must(stats.streams === 0, () => `${stats.streams} streams are counted as open`);
  must(
    handlers.every((handler) => handler.closes === 1),
    () => `closed: ${handlers.map((handler) => handler.closes).join(" ")}`,
  );
  must(calls <= inputBytes * CALLS_PER_BYTE + CALLS_FREE, () => `${calls} calls of handlers`);
  // The order of DATA and other frames depends on the reads when there is more to send than the kernel takes at once.
  const isSettled = sent.byteLength < h2Limits.backlogBytesMax && !handlers.some(isCutVisible);
  return isSettled ? seen : null;
}

async function feed(
  socket: MemorySocket,
  connection: H2Connection,
  { ending, pieces }: Play,
): Promise<void> {
  for (const [i, piece] of pieces.entries()) {
    if (ending === "drain" && i === pieces.length >> 1) connection.drain();
    if (socket.destroyed) return;
    socket.push(piece);
    // A large piece is a read of its own; crumbs may come in one turn.
    if (piece.length === READ_BYTES) await setImmediate();
  }
}

/** How often data came is a matter of the cuts; how much of a whole body, and the rest, is not. */
function describe({ byteLength, closes, halfCloses, path }: WatchedHandler): string {
  return `${path} ${halfCloses > 0 ? byteLength : "-"} ${halfCloses} ${closes}`;
}

/** A frame that goes beyond the declared length is refused whole, or behind what could still be told: who answers data shows it. */
function isCutVisible({ halfCloses, path }: WatchedHandler): boolean {
  return path === "/data" && halfCloses === 0;
}
