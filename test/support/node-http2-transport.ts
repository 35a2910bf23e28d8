/**
 * ExtProcTransport on node:http2: the oracle of our own HTTP/2, which must give its peers the same answers.
 *
 * Envoy ends every exchange with RST_STREAM, and nghttp2 inside Node takes many resets for an attack: a bucket of 1,000
 * a connection, refilled by 33 a second, empty = GOAWAY and the connection's running streams are lost. Where Node lets
 * us raise the bucket we do; where it does not, the bucket is counted here and the connection is closed gracefully,
 * from inside a stream event, well before it is empty. The peer then opens a new one.
 * @module
 */
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { SecureContextOptions } from "node:tls";
import {
  type AcceptStream,
  type ExtProcTransport,
  GrpcStatus,
  type GrpcStream,
  type GrpcStreamHandler,
  type TransportStats,
} from "../../src/ingress/transport.ts";

/** Bounds of the transport, with the reason for each. */
export const nodeHttp2Limits = {
  /** Streams a connection: one Envoy worker carries all its requests over one connection. */
  streamsPerConnectionMax: 10_000,
  connectionsMax: 1024,
  /** Bytes a peer may send ahead on one stream; a 1 MB prompt passes without a stall. */
  streamWindowBytes: 1 << 20,
  /** The same for the connection. */
  connectionWindowBytes: 16 << 20,
  /** Unsent bytes of one stream at which its reading pauses. */
  unsentBytesPerStreamMax: 4 << 20,
  /** Megabytes node:http2 may hold for one connection before it refuses streams. */
  sessionMemoryMb: 1024,
  /** nghttp2's own guard (nghttp2: lib/nghttp2_session.c): bucket size and refill a second. */
  resetBucket: 1000,
  resetRefillPerSecond: 33,
  /** Tokens kept in hand when a connection is rotated, beyond one for each stream still open. */
  resetReserve: 300,
} as const;

/** streamResetBurst and streamResetRate came with Node 24; older versions accept and ignore them. */
const CAN_RAISE_RESET_GUARD = Number.parseInt(process.versions.node, 10) >= 24;

const RESPONSE_HEADERS = { ":status": 200, "content-type": "application/grpc" };
/** With or without a suffix or parameters; `application/grpc-web` is another protocol. */
const GRPC_CONTENT_TYPE = /^application\/grpc(?:[+;]|$)/i;
/** Longest `grpc-message`, in characters before they are percent-encoded. */
const MESSAGE_CHARS_MAX = 1024;
const STREAMING = { waitForTrailers: true };

export interface NodeHttp2TransportOptions {
  readonly accept: AcceptStream;
  /** TLS key pair; absent = plain text with prior knowledge. */
  readonly tls?: NodeHttp2Tls;
  /** Called for connection errors, once each. */
  readonly onConnectionError?: (error: Error) => void;
}

export interface NodeHttp2Tls {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** TLSv1.2 unless told otherwise. */
  readonly minVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  /** OpenSSL names joined by ":", TLS 1.2 and below. */
  readonly ciphers?: string;
}

/** Model of nghttp2's bucket for one connection. */
class ResetBucket {
  #tokens: number = nodeHttp2Limits.resetBucket;
  #atMs = performance.now();
  open = 0;
  rotated = false;

  take(): void {
    this.#refill();
    this.#tokens--;
  }

  get isLow(): boolean {
    this.#refill();
    return this.#tokens < this.open + nodeHttp2Limits.resetReserve;
  }

  #refill(): void {
    const nowMs = performance.now();
    const refill = ((nowMs - this.#atMs) / 1000) * nodeHttp2Limits.resetRefillPerSecond;
    this.#tokens = Math.min(nodeHttp2Limits.resetBucket, this.#tokens + refill);
    this.#atMs = nowMs;
  }
}

class NodeHttp2Stream implements GrpcStream {
  readonly encoding: string;
  readonly #stream: http2.ServerHttp2Stream;
  #responded = false;
  #ended = false;

  constructor(stream: http2.ServerHttp2Stream, encoding: string) {
    this.#stream = stream;
    this.encoding = encoding;
  }

  write(segments: readonly Uint8Array[], _byteLength: number): void {
    const stream = this.#stream;
    if (this.#ended || stream.destroyed || stream.closed) return;
    if (!this.#responded) {
      this.#responded = true;
      stream.respond(RESPONSE_HEADERS, STREAMING);
    }
    if (segments.length === 1) {
      stream.write(segments[0]!);
    } else {
      stream.cork();
      for (const segment of segments) stream.write(segment);
      stream.uncork();
    }
    if (stream.writableLength > nodeHttp2Limits.unsentBytesPerStreamMax && !stream.isPaused()) {
      stream.pause();
      stream.once("drain", () => stream.resume());
    }
  }

  end(): void {
    const stream = this.#stream;
    if (this.#ended || stream.destroyed || stream.closed) return;
    this.#ended = true;
    if (this.#responded) {
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end();
      stream.resume(); // no "drain" comes after the end
    } else {
      stream.respond({ ...RESPONSE_HEADERS, "grpc-status": "0" }, { endStream: true });
    }
  }

  fail(status: number, message: string): void {
    const stream = this.#stream;
    if (this.#ended || stream.destroyed || stream.closed) return;
    this.#ended = true;
    // Through UTF-8 and back, since half a surrogate pair can not be percent-encoded.
    const text = Buffer.from(message.slice(0, MESSAGE_CHARS_MAX)).toString();
    const trailers = { "grpc-status": String(status), "grpc-message": encodeURIComponent(text) };
    if (this.#responded) {
      stream.once("wantTrailers", () => stream.sendTrailers(trailers));
      stream.end();
      stream.resume(); // no "drain" comes after the end
    } else {
      stream.respond({ ...RESPONSE_HEADERS, ...trailers }, { endStream: true });
    }
  }
}

/** A gRPC server on node:http2. */
export class NodeHttp2Transport implements ExtProcTransport {
  /** `rotations`: connections closed by us to keep clear of the reset guard. */
  readonly stats: TransportStats & { rotations: number } = {
    connections: 0,
    streams: 0,
    streamsTotal: 0,
    rotations: 0,
    sessionErrors: 0,
  };
  readonly #accept: AcceptStream;
  readonly #server: http2.Http2Server | http2.Http2SecureServer;
  readonly #sessions = new Map<http2.Http2Session, ResetBucket>();
  readonly #onConnectionError: (error: Error) => void;
  readonly #tls: NodeHttp2Tls | undefined;
  #draining = false;

  constructor(options: NodeHttp2TransportOptions) {
    this.#accept = options.accept;
    this.#tls = options.tls;
    this.#onConnectionError = options.onConnectionError ?? (() => {});
    const common = {
      settings: {
        maxConcurrentStreams: nodeHttp2Limits.streamsPerConnectionMax,
        initialWindowSize: nodeHttp2Limits.streamWindowBytes,
        enablePush: false,
      },
      maxSessionMemory: nodeHttp2Limits.sessionMemoryMb,
      // Node >= 24 only; the type declarations are those of the oldest supported Node.
      ...{ streamResetBurst: 100_000, streamResetRate: 100_000 },
    };
    this.#server = options.tls
      ? http2.createSecureServer({
          ...common,
          allowHTTP1: false,
          ...secureContextOf(options.tls),
        })
      : http2.createServer(common);
    this.#server.maxConnections = nodeHttp2Limits.connectionsMax;
    this.#server.on("session", (session: http2.ServerHttp2Session) => this.#onSession(session));
    this.#server.on("stream", (stream: http2.ServerHttp2Stream, headers) =>
      this.#onStream(stream, headers),
    );
    this.#server.on("sessionError", (error: Error) => {
      this.stats.sessionErrors++;
      this.#onConnectionError(error);
    });
    this.#server.on("tlsClientError", () => {
      this.stats.sessionErrors++;
    });
  }

  listen(port: number, host?: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
        this.#server.off("error", reject);
        this.#server.on("error", this.#onConnectionError);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions.keys()) session.close();
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    });
    await Promise.race([closed, deadline]);
    clearTimeout(timer);
    for (const session of this.#sessions.keys()) session.destroy();
  }

  setKeyPair(certificate: string | Buffer, key: string | Buffer): void {
    const server = this.#server;
    if ("setSecureContext" in server && this.#tls !== undefined) {
      server.setSecureContext(secureContextOf({ ...this.#tls, cert: certificate, key }));
    }
  }

  #onSession(session: http2.ServerHttp2Session): void {
    this.stats.connections++;
    this.#sessions.set(session, new ResetBucket());
    session.setLocalWindowSize(nodeHttp2Limits.connectionWindowBytes);
    session.once("close", () => {
      this.stats.connections--;
      this.#sessions.delete(session);
    });
    if (this.#draining) session.close();
  }

  #onStream(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
    stream.on("error", ignoreError);
    const session = stream.session;
    const bucket = session ? this.#sessions.get(session) : undefined;
    const grpc = new NodeHttp2Stream(stream, String(headers["grpc-encoding"] ?? "identity"));
    if (headers[":method"] !== "POST") {
      refuse(stream, 405);
      return;
    }
    if (!GRPC_CONTENT_TYPE.test(headers["content-type"] ?? "")) {
      refuse(stream, 415);
      return;
    }
    const handler = this.#accept(String(headers[":path"]), grpc);
    if (handler === null) {
      grpc.fail(GrpcStatus.Unimplemented, `unknown method ${String(headers[":path"])}`);
      return;
    }
    this.#attach(stream, handler, bucket);
    if (bucket && !CAN_RAISE_RESET_GUARD && !bucket.rotated && bucket.isLow) {
      bucket.rotated = true;
      this.stats.rotations++;
      // Inside the stream event, so that the notice leaves before any answer: a peer that sends its next request
      // after an answer has then seen it. A request that crosses the notice on the wire is refused.
      session?.close();
    }
  }

  #attach(
    stream: http2.ServerHttp2Stream,
    handler: GrpcStreamHandler,
    bucket: ResetBucket | undefined,
  ): void {
    const stats = this.stats;
    stats.streams++;
    stats.streamsTotal++;
    if (bucket) bucket.open++;
    stream.on("data", (chunk: Buffer) => handler.data(chunk));
    stream.once("end", () => handler.halfClose());
    stream.once("close", () => {
      stats.streams--;
      if (bucket) {
        bucket.open--;
        if (stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) bucket.take();
      }
      handler.closed();
    });
  }
}

function secureContextOf({ cert, key, minVersion, ciphers }: NodeHttp2Tls): SecureContextOptions {
  return { cert, key, minVersion: minVersion ?? "TLSv1.2", ...(ciphers ? { ciphers } : {}) };
}

/** Once the request is whole, as our transport does. */
function refuse(stream: http2.ServerHttp2Stream, status: number): void {
  stream.resume();
  stream.once("end", () => {
    if (stream.destroyed) return;
    stream.respond({ ":status": status, "content-type": "text/plain" });
    stream.end("this port speaks gRPC: POST with content-type application/grpc\n");
  });
}

function ignoreError(): void {
  // The stream's "close" follows and tells its owner; a reset is the normal end of an exchange.
}
