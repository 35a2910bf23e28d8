/**
 * One HTTP exchange through the embedded gateway: Envoy's part in FULL_DUPLEX_STREAMED over one ext_proc stream.
 *
 *   client ──request──▶ ext_proc ──replies──▶ upstream         each direction: headers, body*, (trailers) — a reply
 *   client ◀─replies── ext_proc ◀─response── upstream         out of that order is spurious and fails the exchange
 *
 * Without a processor (round robin, or after the processor ended its stream with OK) bytes pass straight through.
 * @module
 */

import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import { status as GrpcStatus } from "@grpc/grpc-js";
import { FULL_DUPLEX_STREAMED, type ProcessCall, type ProcessListener } from "./ext-proc-client.ts";
import {
  EMPTY,
  type HeaderPairs,
  headerMutationOf,
  type ProcessingRequest,
  type ProcessingResponse,
  setHeadersOf,
  streamedBodyOf,
  toHeaderMap,
} from "./ext-proc-messages.ts";
import {
  firstValue,
  hasRequestBody,
  isBodiless,
  mutated,
  pairUp,
  requestPairs,
  responsePairs,
  wireHeaders,
} from "./gateway-headers.ts";
import type { GatewayShared } from "./gateway-stats.ts";
import { openUpstream } from "./gateway-upstream.ts";

const DESTINATION = "x-gateway-destination-endpoint";
/** Bytes of one body message: Envoy's come in this size when its buffer limit is 32 KiB. */
const BODY_MESSAGE_BYTES_MAX = 32 * 1024;

/** How far the replies of one direction have come. */
const Progress = { Headers: 0, Body: 1, Done: 2 } as const;

export class Exchange implements ProcessListener {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #shared: GatewayShared;
  readonly #requestHeaders: [string, string][];
  readonly #withBody: boolean;
  #call: ProcessCall | null = null;
  #upstream: ClientRequest | null = null;
  #upstreamResponse: IncomingMessage | null = null;
  #responseHeaders: HeaderPairs = [];
  #requestProgress: number = Progress.Headers;
  #responseProgress: number = Progress.Headers;
  /** The upstream takes no more request bytes: it failed or the exchange is over. */
  #requestDead = false;
  #done = false;

  constructor(request: IncomingMessage, response: ServerResponse, shared: GatewayShared) {
    this.#request = request;
    this.#response = response;
    this.#shared = shared;
    this.#requestHeaders = requestPairs(request);
    this.#withBody = hasRequestBody(request);
    shared.stats.requests++;
    shared.stats.active++;
    response.on("close", () => {
      if (this.#done) return;
      shared.stats.clientAborts++;
      this.#finish();
    });
    response.on("drain", () => this.#call?.resume());
  }

  /** Starts with a processor: `open` makes the ext_proc stream. */
  startProcessed(open: (listener: ProcessListener) => ProcessCall): void {
    this.#call = open(this);
    this.#toProcessor({
      requestHeaders: {
        headers: toHeaderMap(this.#requestHeaders),
        endOfStream: !this.#withBody,
      },
      protocolConfig: {
        requestBodyMode: FULL_DUPLEX_STREAMED,
        responseBodyMode: FULL_DUPLEX_STREAMED,
      },
    });
    if (this.#withBody) this.#readRequestBody();
  }

  /** Starts without a processor, to a given `ip:port`. */
  startDirect(destination: string): void {
    this.#openUpstream(this.#requestHeaders, destination);
    if (this.#withBody) this.#readRequestBody();
    else this.#upstream?.end();
  }

  #readRequestBody(): void {
    this.#request.on("data", (chunk: Buffer) => {
      if (this.#requestDead) return;
      if (this.#call !== null) {
        for (const body of messagesOf(chunk)) {
          this.#toProcessor({ requestBody: { body, endOfStream: false } });
        }
      } else if (this.#upstream?.write(chunk) === false) {
        this.#request.pause();
      }
    });
    this.#request.on("end", () => {
      if (this.#requestDead) return;
      const trailers = pairUp(this.#request.rawTrailers);
      if (this.#call === null) this.#endUpstream(trailers);
      else if (trailers.length > 0) {
        this.#toProcessor({ requestTrailers: { trailers: toHeaderMap(trailers) } });
      } else this.#toProcessor({ requestBody: { body: EMPTY, endOfStream: true } });
    });
  }

  #toProcessor(message: ProcessingRequest): void {
    if (this.#call?.write(message) === false) {
      this.#request.pause();
      this.#upstreamResponse?.pause();
    }
  }

  drained(): void {
    this.#request.resume();
    this.#upstreamResponse?.resume();
  }

  reply(message: ProcessingResponse): void {
    if (this.#done) return;
    try {
      this.#apply(message);
    } catch {
      this.#shared.stats.spuriousReplies++;
      this.#fail();
    }
  }

  closed(code: number): void {
    if (this.#done) return;
    const answered = this.#requestProgress === Progress.Done;
    const responsePending = this.#upstreamResponse !== null || this.#responseHeaders.length > 0;
    if (code !== GrpcStatus.OK || !answered || responsePending) {
      this.#shared.stats.extProcFailures++;
      this.#fail();
      return;
    }
    // Ended with OK after the last request reply: processing is over, the response passes through.
    this.#call = null;
  }

  #apply(message: ProcessingResponse): void {
    switch (message.response) {
      case "requestHeaders":
        this.#step("request", Progress.Headers);
        this.#onDecision(message);
        return;
      case "requestBody": {
        this.#step("request", Progress.Body);
        const { body, endOfStream } = streamedBodyOf(message);
        if (!this.#requestDead && body.length > 0) this.#upstream?.write(body);
        if (endOfStream) {
          this.#requestProgress = Progress.Done;
          this.#endUpstream([]);
        }
        return;
      }
      case "requestTrailers":
        this.#step("request", Progress.Body);
        this.#requestProgress = Progress.Done;
        this.#endUpstream(mutated(pairUp(this.#request.rawTrailers), message));
        return;
      case "responseHeaders":
        this.#step("response", Progress.Headers);
        this.#writeHead(mutated(this.#responseHeaders, message));
        return;
      case "responseBody": {
        this.#step("response", Progress.Body);
        const { body, endOfStream } = streamedBodyOf(message);
        if (body.length > 0) this.#writeClient(body);
        if (endOfStream) this.#endClient([]);
        return;
      }
      case "responseTrailers":
        this.#step("response", Progress.Body);
        this.#endClient(mutated(pairUp(this.#upstreamResponse?.rawTrailers ?? []), message));
        return;
      case "immediateResponse":
        this.#onImmediate(message);
        return;
      default:
        throw new Error("reply without a case");
    }
  }

  /** Checks that a reply is due, and moves its direction on after headers. */
  #step(direction: "request" | "response", expected: number): void {
    const progress = direction === "request" ? this.#requestProgress : this.#responseProgress;
    if (progress !== expected) throw new Error(`${direction} reply out of order`);
    if (direction === "response" && this.#responseHeaders.length === 0) {
      throw new Error("response reply before the response");
    }
    if (expected !== Progress.Headers) return;
    if (direction === "request") {
      this.#requestProgress = this.#withBody ? Progress.Body : Progress.Done;
    } else {
      this.#responseProgress = Progress.Body;
    }
  }

  #onDecision(message: ProcessingResponse): void {
    const headers = mutated(this.#requestHeaders, message);
    const destination = firstValue(headers, DESTINATION)?.split(",")[0] ?? "";
    this.#openUpstream(headers, destination);
    if (!this.#withBody) this.#endUpstream([]);
  }

  #openUpstream(headers: HeaderPairs, destination: string): void {
    const upstream = openUpstream(this.#shared.agent, headers, destination, this.#withBody);
    if (upstream === null) {
      this.#localReply("no healthy upstream");
      return;
    }
    const picks = this.#shared.stats.picks;
    picks.set(destination, (picks.get(destination) ?? 0) + 1);
    this.#upstream = upstream;
    upstream.on("response", (response) => this.#onUpstreamResponse(response));
    upstream.on("drain", () => this.#request.resume());
    upstream.on("error", () => this.#onUpstreamError());
  }

  #endUpstream(trailers: HeaderPairs): void {
    if (this.#requestDead || this.#upstream === null) return;
    if (trailers.length > 0) this.#upstream.addTrailers(Object.fromEntries(trailers));
    this.#upstream.end();
  }

  #onUpstreamError(): void {
    if (this.#done || this.#upstreamResponse?.complete) return;
    this.#shared.stats.upstreamFailures++;
    if (this.#upstreamResponse !== null) {
      // The client has a part of the response: only a reset tells it that the rest is missing.
      this.#reset();
      return;
    }
    this.#localReply("upstream connect error or disconnect/reset before headers");
  }

  #onUpstreamResponse(response: IncomingMessage): void {
    if (this.#done) {
      response.destroy();
      return;
    }
    this.#upstreamResponse = response;
    this.#responseHeaders = responsePairs(response);
    const bodiless = isBodiless(this.#request.method, response);
    response.on("error", () => this.#onUpstreamError());
    if (this.#call === null) {
      this.#responseProgress = Progress.Body;
      this.#writeHead(this.#responseHeaders);
    } else {
      this.#toProcessor({
        responseHeaders: {
          headers: toHeaderMap(this.#responseHeaders),
          endOfStream: bodiless,
        },
      });
    }
    if (bodiless) {
      response.resume();
      return;
    }
    response.on("data", (chunk: Buffer) => {
      if (this.#call === null) this.#writeClient(chunk);
      else {
        for (const body of messagesOf(chunk)) {
          this.#toProcessor({ responseBody: { body, endOfStream: false } });
        }
      }
    });
    response.on("end", () => {
      const trailers = pairUp(response.rawTrailers);
      if (this.#call === null) this.#endClient(trailers);
      else if (trailers.length > 0) {
        this.#toProcessor({ responseTrailers: { trailers: toHeaderMap(trailers) } });
      } else this.#toProcessor({ responseBody: { body: EMPTY, endOfStream: true } });
    });
  }

  /** A 503 of the gateway's own; it goes through the response phase like any response (one chunk that ends it). */
  #localReply(text: string): void {
    this.#shared.stats.localReplies++;
    this.#requestDead = true;
    const body = Buffer.from(text);
    this.#responseHeaders = [
      [":status", "503"],
      ["content-type", "text/plain"],
      ["content-length", String(body.length)],
    ];
    if (this.#call === null) {
      this.#writeHead(this.#responseHeaders);
      this.#writeClient(body);
      this.#endClient([]);
      return;
    }
    this.#toProcessor({
      responseHeaders: { headers: toHeaderMap(this.#responseHeaders), endOfStream: false },
    });
    this.#toProcessor({ responseBody: { body, endOfStream: true } });
  }

  #onImmediate(message: ProcessingResponse): void {
    this.#shared.stats.immediateReplies++;
    if (this.#response.headersSent) {
      this.#reset();
      return;
    }
    const immediate = message.immediateResponse;
    // A status below 200, unset included, is a 200 to Envoy.
    const code = Math.max(200, immediate?.status?.code ?? 0);
    this.#requestDead = true;
    this.#responseHeaders = [[":status", String(code)]];
    const headers = mutated(this.#responseHeaders, message);
    if (!setHeadersOf(headerMutationOf(message)).some(({ name }) => name === "content-type")) {
      headers.push(["content-type", "text/plain"]);
    }
    const body = immediate?.body ?? EMPTY;
    this.#response.writeHead(code, [
      ...wireHeaders(headers),
      "content-length",
      String(body.length),
    ]);
    this.#response.end(body);
    this.#shared.stats.completed++;
    this.#finish();
  }

  #writeHead(headers: HeaderPairs): void {
    const status = Number(firstValue(headers, ":status"));
    const flat = wireHeaders(headers);
    const source = this.#upstreamResponse;
    const bodiless = source !== null && isBodiless(this.#request.method, source);
    const length = firstValue(headers, "content-length");
    if (bodiless && length !== undefined) flat.push("content-length", length);
    this.#response.sendDate = false;
    this.#response.writeHead(status, flat);
    if (bodiless) this.#endClient([]);
    else this.#response.flushHeaders();
  }

  #writeClient(chunk: Uint8Array): void {
    if (this.#response.write(chunk)) return;
    if (this.#call !== null) this.#call.pause();
    else {
      const source = this.#upstreamResponse;
      source?.pause();
      this.#response.once("drain", () => source?.resume());
    }
  }

  #endClient(trailers: HeaderPairs): void {
    this.#responseProgress = Progress.Done;
    if (trailers.length > 0) this.#response.addTrailers(Object.fromEntries(trailers));
    this.#response.end();
    this.#shared.stats.completed++;
    this.#finish();
  }

  /** The processor failed: 500 with an empty body while the client has nothing, a reset afterwards. */
  #fail(): void {
    if (this.#response.headersSent) {
      this.#reset();
      return;
    }
    this.#shared.stats.localReplies++;
    this.#response.writeHead(500, ["content-length", "0"]);
    this.#response.end();
    this.#finish();
  }

  #reset(): void {
    this.#finish();
    this.#response.destroy();
  }

  /** Ends everything that still runs; the ext_proc stream by cancel, as Envoy ends each exchange. */
  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#requestDead = true;
    this.#shared.stats.active--;
    this.#call?.resume();
    this.#call?.cancel();
    if (this.#upstreamResponse?.complete !== true || this.#upstream?.writableFinished !== true) {
      this.#upstream?.destroy();
    }
    this.#request.resume();
  }
}

/** A chunk in pieces that fit a body message. */
function messagesOf(chunk: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < chunk.length; at += BODY_MESSAGE_BYTES_MAX) {
    pieces.push(chunk.subarray(at, at + BODY_MESSAGE_BYTES_MAX));
  }
  return pieces;
}
