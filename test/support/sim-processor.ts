/**
 * An ext_proc server whose replies a test writes one by one, for what stands on Envoy's side of the protocol.
 *
 *   ScriptedProcessor ── nextExchange() ──▶ ProcessorExchange: take() … send() … end() / fail()
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
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

/** How the gateway ended an exchange: RST_STREAM, or a half-close. */
export type ExchangeEnd = "canceled" | "half-closed";

export class ProcessorExchange {
  readonly #call: grpc.ServerDuplexStream<Received, object>;
  readonly #queue: Received[] = [];
  readonly #takers: ((message: Received) => void)[] = [];
  readonly #ended: Promise<ExchangeEnd>;

  constructor(call: grpc.ServerDuplexStream<Received, object>) {
    this.#call = call;
    call.on("data", (message: Received) => {
      const taker = this.#takers.shift();
      if (taker === undefined) this.#queue.push(message);
      else taker(message);
    });
    this.#ended = new Promise((resolve) => {
      call.on("cancelled", () => resolve("canceled"));
      call.on("end", () => resolve("half-closed"));
    });
    call.on("error", () => {});
  }

  /** The next message. */
  take(): Promise<Received> {
    const queued = this.#queue.shift();
    if (queued !== undefined) return Promise.resolve(queued);
    const message = new Promise<Received>((resolve) => this.#takers.push(resolve));
    return within(message, WAIT_MS, "next message of the gateway");
  }

  /** Messages that came and were not taken. */
  get untaken(): readonly Received[] {
    return this.#queue;
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
    for (const message of messages) this.#call.write(message);
  }

  /** Ends the stream with OK. */
  end(): void {
    this.#call.end();
  }

  fail(code: grpc.status): void {
    this.#call.emit("error", Object.assign(new Error("scripted"), { code, details: "scripted" }));
  }

  ended(): Promise<ExchangeEnd> {
    return within(this.#ended, WAIT_MS, "end of the exchange by the gateway");
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
  close(): void;
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
  const opened: ProcessorExchange[] = [];
  const takers: ((exchange: ProcessorExchange) => void)[] = [];
  const server = new grpc.Server();
  server.addService(service, {
    Process: (call: grpc.ServerDuplexStream<Received, object>) => {
      const exchange = new ProcessorExchange(call);
      const taker = takers.shift();
      if (taker === undefined) opened.push(exchange);
      else taker(exchange);
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    address: `127.0.0.1:${port}`,
    nextExchange: () => {
      const waiting = opened.shift();
      if (waiting !== undefined) return Promise.resolve(waiting);
      const exchange = new Promise<ProcessorExchange>((resolve) => takers.push(resolve));
      return within(exchange, WAIT_MS, "next exchange of the gateway");
    },
    close: () => server.forceShutdown(),
  };
}
