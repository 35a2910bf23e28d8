/**
 * The response half of an exchange: every message is answered as it comes; what it tells about the flight is booked. The
 * body goes back as it came, unless the model's name in it is to be restored.
 *
 *   idle ──headers──▶ open ──end_of_stream or trailers──▶ done        a body or trailers may come without headers
 *
 * It needs no request half: without a flight there are only the answer's tokens to book.
 * @module
 */
import {
  HeaderId,
  headerNames,
  type ProcessingRequest,
  Side,
  type StructObject,
  writeHeadersReply,
  writeTrailersReply,
} from "../../proto/index.ts";
import type { EndCause, Flight } from "../../scheduler/index.ts";
import type { RequestLabels } from "../metrics/request-metrics.ts";
import type { UsageFormat } from "../request/parsers/parser.ts";
import { AnswerReader } from "../response/answer-reader.ts";
import { ModelRestorer } from "../response/model-restorer.ts";
import type { TokenTotals } from "../response/token-usage.ts";
import { answerChunk, answerRewritten, BodyMode } from "./body-mode.ts";
import type { IngressContext } from "./ingress-context.ts";
import { SERVED_HEADER, servedEndpointOf, servedVerdictOf } from "./served-endpoint.ts";

type Phase = "idle" | "open" | "done";

const NO_MUTATION = { set: [], remove: [] } as const;
/** Sent with the headers of an answer whose length will change. */
const LENGTH_REMOVED: readonly string[] = [headerNames[HeaderId.contentLength]!];

/** Types of bodies that are looked into; sounds and images tell nothing. No type may be any. */
const READABLE = /^$|json|^text\/|^application\/grpc/;

/** APIs whose answers name the model in JSON. */
const NAMES_MODEL: ReadonlySet<UsageFormat> = new Set(["openai", "anthropic"]);

export class ResponseHalf {
  /** BodyMode. */
  bodyMode: number = BodyMode.FullDuplexStreamed;
  readonly #context: IngressContext;
  #phase: Phase = "idle";
  #flight: Flight | null = null;
  #labels: RequestLabels | null = null;
  #format: UsageFormat;
  /** null = the body is not looked at. */
  #reader: AnswerReader | null = null;
  #isStream = false;
  #isFirstByteSeen = false;
  #hasGrpcError = false;
  #status = 0;
  #bytes = 0;
  #openedAtMs = 0;
  #firstByteAtMs = 0;
  #lastChunkAtMs = 0;
  /** Spent on chunks of a stream. */
  #spentMs = 0;

  constructor(context: IngressContext) {
    this.#context = context;
    this.#format = context.answerFormat;
  }

  /** Something of the answer has come. */
  get hasBegun(): boolean {
    return this.#phase !== "idle";
  }

  /**
   * Takes over the flight that the answer belongs to.
   *
   * @param format how the answer tells its usage
   */
  begin(flight: Flight, labels: RequestLabels, format: UsageFormat): void {
    this.#flight = flight;
    this.#labels = labels;
    this.#format = format;
    const { clock, metrics } = this.#context;
    metrics.picked(labels, flight, clock.nowMs());
  }

  onHeaders(message: ProcessingRequest): void {
    if (this.#phase !== "idle") return;
    this.#phase = "open";
    const { endOfStream, headers } = message;
    const { clock, reply } = this.#context;
    this.#openedAtMs = clock.nowMs();
    const status = headers.get(HeaderId.status) ?? headers.getByName("status");
    this.#status = status === undefined ? 0 : Number.parseInt(status, 10) || 0;
    if (message.metadataStart >= 0) this.#attribute(message);
    if (!endOfStream && this.bodyMode !== BodyMode.None) this.#openReader(message);
    const set = this.#headersToSet(message);
    const remove = this.#reader?.isRewriting ? LENGTH_REMOVED : NO_MUTATION.remove;
    const isUnchanged = set.length === 0 && remove.length === 0;
    const mutation = isUnchanged ? NO_MUTATION : { set, remove };
    writeHeadersReply(reply.writer, Side.Response, mutation, false, null);
    if (this.bodyMode === BodyMode.None) this.#onFirstByte(); // more of the answer is not shown
    if (endOfStream) this.#onEnd(headers.get(HeaderId.grpcStatus));
  }

  onBody(message: ProcessingRequest): void {
    if (this.#phase === "done") return;
    this.#phase = "open";
    const { body, endOfStream } = message;
    this.#bytes += body.byteLength;
    if (body.byteLength > 0) this.#onChunk();
    const { reply } = this.#context;
    const reader = this.#reader;
    if (reader?.isRewriting) {
      const isFullDuplex = this.bodyMode === BodyMode.FullDuplexStreamed;
      // The other modes have no reply that could bring what is held, should trailers follow.
      const pieces = reader.rewrite(body.list, endOfStream || !isFullDuplex);
      const metadata = endOfStream ? this.#report() : null;
      answerRewritten(reply, Side.Response, this.bodyMode, message, pieces, metadata);
    } else {
      if (reader !== null) this.#look(reader, body.list);
      const metadata = endOfStream ? this.#report() : null;
      answerChunk(reply, Side.Response, this.bodyMode, message, metadata);
    }
    if (this.#isStream && body.byteLength > 0) {
      this.#spentMs += this.#context.clock.nowMs() - this.#lastChunkAtMs;
    }
    if (endOfStream) this.#onEnd(undefined);
  }

  onTrailers({ headers }: ProcessingRequest): void {
    if (this.#phase === "done") return;
    const { reply } = this.#context;
    if (this.#reader?.isRewriting) {
      const held = this.#reader.rewrite([], true);
      const byteLength = held.reduce((sum, { length }) => sum + length, 0);
      if (byteLength > 0) reply.body(Side.Response, held, byteLength, false);
    }
    writeTrailersReply(reply.writer, Side.Response, this.#report());
    this.#onEnd(headers.get(HeaderId.grpcStatus));
  }

  // ── headers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Books the flight on the endpoint that has served it. */
  #attribute(message: ProcessingRequest): void {
    const flight = this.#flight;
    if (flight === null) return;
    const served = servedEndpointOf(message);
    if (served === null) return;
    const { metrics, port } = this.#context;
    if (port.served(flight, served)) metrics.answers.servedElsewhere();
  }

  /** Chooses what the body is read with, if anything is wanted of it. */
  #openReader({ headers }: ProcessingRequest): void {
    const { answers, metrics } = this.#context;
    const format = this.#format;
    const contentType = (headers.get(HeaderId.contentType) ?? "").toLowerCase();
    const isEventStream = contentType.includes("text/event-stream");
    const isGrpc = contentType.startsWith("application/grpc");
    this.#isStream = isEventStream || (isGrpc && this.#flight?.request.streaming === true);
    const restorer = this.#restorer();
    if (restorer === null && (!answers.readsUsage || format === "none")) return;
    const encoding = headers.get(HeaderId.contentEncoding) ?? "";
    if (encoding !== "" && encoding.toLowerCase() !== "identity") {
      metrics.answers.unread("encoding");
      return;
    }
    if (READABLE.test(contentType)) {
      this.#reader = new AnswerReader(format, isEventStream, restorer);
    }
  }

  #restorer(): ModelRestorer | null {
    const request = this.#flight?.request;
    if (request === undefined || !NAMES_MODEL.has(this.#format)) return null;
    return ModelRestorer.of(request.targetModel, request.model);
  }

  #headersToSet(message: ProcessingRequest): readonly string[] {
    const set = this.#flight?.responseHeaders ?? NO_MUTATION.set;
    if (!this.#context.answers.verifiesServed) return set;
    return [...set, SERVED_HEADER, servedVerdictOf(message)];
  }

  // ── body ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onChunk(): void {
    if (!this.#isFirstByteSeen) {
      this.#onFirstByte();
    } else if (this.#isStream) {
      const { clock, metrics } = this.#context;
      const nowMs = clock.nowMs();
      metrics.answers.gap(this.#rows, nowMs - this.#lastChunkAtMs);
      this.#lastChunkAtMs = nowMs;
    }
  }

  #onFirstByte(): void {
    if (this.#isFirstByteSeen) return;
    this.#isFirstByteSeen = true;
    const { clock, metrics, port } = this.#context;
    const nowMs = clock.nowMs();
    this.#firstByteAtMs = nowMs;
    this.#lastChunkAtMs = nowMs;
    const flight = this.#flight;
    if (flight === null) return;
    port.firstToken(flight);
    metrics.firstByte(this.#labels!, flight.request, nowMs);
  }

  /** What is read here is for the books: a fault of ours in it must not touch the answer. */
  #look(reader: AnswerReader, pieces: readonly Uint8Array[]): void {
    try {
      for (let i = 0; i < pieces.length; i++) reader.read(pieces[i]!);
    } catch (error) {
      this.#reader = null;
      this.#context.onFault(error);
    }
  }

  /** What the reporters have to say, for the last reply. */
  #report(): StructObject | null {
    const { reporters } = this.#context.answers;
    if (reporters.length === 0 || this.#reader === null) return null;
    const totals = this.#reader.totals();
    let metadata: Record<string, Record<string, number>> | null = null;
    for (const { namespace, name, evaluate } of reporters) {
      const value = evaluate(totals);
      if (value === null) continue;
      metadata ??= Object.create(null) as Record<string, Record<string, number>>;
      metadata[namespace] ??= Object.create(null) as Record<string, number>;
      metadata[namespace][name] = value;
    }
    return metadata;
  }

  // ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param grpcStatus of the trailers, or of headers that end the answer */
  #onEnd(grpcStatus: string | undefined): void {
    this.#phase = "done";
    this.#hasGrpcError = grpcStatus !== undefined && grpcStatus !== "0";
    const { clock, metrics } = this.#context;
    const openMs = this.#openedAtMs === 0 ? 0 : clock.nowMs() - this.#openedAtMs;
    metrics.answers.processed(this.#isStream ? this.#spentMs : openMs);
    this.complete(this.#hasGrpcError ? "error" : "natural");
  }

  /** The exchange is over without a word about its end. */
  abandon(cause: EndCause): void {
    // Who shows no more than the headers of an answer leaves when they have come (envoy: ext_proc.cc).
    const isAllSeen = this.#phase === "open" && this.bodyMode === BodyMode.None;
    this.complete(isAllSeen ? "natural" : cause);
  }

  /** Gives the flight back; the first call counts. */
  complete(cause: EndCause): void {
    const { clock, metrics, port } = this.#context;
    const nowMs = clock.nowMs();
    const reader = this.#reader;
    this.#reader = null;
    if (reader !== null) this.#bookTokens(reader, nowMs);
    const flight = this.#flight;
    if (flight === null) return;
    this.#flight = null;
    port.complete(flight, cause);
    const hasGrpcError = this.#hasGrpcError;
    metrics.completed(
      this.#labels!,
      flight.request,
      nowMs,
      this.#bytes,
      this.#status,
      hasGrpcError,
    );
  }

  #bookTokens(reader: AnswerReader, nowMs: number): void {
    const { answers } = this.#context.metrics;
    const totals = reader.totals();
    const rows = this.#rows;
    if (reader.isLost) answers.unread("frame");
    answers.tokens(rows, totals);
    const request = this.#flight?.request;
    const outputTokens = outputTokensOf(totals, reader.events);
    if (request === undefined || outputTokens === 0 || !this.#isFirstByteSeen) return;
    const { arrivedAtMs } = request;
    const times = { arrivedAtMs, firstByteAtMs: this.#firstByteAtMs, endedAtMs: nowMs };
    answers.pace(rows, times, outputTokens, this.#isStream);
  }

  get #rows() {
    return this.#labels?.answer ?? this.#context.metrics.answers.noRequest;
  }
}

/** Servers that do not tell send about one event a token. */
function outputTokensOf({ completionTokens }: TokenTotals, events: number): number {
  return completionTokens > 0 ? completionTokens : events;
}
