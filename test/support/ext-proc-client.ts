/**
 * A gRPC client of the ext_proc service that speaks as Envoy does in full-duplex mode: headers in raw_value, body
 * chunks, an exchange ended by cancel.
 *
 *   ExtProcClient ── open() ──▶ ExtProcStream: send*() … next() … cancel()
 *                 ── process(listener) ──▶ ProcessCall: write() with back-pressure, replies pushed to the listener
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { within } from "./deadline.ts";
import {
  type FilterMetadata,
  type HeaderPairs,
  type ProcessingRequest,
  type ProcessingResponse,
  toHeaderMap,
  toMetadataContext,
} from "./ext-proc-messages.ts";
import { inPackage } from "./paths.ts";

/** How long one reply is waited for unless the caller says otherwise. */
const REPLY_TIMEOUT_MS = 10_000;
/** FULL_DUPLEX_STREAMED of envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode. */
export const FULL_DUPLEX_STREAMED = 4;

type RawCall = grpc.ClientDuplexStream<ProcessingRequest, ProcessingResponse>;

type ServiceConstructor = new (
  address: string,
  credentials: grpc.ChannelCredentials,
  options?: grpc.ClientOptions,
) => grpc.Client & { process(): RawCall };

interface LoadedService {
  readonly Client: ServiceConstructor;
  readonly encode: (message: ProcessingRequest) => Buffer;
}

let loaded: LoadedService | undefined;

function loadService(): LoadedService {
  if (loaded !== undefined) return loaded;
  const definition = loadSync("envoy/service/ext_proc/v3/external_processor.proto", {
    includeDirs: [inPackage("proto")],
    longs: Number,
    enums: Number,
    oneofs: true,
    defaults: false,
  });
  const service = definition["envoy.service.ext_proc.v3.ExternalProcessor"];
  if (service === undefined || "format" in service) {
    throw new Error("external_processor.proto defines no service ExternalProcessor");
  }
  loaded = {
    Client: grpc.makeClientConstructor(
      service,
      "ExternalProcessor",
    ) as unknown as ServiceConstructor,
    encode: service["Process"]!.requestSerialize,
  };
  return loaded;
}

/** The protobuf bytes of a message, without gRPC framing. */
export function encodeRequest(message: ProcessingRequest): Buffer {
  return loadService().encode(message);
}

/** What a {@link ProcessCall} tells its owner. */
export interface ProcessListener {
  reply(message: ProcessingResponse): void;
  /** The exchange is over; called exactly once, also after our own cancel (code CANCELLED). */
  closed(code: grpc.status, details: string): void;
  /** Room again after a write that returned false. */
  drained?(): void;
}

/** One exchange with replies pushed to a listener. */
export interface ProcessCall {
  /** @returns false when the caller should wait for `drained` before it writes more */
  write(message: ProcessingRequest): boolean;
  /** Half-close: nothing more will be sent. */
  end(): void;
  /** Ends the exchange the way Envoy ends each one: RST_STREAM(CANCEL). */
  cancel(): void;
  /** Stops the delivery of replies until `resume`; HTTP/2 flow control then holds the server back. */
  pause(): void;
  resume(): void;
}

export class ExtProcClient {
  readonly #client: grpc.Client & { process(): RawCall };

  /**
   * @param address `host:port` of the ext_proc port
   * @param credentials plaintext unless given
   */
  constructor(address: string, credentials = grpc.credentials.createInsecure()) {
    this.#client = new (loadService().Client)(address, credentials, {
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
      // A connection of its own, so that closing one client never touches another's streams.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
    });
  }

  /** Opens an exchange whose replies go to `listener`. */
  process(listener: ProcessListener): ProcessCall {
    const call = this.#client.process();
    call.on("data", (message: ProcessingResponse) => listener.reply(message));
    call.on("drain", () => listener.drained?.());
    call.on("status", (status: grpc.StatusObject) => listener.closed(status.code, status.details));
    // Each failure also arrives as a status; without a listener the event would be thrown.
    call.on("error", () => {});
    return {
      write: (message) => call.write(message),
      end: () => call.end(),
      cancel: () => call.cancel(),
      pause: () => call.pause(),
      resume: () => call.resume(),
    };
  }

  /** Opens an exchange whose replies are asked for one by one. */
  open(): ExtProcStream {
    return new ExtProcStream((listener) => this.process(listener));
  }

  close(): void {
    this.#client.close();
  }
}

/** How an exchange ended. */
export interface StreamEnd {
  readonly code: grpc.status;
  readonly details: string;
}

/** One exchange with typed sends and a queue of replies. */
export class ExtProcStream {
  readonly #call: ProcessCall;
  readonly #replies: ProcessingResponse[] = [];
  readonly #waiting: ((reply: ProcessingResponse | null) => void)[] = [];
  #first = true;
  #end: StreamEnd | null = null;
  /** Resolves when the exchange is over. */
  readonly closed: Promise<StreamEnd>;

  constructor(open: (listener: ProcessListener) => ProcessCall) {
    let resolveClosed: (end: StreamEnd) => void = () => {};
    this.closed = new Promise((resolve) => {
      resolveClosed = resolve;
    });
    this.#call = open({
      reply: (message) => {
        const waiter = this.#waiting.shift();
        if (waiter === undefined) this.#replies.push(message);
        else waiter(message);
      },
      closed: (code, details) => {
        this.#end = { code, details };
        for (const waiter of this.#waiting.splice(0)) waiter(null);
        resolveClosed(this.#end);
      },
    });
  }

  /** Sends any message as it is, with the metadata added. */
  send(message: ProcessingRequest, metadata?: FilterMetadata): void {
    if (metadata !== undefined) message.metadataContext = toMetadataContext(metadata);
    this.#call.write(message);
  }

  /** Sends request headers; as the first message of the stream they carry the full-duplex protocol_config. */
  sendRequestHeaders(headers: HeaderPairs, endOfStream: boolean, metadata?: FilterMetadata): void {
    this.send(
      this.#withConfig({ requestHeaders: { headers: toHeaderMap(headers), endOfStream } }),
      metadata,
    );
  }

  sendRequestBody(body: Uint8Array, endOfStream: boolean, metadata?: FilterMetadata): void {
    this.send({ requestBody: { body, endOfStream } }, metadata);
  }

  sendRequestTrailers(trailers: HeaderPairs, metadata?: FilterMetadata): void {
    this.send({ requestTrailers: { trailers: toHeaderMap(trailers) } }, metadata);
  }

  sendResponseHeaders(headers: HeaderPairs, endOfStream: boolean, metadata?: FilterMetadata): void {
    this.send(
      this.#withConfig({ responseHeaders: { headers: toHeaderMap(headers), endOfStream } }),
      metadata,
    );
  }

  sendResponseBody(body: Uint8Array, endOfStream: boolean, metadata?: FilterMetadata): void {
    this.send({ responseBody: { body, endOfStream } }, metadata);
  }

  sendResponseTrailers(trailers: HeaderPairs, metadata?: FilterMetadata): void {
    this.send({ responseTrailers: { trailers: toHeaderMap(trailers) } }, metadata);
  }

  #withConfig(message: ProcessingRequest): ProcessingRequest {
    if (this.#first) {
      message.protocolConfig = {
        requestBodyMode: FULL_DUPLEX_STREAMED,
        responseBodyMode: FULL_DUPLEX_STREAMED,
      };
    }
    this.#first = false;
    return message;
  }

  /** The next reply, or null when the stream has ended; fails when neither comes in time. */
  next(timeoutMs = REPLY_TIMEOUT_MS): Promise<ProcessingResponse | null> {
    const queued = this.#replies.shift();
    if (queued !== undefined) return Promise.resolve(queued);
    if (this.#end !== null) return Promise.resolve(null);
    const reply = new Promise<ProcessingResponse | null>((resolve) => this.#waiting.push(resolve));
    return within(reply, timeoutMs, "next ext_proc reply");
  }

  /** True when a reply has arrived that `next` has not handed out. */
  hasReply(): boolean {
    return this.#replies.length > 0;
  }

  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}
