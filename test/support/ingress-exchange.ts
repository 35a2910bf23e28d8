/**
 * ext_proc exchanges without a socket: a stream that records what is written to it, messages encoded and decoded by
 * protobufjs, and behind the stream a real scheduler with a small pool.
 *
 *   IngressSetup ── open() ──▶ Exchange: send() / bytes() / halfClose() / cancel()  →  replies(), shape(), ended
 * @module
 */

import type { EndCause, Flight, InferenceRequest, Outcome } from "../../scheduler/index.ts";
import { ExtProcStream } from "../../src/ingress/ext-proc-stream.ts";
import {
  IngressContext,
  type IngressLimits,
  type IngressOptions,
} from "../../src/ingress/ingress-context.ts";
import { PluginHeaders } from "../../src/ingress/plugin-headers.ts";
import { InProcessSchedulerPort, type SchedulerPort } from "../../src/ingress/scheduler-port.ts";
import type { GrpcStream } from "../../src/ingress/transport.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { RequestMetrics } from "../../src/metrics/request-metrics.ts";
import { openaiParser } from "../../src/request/parsers/openai.ts";
import { passthroughParser } from "../../src/request/parsers/passthrough.ts";
import { ParserTable } from "../../src/request/parsers/registry.ts";
import {
  type FilterMetadata,
  fromStruct,
  type HeaderPairs,
  headerMutationOf,
  type Plain,
  type ProcessingRequest,
  type ProcessingResponse,
  removedHeadersOf,
  setHeadersOf,
  toHeaderMap,
  toMetadataContext,
} from "./ext-proc-messages.ts";
import {
  endpointMetadata,
  type SchedulerSetup,
  type SchedulingDocument,
  schedulerOf,
} from "./scheduler-setup.ts";
import {
  decodeOracle,
  encodeOracle,
  processingRequest,
  processingResponse,
  splitFrames,
} from "./wire-oracle.ts";

/** Values of BodySendMode. */
export const Mode = {
  none: 0,
  streamed: 1,
  buffered: 2,
  bufferedPartial: 3,
  fullDuplex: 4,
  grpc: 5,
} as const;

const MIB = 1024 * 1024;
const LIMITS: IngressLimits = {
  messageBytesMax: 64 * MIB,
  requestBodyBytesMax: 32 * MIB,
  bodyBytesInFlightMax: 256 * MIB,
};

/** One for all: each has hooks into the process that last as long as it does. */
const metrics = new Metrics();

/** How a stream was ended by its owner. */
export interface Failure {
  readonly status: number;
  readonly message: string;
}

/** A GrpcStream that keeps what is written, and counts what comes after its end. */
class RecordingStream implements GrpcStream {
  readonly encoding: string;
  readonly segments: Buffer[] = [];
  ended: "open" | "ok" | Failure = "open";
  /** Calls after end, fail or the peer's end, which a real stream would not notice. */
  lateCalls = 0;
  isClosed = false;

  constructor(encoding: string) {
    this.encoding = encoding;
  }

  write(segments: readonly Uint8Array[], byteLength: number): void {
    if (this.#isLate()) return;
    const length = segments.reduce((sum, segment) => sum + segment.length, 0);
    if (length !== byteLength) throw new Error(`${length} bytes written as ${byteLength}`);
    // Copied: what is sent must not change when the owner reuses its memory, and this shows when it does.
    for (const segment of segments) this.segments.push(Buffer.from(segment));
  }

  end(): void {
    if (!this.#isLate()) this.ended = "ok";
  }

  fail(status: number, message: string): void {
    if (!this.#isLate()) this.ended = { status, message };
  }

  #isLate(): boolean {
    const isLate = this.isClosed || this.ended !== "open";
    if (isLate) this.lateCalls++;
    return isLate;
  }
}

/** A gRPC frame around a message. */
export function frameOf(message: Uint8Array, compressed = false): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The frame of a message, as a gateway sends it. */
export function requestFrame(message: ProcessingRequest): Buffer {
  return frameOf(encodeOracle(processingRequest, message));
}

/** `metadata_context` with a subset hint. */
export function subsetOf(hint: Plain): FilterMetadata {
  return { "envoy.lb.subset_hint": { "x-gateway-destination-endpoint-subset": hint } };
}

/** Request headers of a POST, those given behind the pseudo headers. */
export function post(path: string, headers: HeaderPairs = []): HeaderPairs {
  return [
    [":method", "POST"],
    [":path", path],
    [":authority", "gateway"],
    [":scheme", "http"],
    ["content-type", "application/json"],
    ["x-request-id", "r1"],
    ...headers,
  ];
}

export const CHAT = "/v1/chat/completions";

/** A chat request of about `chars` characters. */
export function chatBody(chars = 20, model = "m1"): Buffer {
  return Buffer.from(
    JSON.stringify({ model, messages: [{ role: "user", content: "x".repeat(chars) }] }),
  );
}

/** One exchange, as the gateway plays it. */
export class Exchange {
  readonly stream: RecordingStream;
  readonly #handler: ExtProcStream;
  #decodedBytes = 0;
  readonly #decoded: ProcessingResponse[] = [];

  constructor(context: IngressContext, encoding: string) {
    this.stream = new RecordingStream(encoding);
    this.#handler = new ExtProcStream(this.stream, context);
  }

  /** Bytes off the wire, as they are. */
  bytes(chunk: Uint8Array): this {
    this.#handler.data(chunk);
    return this;
  }

  send(message: ProcessingRequest, metadata?: FilterMetadata): this {
    const metadataContext =
      metadata === undefined ? {} : { metadataContext: toMetadataContext(metadata) };
    return this.bytes(requestFrame({ ...message, ...metadataContext }));
  }

  requestHeaders(headers: HeaderPairs, endOfStream = false, metadata?: FilterMetadata): this {
    return this.send({ requestHeaders: { headers: toHeaderMap(headers), endOfStream } }, metadata);
  }

  /** Request headers that tell the body modes, as the first message does. */
  begin(headers: HeaderPairs, requestMode: number, responseMode = requestMode, end = false): this {
    return this.send({
      requestHeaders: { headers: toHeaderMap(headers), endOfStream: end },
      protocolConfig: { requestBodyMode: requestMode, responseBodyMode: responseMode },
    });
  }

  requestBody(body: Uint8Array | string, endOfStream = false, metadata?: FilterMetadata): this {
    return this.send({ requestBody: { body: Buffer.from(body), endOfStream } }, metadata);
  }

  requestTrailers(): this {
    return this.send({ requestTrailers: { trailers: toHeaderMap([["x-t", "1"]]) } });
  }

  responseHeaders(headers: HeaderPairs = [[":status", "200"]], endOfStream = false): this {
    return this.send({ responseHeaders: { headers: toHeaderMap(headers), endOfStream } });
  }

  responseBody(body: Uint8Array | string, endOfStream = false): this {
    return this.send({ responseBody: { body: Buffer.from(body), endOfStream } });
  }

  responseTrailers(headers: HeaderPairs = [["grpc-status", "0"]]): this {
    return this.send({ responseTrailers: { trailers: toHeaderMap(headers) } });
  }

  halfClose(): this {
    this.#handler.halfClose();
    return this;
  }

  /** The exchange is over for the transport: the peer's reset, or the end after our own. */
  cancel(): this {
    this.stream.isClosed = true;
    this.#handler.closed();
    return this;
  }

  get ended(): RecordingStream["ended"] {
    return this.stream.ended;
  }

  /** Everything that was written, decoded. */
  replies(): readonly ProcessingResponse[] {
    const all = Buffer.concat(this.stream.segments);
    for (const message of splitFrames(all.subarray(this.#decodedBytes))) {
      this.#decoded.push(decodeOracle(processingResponse, message) as ProcessingResponse);
    }
    this.#decodedBytes = all.length;
    return this.#decoded;
  }

  /** Kinds of the replies in order; body replies with their length, `+` for more to come and `.` for the end. */
  shape(): string[] {
    return this.replies().map((reply) => {
      const kind = reply.response ?? "none";
      if (kind !== "requestBody" && kind !== "responseBody") return kind;
      const streamed = reply[kind]?.response?.bodyMutation?.streamedResponse;
      if (streamed === undefined) return kind;
      return `${kind} ${streamed.body?.length ?? 0}${streamed.endOfStream ? "." : "+"}`;
    });
  }

  /** Bytes of all streamed replies of one half. */
  body(kind: "requestBody" | "responseBody"): Buffer {
    return Buffer.concat(
      this.replies().map(
        (reply) => reply[kind]?.response?.bodyMutation?.streamedResponse?.body ?? Buffer.alloc(0),
      ),
    );
  }

  /** The reply that names the destination: its header and metadata, which must agree, and what else changes. */
  pick(): Pick {
    const reply = this.replies().find(
      (each) => each.dynamicMetadata !== undefined && each.response !== "immediateResponse",
    );
    if (reply === undefined) throw new Error(`no destination in ${this.shape().join(", ")}`);
    const mutation = headerMutationOf(reply);
    const set = Object.fromEntries(setHeadersOf(mutation).map(({ name, value }) => [name, value]));
    const metadata = fromStruct(reply.dynamicMetadata);
    const lb = metadata["envoy.lb"] as { [key: string]: Plain };
    const destination = set["x-gateway-destination-endpoint"]!;
    if (lb["x-gateway-destination-endpoint"] !== destination) {
      throw new Error(`header says ${destination}, metadata ${JSON.stringify(lb)}`);
    }
    return { kind: reply.response!, destination, set, remove: removedHeadersOf(mutation), lb };
  }

  /** The immediate response, which must be the last reply. */
  rejection(): Rejection {
    const reply = this.replies().at(-1)?.immediateResponse;
    if (reply === undefined) throw new Error(`no rejection in ${this.shape().join(", ")}`);
    return {
      http: reply.status?.code ?? 0,
      text: reply.body?.toString() ?? "",
      grpc: reply.grpcStatus === undefined ? null : (reply.grpcStatus.status ?? 0),
      dropped: setHeadersOf(reply.headers).map(({ name, value }) => `${name}: ${value}`),
      details: reply.details ?? "",
    };
  }
}

export interface Pick {
  /** Reply that carries it. */
  readonly kind: string;
  readonly destination: string;
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
  /** Metadata of the namespace envoy.lb. */
  readonly lb: { readonly [key: string]: Plain };
}

export interface Rejection {
  readonly http: number;
  readonly text: string;
  /** null = not told. */
  readonly grpc: number | null;
  readonly dropped: readonly string[];
  readonly details: string;
}

export interface IngressSetupOptions {
  readonly endpoints?: number;
  readonly document?: SchedulingDocument;
  readonly limits?: Partial<IngressLimits>;
  /** Without passthrough, paths that nobody claims are refused. */
  readonly hasPassthrough?: boolean;
  readonly ingress?: Partial<IngressOptions>;
  /** Stands between the stream and the scheduler's port. */
  readonly wrapPort?: (port: SchedulerPort) => SchedulerPort;
}

export interface IngressSetup extends SchedulerSetup {
  readonly context: IngressContext;
  /** Faults that were told. */
  readonly faults: unknown[];
  open(encoding?: string): Exchange;
  /** What must be 0 when every exchange is over. */
  held(): { openStreams: number; openFlights: number; bodyBytes: number; running: number };
  /** Errors counted under this class since the setup was made. */
  errorsOf(code: string): number;
}

const { requestErrorTotal, requestRunning } = metrics.families;

function total(family: typeof requestRunning, suffix: string): number {
  const text = family.blocks()[0]!.text;
  return text
    .split("\n")
    .filter((line) => line.startsWith(family.definition.name) && line.includes(suffix))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** An ingress of one thread over `endpoints` endpoints, 10.0.0.0:8000 and up. */
export function ingressSetup(options: IngressSetupOptions = {}): IngressSetup {
  const setup = schedulerOf(options.document);
  const { pool, clock, scheduler } = setup;
  for (let i = 0; i < (options.endpoints ?? 2); i++) pool.upsert(endpointMetadata(i));
  const faults: unknown[] = [];
  const onFault = (error: unknown) => {
    faults.push(error);
  };
  const own = new InProcessSchedulerPort({ scheduler, pool, refresh: () => {}, onFault });
  const parsers =
    options.hasPassthrough === false ? [openaiParser] : [openaiParser, passthroughParser];
  const context = new IngressContext({
    port: options.wrapPort?.(own) ?? own,
    parsers: new ParserTable(parsers),
    metrics: new RequestMetrics(metrics),
    clock,
    limits: { ...LIMITS, ...options.limits },
    disableSubsetFilter: false,
    emitScores: false,
    pluginHeaders: new PluginHeaders(scheduler.headersRead, scheduler.fairnessHeaders),
    onFault,
    ...options.ingress,
  });
  const errorsBefore = new Map<string, number>();
  const runningBefore = total(requestRunning, "");
  const countOf = (code: string) => total(requestErrorTotal, `error_code="${code}"`);
  for (const code of ["BadRequest", "Internal", "ServiceUnavailable", "ModelServerError"]) {
    errorsBefore.set(code, countOf(code));
  }
  return {
    ...setup,
    context,
    faults,
    open: (encoding = "identity") => new Exchange(context, encoding),
    held: () => ({
      openStreams: context.openStreams,
      openFlights: scheduler.openFlights,
      bodyBytes: context.bodyBudget.bytes,
      running: total(requestRunning, "") - runningBefore,
    }),
    errorsOf: (code) => countOf(code) - (errorsBefore.get(code) ?? 0),
  };
}

/** A port that notes how flights end, and keeps outcomes back when it is told to. */
class WatchedPort implements SchedulerPort {
  readonly #port: SchedulerPort;
  readonly #isHolding: boolean;
  readonly #onFlight: (flight: Flight) => void;
  readonly #waiting: (() => void)[] = [];
  /** `first` for first bytes, and the causes of ends. */
  readonly calls: string[] = [];
  /** What was submitted. */
  readonly requests: InferenceRequest[] = [];
  /** Outcomes that were flights. */
  picks = 0;

  constructor(port: SchedulerPort, { isHolding, onFlight }: WatchedSetupOptions) {
    this.#port = port;
    this.#isHolding = isHolding ?? false;
    this.#onFlight = onFlight ?? (() => {});
  }

  get hashPlans() {
    return this.#port.hashPlans;
  }

  submit(...[request, subset, sink]: Parameters<SchedulerPort["submit"]>): void {
    this.requests.push(request);
    const onOutcome = (outcome: Outcome) => {
      if (outcome.kind === "picked") {
        this.picks++;
        this.#onFlight(outcome);
      }
      sink.onOutcome(outcome);
    };
    const pick = () => this.#port.submit(request, subset, { onOutcome });
    if (this.#isHolding) this.#waiting.push(pick);
    else pick();
  }

  /** Gives all outcomes that were kept back. */
  settle(): void {
    for (const pick of this.#waiting.splice(0)) pick();
  }

  firstToken(flight: Flight): void {
    this.calls.push("first");
    this.#port.firstToken(flight);
  }

  served(flight: Flight, hostPort: string): boolean {
    return this.#port.served(flight, hostPort);
  }

  complete(flight: Flight, cause: EndCause): void {
    this.calls.push(cause);
    this.#port.complete(flight, cause);
  }

  lastScores(): Record<string, number> {
    return this.#port.lastScores();
  }
}

export interface WatchedSetupOptions extends IngressSetupOptions {
  /** Outcomes come with `port.settle()`, not at once. */
  readonly isHolding?: boolean;
  /** Called with each flight before it is handed on, as plugins are. */
  readonly onFlight?: (flight: Flight) => void;
  /** Stands between what is watched and the scheduler's port. */
  readonly wrapOwn?: (port: SchedulerPort) => SchedulerPort;
}

/** An ingress whose calls to the scheduler are watched. */
export function watchedSetup(
  options: WatchedSetupOptions = {},
): IngressSetup & { port: WatchedPort } {
  let port: WatchedPort | undefined;
  const setup = ingressSetup({
    ...options,
    wrapPort: (own) => {
      port = new WatchedPort(options.wrapOwn?.(own) ?? own, options);
      return port;
    },
  });
  return { ...setup, port: port! };
}

/** What is held when nothing is open. */
export const NOTHING_HELD = { openStreams: 0, openFlights: 0, bodyBytes: 0, running: 0 } as const;
