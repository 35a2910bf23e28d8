/**
 * What the data plane needs from a gRPC transport, and nothing of how it is done: streams of length-prefixed messages,
 * answered in order, ended by status or by the peer's reset.
 *
 *   peer opens ──▶ accept(stream) gives a handler ──▶ data* ──▶ halfClose? ──▶ closed (exactly once)
 *                                          write* / end / fail ◀── owner
 * @module
 */

/** gRPC status codes in use here (google.rpc.Code). */
export const GrpcStatus = {
  Ok: 0,
  InvalidArgument: 3,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
} as const;

/** One open exchange, as its owner sees it. All calls are synchronous; after end, fail or closed they do nothing. */
export interface GrpcStream {
  /** `grpc-encoding` of the request's messages: "identity" unless the peer compresses. */
  readonly encoding: string;
  /**
   * Sends complete gRPC frames. The first write also sends the response headers: never earlier, since a gateway can
   * move the request to another replica until then. Takes the segments over: the caller must not reuse their memory.
   *
   * @param segments bytes to send in order
   * @param byteLength their total length
   */
  write(segments: readonly Uint8Array[], byteLength: number): void;
  /** Ends the exchange with OK. */
  end(): void;
  /** Ends the exchange with a gRPC error. */
  fail(status: number, message: string): void;
}

/** The owner's side of a stream. */
export interface GrpcStreamHandler {
  /** Bytes of the request body, in order, cut anywhere. The memory stays valid and unchanged for ever. */
  data(chunk: Uint8Array): void;
  /** The peer will send no more. */
  halfClose(): void;
  /** The time to finish is over: what is not answered yet must be answered at once, whatever is left undone. */
  expire?(): void;
  /** The exchange is over, for whatever reason (our end, reset, connection loss). Called exactly once. */
  closed(): void;
}

/** Decides who handles a new stream; null refuses the method as unimplemented. */
export type AcceptStream = (path: string, stream: GrpcStream) => GrpcStreamHandler | null;

export interface TransportStats {
  connections: number;
  /** Streams open now. */
  streams: number;
  streamsTotal: number;
  /** Connections that ended with a protocol error. */
  sessionErrors: number;
}

export interface DrainOptions {
  /** Refuses what has had no answer, so that a peer that knows another replica moves it there. */
  readonly handOver?: boolean;
}

/** A listening gRPC server. */
export interface ExtProcTransport {
  /** @returns the port in use */
  listen(port: number, host?: string): Promise<number>;
  /** Stops accepting, lets open streams finish, and resolves when they have or when the deadline has passed. */
  drain(deadlineMs: number, options?: DrainOptions): Promise<void>;
  /** Replaces the TLS key pair for connections to come. */
  setKeyPair?(certificate: string | Buffer, key: string | Buffer): void;
  readonly stats: TransportStats;
}
