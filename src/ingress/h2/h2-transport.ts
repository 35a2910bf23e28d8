/**
 * ExtProcTransport on a small HTTP/2 server of our own, over TCP or TLS.
 * @module
 */
import net, { type AddressInfo, type Socket } from "node:net";
import tls from "node:tls";
import type { AcceptStream, ExtProcTransport, TransportStats } from "../transport.ts";
import { H2Connection } from "./connection.ts";

const CONNECTIONS_MAX = 1024;

export interface H2TransportOptions {
  readonly accept: AcceptStream;
  readonly tls?: tls.SecureContextOptions;
  readonly onConnectionError?: (error: Error) => void;
}

export class H2Transport implements ExtProcTransport {
  readonly stats: TransportStats = {
    connections: 0,
    streams: 0,
    streamsTotal: 0,
    rotations: 0,
    sessionErrors: 0,
  };
  readonly #server: net.Server;
  readonly #connections = new Set<H2Connection>();
  readonly #options: H2TransportOptions;
  #isDraining = false;

  constructor(options: H2TransportOptions) {
    this.#options = options;
    const onSocket = (socket: Socket) => this.#onSocket(socket);
    this.#server = options.tls
      ? tls.createServer({ ...options.tls, ALPNProtocols: ["h2"] }, onSocket)
      : net.createServer(onSocket);
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  listen(port: number, host?: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
        this.#server.off("error", reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.drain();
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    });
    await Promise.race([closed, deadline]);
    clearTimeout(timer);
    for (const connection of this.#connections) connection.destroy();
  }

  setKeyPair(cert: string | Buffer, key: string | Buffer): void {
    // All options anew: what is left out here (versions, ciphers) would fall back to OpenSSL's defaults.
    if (this.#server instanceof tls.Server) {
      this.#server.setSecureContext({ ...this.#options.tls, cert, key });
    }
  }

  #onSocket(socket: Socket): void {
    this.stats.connections++;
    const connection = new H2Connection(socket, {
      accept: this.#options.accept,
      stats: this.stats,
      onClosed: (closed) => {
        this.stats.connections--;
        this.#connections.delete(closed);
      },
      onError: this.#options.onConnectionError ?? (() => {}),
    });
    this.#connections.add(connection);
    if (this.#isDraining) connection.drain();
  }
}
