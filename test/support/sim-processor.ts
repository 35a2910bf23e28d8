/**
 * An ext_proc server whose replies a test writes one by one, for what stands on Envoy's side of the protocol. On node:http2
 * and not on a gRPC library, since it has to see how a stream ends.
 *
 *   ScriptedProcessor ── nextExchange() ──▶ ProcessorExchange: take() … send() … end()
 * @module
 */
import { once } from "node:events";
import { constants, createServer, type Http2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { status as GrpcStatus } from "@grpc/grpc-js";
import { loadSync, type MethodDefinition } from "@grpc/proto-loader";
import { within } from "./deadline.ts";
import type { HeaderMap, HeaderPairs, ReplyKind } from "./ext-proc-messages.ts";
import { inPackage } from "./paths.ts";

const WAIT_MS = 5_000;

interface BodyMessage {
  readonly body?: Buffer;
  readonly endOfStream?: boolean;
}

/** A message as the gateway sent it. */
export interface Received {
  /** Name of the member of the oneof that is set. */
  readonly request: Exclude<ReplyKind, "immediateResponse">;
  readonly requestHeaders?: { readonly headers: HeaderMap; readonly endOfStream?: boolean };
  readonly responseHeaders?: { readonly headers: HeaderMap; readonly endOfStream?: boolean };
  readonly requestBody?: BodyMessage;
  readonly responseBody?: BodyMessage;
  readonly requestTrailers?: { readonly trailers: HeaderMap };
  readonly responseTrailers?: { readonly trailers: HeaderMap };
  readonly protocolConfig?: {
    readonly requestBodyMode?: number;
    readonly responseBodyMode?: number;
  };
  readonly metadataContext?: unknown;
}

/** Name and value of each header; it must be in `raw_value`. */
export function pairsOf(map: HeaderMap | undefined): [string, string][] {
  return (map?.headers ?? []).map(({ key, rawValue, value }) => {
    if ((value ?? "") !== "") throw new Error(`header ${key} is in value`);
    return [key, rawValue?.toString("latin1") ?? ""];
  });
}

function setHeaders(pairs: HeaderPairs): object[] {
  return pairs.map(([key, value]) => ({ header: { key, rawValue: Buffer.from(value) } }));
}

/** The replies of a processor. */
export const replies = {
  /** Sends a request on to a destination. */
  requestHeaders: (
    destination: string,
    more: HeaderPairs = [],
    removed: string[] = [],
  ): object => ({
    requestHeaders: {
      response: {
        headerMutation: {
          setHeaders: setHeaders([["x-gateway-destination-endpoint", destination], ...more]),
          removeHeaders: removed,
        },
        clearRouteCache: true,
      },
    },
  }),
  responseHeaders: (set: HeaderPairs = []): object => ({
    responseHeaders: { response: { headerMutation: { setHeaders: setHeaders(set) } } },
  }),
  /** A piece of a body handed back. */
  body: (
    direction: "requestBody" | "responseBody",
    body: string | Buffer,
    endOfStream: boolean,
  ): object => ({
    [direction]: {
      response: {
        bodyMutation: { streamedResponse: { body: Buffer.from(body), endOfStream } },
      },
    },
  }),
  trailers: (direction: "requestTrailers" | "responseTrailers"): object => ({ [direction]: {} }),
  immediate: (code: number, body: string, headers: HeaderPairs = []): object => ({
    immediateResponse: {
      status: { code },
      headers: { setHeaders: setHeaders(headers) },
      body: Buffer.from(body),
    },
  }),
};

/** Length of a gRPC frame's head: a flag and the length of the message. */
const FRAME_HEAD_BYTES = 5;

type ProcessMethod = MethodDefinition<object, object>;

export class ProcessorExchange {
  readonly #stream: ServerHttp2Stream;
  readonly #method: ProcessMethod;
  readonly #queue: Received[] = [];
  readonly #takers: ((message: Received) => void)[] = [];
  readonly #closed: Promise<number>;
  #pending = Buffer.alloc(0);
  #endStatus: GrpcStatus = GrpcStatus.OK;

  constructor(stream: ServerHttp2Stream, method: ProcessMethod) {
    this.#stream = stream;
    this.#method = method;
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": this.#endStatus }));
    stream.on("error", () => {});
    this.#closed = new Promise((resolve) => {
      stream.on("close", () => resolve(stream.rstCode));
    });
  }

  #read(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= FRAME_HEAD_BYTES) {
      const end = FRAME_HEAD_BYTES + this.#pending.readUInt32BE(1);
      if (this.#pending.length < end) return;
      const frame = this.#pending.subarray(FRAME_HEAD_BYTES, end);
      this.#pending = this.#pending.subarray(end);
      const message = this.#method.requestDeserialize(frame) as Received;
      const taker = this.#takers.shift();
      if (taker === undefined) this.#queue.push(message);
      else taker(message);
    }
  }

  /** The next message. */
  take(): Promise<Received> {
    const queued = this.#queue.shift();
    if (queued !== undefined) return Promise.resolve(queued);
    const message = new Promise<Received>((resolve) => this.#takers.push(resolve));
    return within(message, WAIT_MS, "next message of the gateway");
  }

  /** The whole body of a direction, with the size of each message; ends with the message that ends the stream. */
  async takeBody(
    direction: "requestBody" | "responseBody",
  ): Promise<{ readonly text: string; readonly sizes: readonly number[] }> {
    const chunks: Buffer[] = [];
    for (;;) {
      const message = await this.take();
      const part = message[direction];
      if (part === undefined) throw new Error(`${message.request} within ${direction}`);
      chunks.push(part.body ?? Buffer.alloc(0));
      if (part.endOfStream === true) break;
    }
    return {
      text: Buffer.concat(chunks).toString("latin1"),
      sizes: chunks.map(({ length }) => length),
    };
  }

  send(...messages: readonly object[]): void {
    this.#respond();
    for (const message of messages) {
      const bytes = this.#method.responseSerialize(message);
      const head = Buffer.alloc(FRAME_HEAD_BYTES);
      head.writeUInt32BE(bytes.length, 1);
      this.#stream.write(Buffer.concat([head, bytes]));
    }
  }

  /** Ends the stream, with OK unless told otherwise. */
  end(status: GrpcStatus = GrpcStatus.OK): void {
    this.#endStatus = status;
    this.#respond();
    this.#stream.end();
  }

  /** Sends the gRPC headers before the first message or the end. */
  #respond(): void {
    if (this.#stream.headersSent) return;
    this.#stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
  }

  /** Waits until the gateway resets the stream, as Envoy does at the end of each exchange. */
  async canceled(): Promise<void> {
    const code = await within(this.#closed, WAIT_MS, "end of the exchange by the gateway");
    if (code !== constants.NGHTTP2_CANCEL) throw new Error(`stream ended with code ${code}`);
  }

  /** Takes the request and sends it on to a destination as it is. @returns the message of the headers */
  async sendOn(destination: string): Promise<Received> {
    const headers = await this.take();
    const withBody = headers.requestHeaders?.endOfStream !== true;
    const body = withBody ? await this.takeBody("requestBody") : null;
    this.send(replies.requestHeaders(destination));
    if (body !== null)
      this.send(replies.body("requestBody", Buffer.from(body.text, "latin1"), true));
    return headers;
  }

  /** Passes a response on as it is. */
  async passResponse(): Promise<void> {
    const { responseHeaders } = await this.take();
    this.send(replies.responseHeaders());
    if (responseHeaders?.endOfStream === true) return;
    for (;;) {
      const { responseBody } = await this.take();
      const endOfStream = responseBody?.endOfStream === true;
      this.send(replies.body("responseBody", responseBody?.body ?? "", endOfStream));
      if (endOfStream) return;
    }
  }
}

export interface ScriptedProcessor {
  /** `host:port`. */
  readonly address: string;
  /** The next exchange that the gateway opens. */
  nextExchange(): Promise<ProcessorExchange>;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function startScriptedProcessor(): Promise<ScriptedProcessor> {
  const definition = loadSync("envoy/service/ext_proc/v3/external_processor.proto", {
    includeDirs: [inPackage("proto")],
    longs: Number,
    enums: Number,
    oneofs: true,
    defaults: false,
  });
  const service = definition["envoy.service.ext_proc.v3.ExternalProcessor"];
  if (service === undefined || "format" in service) throw new Error("no service ExternalProcessor");
  const method = service["Process"]!;
  const opened: ProcessorExchange[] = [];
  const takers: ((exchange: ProcessorExchange) => void)[] = [];
  const sessions = new Set<Http2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => {});
  });
  server.on("stream", (stream) => {
    const exchange = new ProcessorExchange(stream, method);
    const taker = takers.shift();
    if (taker === undefined) opened.push(exchange);
    else taker(exchange);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    nextExchange: () => {
      const waiting = opened.shift();
      if (waiting !== undefined) return Promise.resolve(waiting);
      const exchange = new Promise<ProcessorExchange>((resolve) => takers.push(resolve));
      return within(exchange, WAIT_MS, "next exchange of the gateway");
    },
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}
