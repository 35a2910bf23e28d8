/**
 * One keep-alive HTTP/1.1 connection to an endpoint that fetches its metrics page: no redirects, no proxies, one request
 * at a time, a byte cap, and an abort that closes the socket.
 *
 *   idle ──get──▶ connecting │ waiting ──response──▶ idle            a kept connection that the server closes before it
 *                     └──error, abort, malformed──▶ closed           answers is no failure: the request goes out once more
 *
 * It stands on node:net: bytes are read into one buffer that all connections of the thread share, and a page that comes in
 * one piece is looked at there. undici's Client takes twice the CPU for a scrape: docs/decisions/0001-scrape-client.md.
 * @module
 */
import { connect as connectTcp, type OnReadOpts, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext } from "node:tls";
import { formatHostPort } from "../scheduler/index.ts";
import { ResponseReader, type ResponseState } from "./http-response.ts";
import type { FailureReason, ScrapeTls } from "./messages.ts";
import { PageBuffer, type PageBuffers } from "./page-buffer.ts";

/** Idle time after which we connect anew: below the 5 s of uvicorn, so that a request rarely meets a closing server. */
const KEEP_ALIVE_MS = 4000;

/** The body of an answer other than 200 is read this far, to keep the connection; then it is closed. */
const ERROR_BYTES_MAX = 64 * 1024;

/** Most pages come in one read of this size. */
const READ_BYTES = 64 * 1024;

const HTTP_OK = 200;

/** What may stand in a request line. */
const PATH = /^\/[\x21-\x7e]*$/;

/** What connections of one configuration share. */
export interface ConnectionSettings {
  readonly scheme: "http" | "https";
  /** Parsed once: certificates are not read anew for each handshake. */
  readonly tls: { secureContext: SecureContext; rejectUnauthorized: boolean; servername?: string };
}

/** @throws {Error} from OpenSSL when a PEM text can not be read */
export function connectionSettings(scheme: "http" | "https", tls: ScrapeTls): ConnectionSettings {
  const { ca, cert, key, serverName } = tls;
  return {
    scheme,
    tls: {
      secureContext: createSecureContext({
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
      }),
      rejectUnauthorized: !(tls.insecureSkipVerify ?? ca === undefined),
      ...(serverName === undefined ? {} : { servername: serverName }),
    },
  };
}

/** Told once per request. `page` is valid during the call and means nothing after a failure. */
export type FetchDone = (failure: FailureReason | null, page: Buffer, status: number) => void;

/** All connections of the thread read into it, one after the other: what is to stay is copied before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

export class MetricsConnection {
  readonly #address: string;
  readonly #port: number;
  readonly #settings: ConnectionSettings;
  readonly #page: PageBuffer;
  readonly #reader = new ResponseReader((chunk, from, to) => this.#takeBody(chunk, from, to));
  #socket: Socket | null = null;
  #done: FetchDone | null = null;
  #path = "";
  #request: Buffer = EMPTY;
  /** The request under way went out on a connection that had served one before. */
  #isReused = false;
  #ignoredBytes = 0;
  #idleSinceMs = 0;

  constructor(address: string, port: number, settings: ConnectionSettings, buffers: PageBuffers) {
    this.#address = address;
    this.#port = port;
    this.#settings = settings;
    this.#page = new PageBuffer(buffers);
  }

  /** Sends a request; the one before must be done. */
  get(path: string, done: FetchDone): void {
    this.#done = done;
    if (!PATH.test(path)) {
      this.#settle("unreachable");
      return;
    }
    if (path !== this.#path) {
      this.#path = path;
      this.#request = requestOf(path, formatHostPort(this.#address, this.#port));
    }
    if (this.#socket !== null && performance.now() - this.#idleSinceMs > KEEP_ALIVE_MS) {
      this.#drop();
    }
    this.#isReused = this.#socket !== null;
    this.#send();
  }

  /** Ends the request under way with this reason and closes the socket. */
  abort(reason: FailureReason): void {
    this.#drop();
    this.#settle(reason);
  }

  /** Closes the socket; a request under way is forgotten. */
  close(): void {
    this.#done = null;
    this.#drop();
    this.#page.release();
  }

  #send(): void {
    this.#reader.reset();
    this.#ignoredBytes = 0;
    this.#socket ??= this.#connect();
    this.#socket.write(this.#request);
  }

  #connect(): Socket {
    const { scheme, tls } = this.#settings;
    const onread: OnReadOpts = {
      buffer: readBuffer,
      callback: (byteLength) => {
        if (this.#socket === socket) this.#onBytes(byteLength);
        return true;
      },
    };
    const target = { host: this.#address, port: this.#port, onread };
    const socket = scheme === "https" ? connectTls({ ...target, ...tls }) : connectTcp(target);
    socket.on("error", (error: Error) => {
      if (this.#socket === socket) this.#onEnd(failureOf(error));
    });
    socket.on("close", () => {
      if (this.#socket === socket) this.#onEnd("reset");
    });
    return socket;
  }

  #onBytes(byteLength: number): void {
    // Bytes that nobody asked for: what comes next on this connection could be taken for a page.
    const state = this.#done === null ? "malformed" : this.#reader.read(readBuffer, byteLength);
    switch (state) {
      case "more":
        if (!this.#page.keep()) this.#stop("too-large");
        return;
      case "done":
        this.#onResponse();
        return;
      default:
        this.#stop(this.#reasonOf(state));
    }
  }

  /** Why a response is not read to its end. */
  #reasonOf(state: ResponseState): FailureReason {
    if (state !== "refused") return "malformed";
    return this.#reader.status === HTTP_OK ? "too-large" : "status";
  }

  #takeBody(chunk: Buffer, from: number, to: number): boolean {
    if (this.#reader.status === HTTP_OK) return this.#page.append(chunk.subarray(from, to));
    this.#ignoredBytes += to - from;
    return this.#ignoredBytes <= ERROR_BYTES_MAX;
  }

  #onResponse(): void {
    if (this.#reader.keepsAlive) this.#idleSinceMs = performance.now();
    else this.#drop();
    this.#settle(this.#reader.status === HTTP_OK ? null : "status");
  }

  #stop(reason: FailureReason): void {
    this.#drop();
    this.#settle(reason);
  }

  /** The connection is gone. */
  #onEnd(reason: FailureReason): void {
    this.#drop();
    if (this.#done === null) return;
    if (this.#reader.end()) {
      this.#onResponse();
    } else if (this.#isReused && !this.#reader.hasBegun) {
      this.#isReused = false;
      this.#send();
    } else {
      this.#settle(reason);
    }
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
  }

  #settle(failure: FailureReason | null): void {
    const done = this.#done;
    if (done === null) return;
    this.#done = null;
    done(failure, this.#page.page(), this.#reader.status);
    // The call may have sent the next request already.
    if (this.#done === null) this.#page.release();
  }
}

function requestOf(path: string, authority: string): Buffer {
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nhost: ${authority}\r\naccept: text/plain;version=0.0.4\r\n` +
      "accept-encoding: identity\r\nuser-agent: endpoint-picker\r\n\r\n",
    "latin1",
  );
}

const EMPTY = Buffer.alloc(0);

const UNREACHABLE = new Set([
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EADDRNOTAVAIL",
  "EINVAL",
  "ENODEV",
  "ENOTFOUND",
  "EAI_AGAIN",
]);
const TLS = /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH)/;

/** Sorts errors of node:net and node:tls by their codes. */
function failureOf(error: Error): FailureReason {
  const code = String((error as { code?: unknown }).code ?? "");
  if (code === "ECONNREFUSED") return "refused";
  if (UNREACHABLE.has(code)) return "unreachable";
  if (code === "ETIMEDOUT") return "timeout";
  if (TLS.test(code)) return "tls";
  return "reset";
}
