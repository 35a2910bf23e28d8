/**
 * ExtProcTransport on a small HTTP/2 server of our own, over TCP or TLS.
 * @module
 */
import net, { type AddressInfo, type ListenOptions, type Socket } from "node:net";
import tls from "node:tls";
import type { AcceptStream, DrainOptions, ExtProcTransport, TransportStats } from "../transport.ts";
import { type ConnectionStats, H2Connection, type H2ConnectionOptions } from "./connection.ts";
import { h2Limits, noExceededLimits } from "./limits.ts";

/** Time that peers have to read what was said to them at the deadline of a drain. */
const LAST_WORDS_MS = 500;

export interface H2TransportOptions {
  readonly accept: AcceptStream;
  readonly tls?: tls.SecureContextOptions;
  /** Called for errors of connections and of their acceptance, once each. */
  readonly onConnectionError?: (error: Error) => void;
}

export class H2Transport implements ExtProcTransport {
  readonly stats: TransportStats & ConnectionStats = {
    connections: 0,
    streams: 0,
    streamsTotal: 0,
    sessionErrors: 0,
    unsentBytes: 0,
    exceeded: noExceededLimits(),
  };
  readonly #server: net.Server;
  readonly #connections = new Set<H2Connection>();
  readonly #tls: tls.SecureContextOptions | undefined;
  readonly #connectionOptions: H2ConnectionOptions;
  #sweepTimer: NodeJS.Timeout | undefined;
  #isShedding = false;
  #isDraining = false;
  /** The deadline of a drain has passed: who still comes is sent away. */
  #isOver = false;

  constructor(options: H2TransportOptions) {
    const onError = options.onConnectionError ?? (() => {});
    this.#tls = options.tls;
    this.#connectionOptions = {
      accept: options.accept,
      stats: this.stats,
      onClosed: (closed) => {
        this.stats.connections--;
        this.#connections.delete(closed);
      },
      onError,
      onUnsentBytes: () => this.#scheduleShedding(),
    };
    const onSocket = (socket: Socket) => this.#onSocket(socket);
    this.#server = options.tls
      ? tls.createServer(
          { ...options.tls, ALPNProtocols: ["h2"], handshakeTimeout: h2Limits.handshakeMs },
          onSocket,
        )
      : net.createServer(onSocket);
    this.#server.maxConnections = h2Limits.connectionsMax;
    this.#server.on("tlsClientError", () => {
      this.stats.sessionErrors++;
    });
    this.#server.on("drop", () => {
      this.stats.exceeded.connections++;
    });
  }

  listen(port: number, host?: string): Promise<number> {
    return this.#listen({ port, ...(host === undefined ? {} : { host }) });
  }

  /** Takes connections from a socket that already listens. @param fd is taken over, and closed in the end */
  listenOn(fd: number): Promise<number> {
    return this.#listen({ fd } as ListenOptions);
  }

  #listen(options: ListenOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(options, () => {
        this.#server.off("error", reject);
        // A connection that can not be accepted (no file descriptors left) is told here, and must not end the process.
        this.#server.on("error", this.#connectionOptions.onError);
        this.#sweepTimer = setInterval(() => this.sweep(), h2Limits.sweepMs).unref();
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async drain(deadlineMs: number, { handOver = false }: DrainOptions = {}): Promise<void> {
    this.#isDraining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.drain(handOver);
    await within(deadlineMs, closed);
    this.#isOver = true;
    for (const connection of this.#connections) connection.expire();
    await within(LAST_WORDS_MS, closed);
    for (const connection of this.#connections) connection.destroy();
    clearInterval(this.#sweepTimer);
  }

  /** Looks at all connections for what only time can tell; done every `sweepMs` while it listens. */
  sweep(): void {
    for (const connection of this.#connections) connection.sweep();
  }

  /** Not at once: who has just written is in the middle of its work. */
  #scheduleShedding(): void {
    if (this.#isShedding) return;
    this.#isShedding = true;
    queueMicrotask(() => {
      this.#isShedding = false;
      if (this.stats.unsentBytes <= h2Limits.unsentBytesMax) return;
      let most: H2Connection | null = null;
      for (const connection of this.#connections) {
        if (most === null || connection.unsentBytes > most.unsentBytes) most = connection;
      }
      most?.shed();
    });
  }

  /** @throws when the two do not belong together: the old pair stays in use */
  setKeyPair(cert: string | Buffer, key: string | Buffer): void {
    // All options anew: what is left out here (versions, ciphers) would fall back to OpenSSL's defaults.
    if (this.#server instanceof tls.Server) {
      this.#server.setSecureContext({ ...this.#tls, cert, key });
    }
  }

  #onSocket(socket: Socket): void {
    if (this.#isOver) {
      socket.destroy();
      return;
    }
    this.stats.connections++;
    const connection = new H2Connection(socket, this.#connectionOptions);
    this.#connections.add(connection);
    if (this.#isDraining) connection.drain();
  }
}

/** Waits for a promise, but not longer than this. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}
