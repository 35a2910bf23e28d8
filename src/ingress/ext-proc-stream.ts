/**
 * One ext_proc exchange: what the gateway sends, when the pick is made, what goes back.
 *
 *   request half     idle ──headers──▶ gathering ──enough of the body──▶ submitted ──outcome──▶ passing
 *                     └──headers that suffice for the pick──────────────────▲
 *                    meanwhile #requestEnd: open ──end_of_stream or trailers──▶ headers | body | trailers
 *   response half    in response-half.ts
 *   either half      ──immediate response, failure, closed──▶ finished: nothing is written any more
 *
 * The halves do not wait for each other, since a gateway may run the response phase alone. Replies of one half leave in
 * the order headers, body, trailers, and none follows the end of its half. What `finish` gives back it gives back once,
 * whatever ends the exchange.
 *
 * Body modes (protocol_config of the first message; absent = full duplex):
 *   FULL_DUPLEX_STREAMED  header reply waits for the pick, body goes back as streamed replies
 *   BUFFERED(_PARTIAL)    headers are answered at once, the pick's headers go with the body reply
 *   STREAMED, NONE        the pick is made on headers alone
 * @module
 */
import { gunzipSync } from "node:zlib";
import {
  decodeFrame,
  decodeProcessingRequest,
  findBodyRun,
  GrpcFrameReader,
  HeaderId,
  headerNames,
  MetadataKey,
  MetadataNamespace,
  type ProcessingRequest,
  RequestKind,
  Side,
  type StructObject,
  WireStatus,
  writeBufferedBodyReply,
  writeDestinationReply,
  writeHeadersReply,
  writeImmediateReply,
  writeTrailersReply,
} from "../../proto/index.ts";
import {
  type EndCause,
  type Flight,
  InferenceRequest,
  type Outcome,
} from "../../scheduler/index.ts";
import {
  DROPPED_REASON_HEADER,
  type ErrorCode,
  type ErrorRow,
  errors,
  errorText,
  rejectionErrors,
} from "../errors.ts";
import type { RequestLabels } from "../metrics/request-metrics.ts";
import { rewriteModel } from "../request/model-rewrite.ts";
import type { ParsedBody, Parser, UsageFormat } from "../request/parsers/parser.ts";
import { runSteps, type Steps } from "../request/steps.ts";
import { bodyLength } from "../request/work-area.ts";
import { BodyBuffer } from "./body-buffer.ts";
import type { BodyDecoderOwner, Decoded } from "./body-decoder.ts";
import {
  answerChunk,
  BodyMode,
  isBufferedMode,
  isSupportedMode,
  writeUnchangedReply,
} from "./body-mode.ts";
import type { IngressContext } from "./ingress-context.ts";
import type { LongWorkOwner } from "./long-work.ts";
import { type Refusal, requestFacts } from "./request-facts.ts";
import { RequestHeaders } from "./request-headers.ts";
import { ResponseHalf } from "./response-half.ts";
import type { OutcomeSink } from "./scheduler-port.ts";
import { subsetHintOf } from "./subset-hint.ts";
import { GrpcStatus, type GrpcStream, type GrpcStreamHandler } from "./transport.ts";

type RequestPhase = "idle" | "gathering" | "submitted" | "passing";
/** What has ended the request, as far as it has come. */
type RequestEnd = "open" | "headers" | "body" | "trailers";

const NO_MUTATION = { set: [], remove: [] } as const;
/** A body that no parser reads is passed on once this much has come, so that uploads are not held back. */
const UNPARSED_HOLD_BYTES_MAX = 256 * 1024;

/** Facts of a larger body are taken over several turns of the event loop; at this size they take about a millisecond. */
const LONG_BODY_BYTES_MIN = 1024 * 1024;

export class ExtProcStream
  implements GrpcStreamHandler, OutcomeSink, LongWorkOwner, BodyDecoderOwner
{
  readonly #stream: GrpcStream;
  readonly #context: IngressContext;
  readonly #frames: GrpcFrameReader;
  readonly #body: BodyBuffer;
  readonly #response: ResponseHalf;
  #isFinished = false;
  #isFirstMessage = true;
  #requestBodyMode: number = BodyMode.FullDuplexStreamed;
  #requestPhase: RequestPhase = "idle";
  #requestEnd: RequestEnd = "open";
  #startedAtMs = 0;
  // Held until the pick is answered, and let go then: an exchange may last for hours.
  #headers: RequestHeaders | null = null;
  #subset: readonly string[] | null = null;
  #parser: Parser | null = null;
  /** The body with another model in it; null = it goes on as it came. */
  #rewritten: readonly Uint8Array[] | null = null;
  /** Header reply that leaves before the pick is made. */
  #areHeadersAnswered = false;
  #isSubmitting = false;
  /** Replies due for chunks that came while the outcome was waited for. */
  #chunksToAnswer = 0;
  #labels: RequestLabels | null = null;

  constructor(stream: GrpcStream, context: IngressContext) {
    this.#stream = stream;
    this.#context = context;
    this.#frames = new GrpcFrameReader(context.limits.messageBytesMax, findBodyRun);
    this.#body = new BodyBuffer(context.bodyBudget, context.limits.requestBodyBytesMax);
    this.#response = new ResponseHalf(context);
    context.openStreams++;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  data(chunk: Uint8Array): void {
    if (this.#isFinished) return;
    try {
      this.#read(chunk);
    } catch (error) {
      this.#onFault(error);
    }
    this.#context.reply.flush(this.#stream);
  }

  halfClose(): void {
    if (this.#isFinished) return;
    this.#finish("error");
    this.#stream.end();
  }

  /** A request that waits is refused; an answer on its way goes on without us, as far as the gateway can. */
  expire(): void {
    if (this.#isFinished) return;
    if (this.#isPicked) this.halfClose();
    else this.#reject("EPP_SHUTTING_DOWN");
  }

  closed(): void {
    this.#context.openStreams--;
    this.#finish("client-disconnect");
  }

  onOutcome(outcome: Outcome): void {
    if (this.#isFinished) {
      // The client left while the request waited: what was reserved goes straight back.
      if (outcome.kind === "picked") this.#context.port.complete(outcome, "client-disconnect");
      return;
    }
    if (this.#isSubmitting) {
      this.#onOutcome(outcome);
      return;
    }
    try {
      this.#onOutcome(outcome);
    } catch (error) {
      this.#onFault(error);
    }
    this.#context.reply.flush(this.#stream);
  }

  // ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────

  #read(chunk: Uint8Array): void {
    const frames = this.#frames;
    const { message } = this.#context;
    this.#body.expect(0); // what was pending is in the frames that are taken out now
    frames.push(chunk);
    while (frames.next()) {
      const status = frames.compressed ? this.#decodeCompressed() : decodeFrame(frames, message);
      if (status !== null) this.#onMessage(status, message);
      if (this.#isFinished) return;
    }
    if (frames.error !== null) {
      this.#fail(
        GrpcStatus.ResourceExhausted,
        `message is larger than ${this.#context.limits.messageBytesMax} bytes`,
      );
    } else if (!this.#isPicked && !this.#body.expect(frames.pendingBytes)) {
      this.#reject("EPP_INGRESS_BODY_BUDGET");
    }
  }

  #onMessage(status: WireStatus, message: ProcessingRequest): void {
    if (status !== WireStatus.Ok) {
      this.#onUnreadable(status);
      return;
    }
    if (message.observabilityMode) return; // the gateway ignores replies to a stream that only observes
    if (this.#isFirstMessage) {
      this.#isFirstMessage = false;
      if (!this.#takeModes(message)) return;
    }
    switch (message.kind) {
      case RequestKind.RequestHeaders:
        this.#onRequestHeaders(message);
        break;
      case RequestKind.RequestBody:
        this.#onRequestBody(message);
        break;
      case RequestKind.RequestTrailers:
        this.#onRequestTrailers(message);
        break;
      case RequestKind.ResponseHeaders:
        this.#response.onHeaders(message);
        break;
      case RequestKind.ResponseBody:
        this.#response.onBody(message);
        break;
      case RequestKind.ResponseTrailers:
        this.#response.onTrailers(message);
        break;
      default:
        break; // nothing of ours in it (flow-control messages of newer gateways)
    }
  }

  #onUnreadable(status: WireStatus): void {
    if (status !== WireStatus.TooManyHeaders) {
      this.#fail(GrpcStatus.InvalidArgument, "malformed ProcessingRequest");
    } else if (this.#isPicked) {
      // Most likely those of the answer: telling the client that its request is to blame would be wrong.
      this.#fail(GrpcStatus.ResourceExhausted, "message has more headers than the limit");
    } else {
      this.#reject("EPP_REQUEST_HEADERS_TOO_LARGE");
    }
  }

  #takeModes(message: ProcessingRequest): boolean {
    if (!message.hasProtocolConfig) return true;
    this.#requestBodyMode = message.requestBodyMode;
    this.#response.bodyMode = message.responseBodyMode;
    if (isSupportedMode(message.requestBodyMode) && isSupportedMode(message.responseBodyMode)) {
      return true;
    }
    this.#fail(
      GrpcStatus.FailedPrecondition,
      "body mode is not supported: use FULL_DUPLEX_STREAMED, BUFFERED, STREAMED or NONE",
    );
    return false;
  }

  // ── request half ────────────────────────────────────────────────────────────────────────────────────────────────

  #onRequestHeaders(message: ProcessingRequest): void {
    if (this.#requestPhase !== "idle") return;
    this.#startedAtMs = this.#context.clock.nowMs();
    const headers = new RequestHeaders(message.headers, this.#context.pluginHeaders);
    this.#headers = headers;
    this.#takeSubset(message);
    if (message.endOfStream) this.#requestEnd = "headers";
    const isBuffered = isBufferedMode(this.#requestBodyMode);
    const hasBody = isBuffered || this.#requestBodyMode === BodyMode.FullDuplexStreamed;
    if (message.endOfStream || headers.isUpgrade || !hasBody) {
      this.#submit(null);
      return;
    }
    this.#parser = this.#context.parsers.resolve(headers.path);
    if (this.#parser === null) {
      this.#reject("EPP_REQUEST_NO_PARSER", headers.path);
      return;
    }
    this.#requestPhase = "gathering";
    if (!isBuffered) return;
    this.#areHeadersAnswered = true;
    writeHeadersReply(this.#context.reply.writer, Side.Request, NO_MUTATION, false, null);
  }

  #onRequestBody(message: ProcessingRequest): void {
    if (this.#requestEnd !== "open") return;
    if (message.endOfStream) this.#requestEnd = "body";
    switch (this.#requestPhase) {
      case "idle":
        this.#onHeadersMissing();
        return;
      case "gathering":
        this.#takeSubset(message);
        this.#gather(message);
        return;
      case "submitted":
        if (this.#requestBodyMode !== BodyMode.FullDuplexStreamed) this.#chunksToAnswer++;
        else this.#keep(message);
        return;
      case "passing":
        answerChunk(this.#context.reply, Side.Request, this.#requestBodyMode, message);
        return;
    }
  }

  #onRequestTrailers(message: ProcessingRequest): void {
    if (this.#requestEnd !== "open") return;
    this.#requestEnd = "trailers";
    switch (this.#requestPhase) {
      case "idle":
        this.#onHeadersMissing();
        return;
      case "gathering":
        this.#takeSubset(message);
        if (!this.#areHeadersAnswered) this.#submit(this.#parser);
        // Its body reply is where the destination would have gone.
        else this.#reject("EPP_REQUEST_BODY_INVALID", "request has trailers but no body");
        return;
      case "submitted":
        return; // answered behind the body
      case "passing":
        writeTrailersReply(this.#context.reply.writer, Side.Request);
        return;
    }
  }

  #onHeadersMissing(): void {
    this.#fail(
      GrpcStatus.FailedPrecondition,
      "request headers were not sent: set request_header_mode to SEND",
    );
  }

  #gather(message: ProcessingRequest): void {
    if (!this.#keep(message)) return;
    const isEnough =
      this.#areHeadersAnswered ||
      this.#requestEnd !== "open" ||
      (!this.#parser!.needsBody && this.#body.byteLength > UNPARSED_HOLD_BYTES_MAX);
    if (isEnough) this.#submit(this.#parser);
  }

  /** @returns false when a bound was met, and the request is refused */
  #keep(message: ProcessingRequest): boolean {
    switch (this.#body.append(message.body)) {
      case "ok":
        return true;
      case "too-large":
        this.#reject(
          "EPP_REQUEST_BODY_TOO_LARGE",
          `${this.#context.limits.requestBodyBytesMax} bytes`,
        );
        return false;
      case "budget":
        this.#reject("EPP_INGRESS_BODY_BUDGET");
        return false;
    }
  }

  #takeSubset(message: ProcessingRequest): void {
    if (this.#context.disableSubsetFilter) return;
    const hint = subsetHintOf(message);
    if (hint !== null) this.#subset = hint;
  }

  // ── pick ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** An immediate response is out of place from here on: the request goes on. */
  get #isPicked(): boolean {
    return this.#requestPhase === "passing" || this.#response.hasBegun;
  }

  /** @param parser null = the pick is made on headers alone */
  #submit(parser: Parser | null): void {
    this.#requestPhase = "submitted";
    const { contentEncoding } = this.#headers!;
    if (!parser?.needsBody || contentEncoding === "") {
      this.#takeFacts(parser);
      return;
    }
    const { bodyDecoder, limits } = this.#context;
    const { requestBodyBytesMax } = limits;
    const decoded = bodyDecoder.decode(
      contentEncoding,
      this.#body.pieces,
      requestBodyBytesMax,
      this,
    );
    if (decoded !== null) this.#takeDecoded(decoded);
  }

  /** The body was large, so that it was decoded while others went on. */
  onDecoded(decoded: Decoded): void {
    if (this.#isFinished) return;
    try {
      this.#takeDecoded(decoded);
    } catch (error) {
      this.#onFault(error);
    }
    this.#context.reply.flush(this.#stream);
  }

  #takeDecoded(decoded: Decoded): void {
    if (!(decoded instanceof Uint8Array)) {
      if (this.#isCut) this.#takeFacts(null);
      else this.#reject(decoded.code, decoded.detail);
    } else if (this.#body.keepDecoded(decoded)) {
      this.#takeFacts(this.#parser);
    } else {
      this.#reject("EPP_INGRESS_BODY_BUDGET");
    }
  }

  #takeFacts(parser: Parser | null): void {
    const { longWork, parsed } = this.#context;
    if (parser?.needsBody && this.#body.readableLength > LONG_BODY_BYTES_MIN) longWork.add(this);
    else this.#submitFacts(runSteps(this.#requestFacts(parser, parsed)), parsed);
  }

  /** A gateway that sends what it could hold of a body cuts it anywhere. */
  get #isCut(): boolean {
    return this.#requestBodyMode === BodyMode.BufferedPartial && this.#requestEnd === "open";
  }

  /** Takes the facts of a body so large that others would wait too long for them. */
  *beginWork(): Steps<void> {
    const { parsedLong } = this.#context;
    const request = yield* this.#requestFacts(this.#parser, parsedLong);
    yield;
    this.#submitFacts(request, parsedLong);
    this.#context.reply.flush(this.#stream);
  }

  onWorkFault(error: unknown): void {
    this.#onFault(error);
    this.#context.reply.flush(this.#stream);
  }

  #submitFacts(request: InferenceRequest | Refusal, parsed: ParsedBody): void {
    const { metrics, port } = this.#context;
    if (!(request instanceof InferenceRequest)) {
      this.#reject(request.code, request.detail);
      return;
    }
    const { model, targetModel } = request;
    if (targetModel !== model && parsed.modelForm !== "none") {
      const { modelStart, modelEnd, modelForm } = parsed;
      const { isDecoded, readable } = this.#body;
      const chunks = readable instanceof Uint8Array ? [readable] : readable;
      this.#rewritten = rewriteModel(chunks, modelStart, modelEnd, targetModel, modelForm);
      if (isDecoded) this.#headers!.removeContentEncoding();
    }
    this.#labels = metrics.labels(request);
    const subset = this.#subset;
    this.#subset = null;
    this.#isSubmitting = true;
    port.submit(request, subset, this);
    this.#isSubmitting = false;
  }

  *#requestFacts(parser: Parser | null, parsed: ParsedBody): Steps<InferenceRequest | Refusal> {
    let facts: InferenceRequest | Refusal;
    try {
      facts = yield* this.#factsBy(parser, parsed);
    } catch (error) {
      // A gateway that has sent body bytes can not fail open: the request goes on without facts.
      this.#context.onFault(error);
      return yield* this.#factsBy(null, parsed);
    }
    return this.#isCut && !(facts instanceof InferenceRequest)
      ? yield* this.#factsBy(null, parsed)
      : facts;
  }

  #factsBy(parser: Parser | null, parsed: ParsedBody): Steps<InferenceRequest | Refusal> {
    const headers = this.#headers!;
    return requestFacts(this.#context, parsed, headers, parser, this.#body, this.#startedAtMs);
  }

  #onOutcome(outcome: Outcome): void {
    if (outcome.kind === "rejected") {
      this.#reject(rejectionErrors[outcome.reason], outcome.detail);
      return;
    }
    this.#response.begin(outcome, this.#labels!, this.#usageFormat());
    this.#replyToRequest(outcome);
  }

  /** How the answer tells its usage: as the parser says that would have read the request. */
  #usageFormat(): UsageFormat {
    const headers = this.#headers!;
    if (headers.isUpgrade) return "none";
    const parser = this.#parser ?? this.#context.parsers.resolve(headers.path);
    return parser?.usage ?? "none";
  }

  #replyToRequest({ destination, headers: flightHeaders }: Flight): void {
    const { reply, port, emitScores } = this.#context;
    const headers = this.#headers!;
    const extra = flightHeaders.length === 0 ? NO_MUTATION.set : [...flightHeaders];
    const set = headers.isRequestIdOurs
      ? [...extra, headerNames[HeaderId.requestId]!, headers.requestId]
      : extra;
    const scores: StructObject | null = emitScores ? port.lastScores() : null;
    if (this.#areHeadersAnswered) {
      this.#replyBuffered(destination, set, headers.remove, scores);
    } else {
      const body = this.#rewritten ?? this.#body.pieces;
      const byteLength = this.#rewritten === null ? this.#body.byteLength : bodyLength(body);
      const isWhole = this.#requestEnd !== "open" && byteLength > 0;
      const length = isWhole ? byteLength : -1;
      writeDestinationReply(reply.writer, destination, length, set, headers.remove, scores);
      this.#replyBody(body, byteLength);
    }
    for (; this.#chunksToAnswer > 0; this.#chunksToAnswer--)
      writeUnchangedReply(reply, Side.Request);
    if (this.#requestEnd === "trailers") writeTrailersReply(reply.writer, Side.Request);
    this.#requestPhase = "passing";
    this.#letGo();
  }

  /** What has come of a body in full duplex; in the other modes the gateway keeps it. */
  #replyBody(body: readonly Uint8Array[], byteLength: number): void {
    if (this.#requestBodyMode !== BodyMode.FullDuplexStreamed) return;
    const end = this.#requestEnd;
    if (end === "headers" || (end === "open" && byteLength === 0)) return;
    this.#context.reply.body(Side.Request, body, byteLength, end === "body");
  }

  #replyBuffered(
    destination: string,
    extra: readonly string[],
    remove: readonly string[],
    scores: StructObject | null,
  ): void {
    const set = [headerNames[HeaderId.destination]!, destination, ...extra];
    const lb: StructObject = { [MetadataKey.destination]: destination };
    if (scores !== null) lb[MetadataKey.destinationScores] = scores;
    writeBufferedBodyReply(
      this.#context.reply.writer,
      Side.Request,
      { set, remove },
      this.#rewritten === null ? null : Buffer.concat(this.#rewritten),
      true,
      { [MetadataNamespace.loadBalancing]: lb },
    );
  }

  // ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #reject(code: ErrorCode, detail = ""): void {
    const row: ErrorRow = errors[code];
    const set = row.dropped === "" ? [] : [DROPPED_REASON_HEADER, row.dropped];
    const { reply, metrics } = this.#context;
    metrics.rejected(this.#labels, row.code);
    // Replies of this burst that are not on the wire stay in front: the gateway takes them in order.
    writeImmediateReply(
      reply.writer,
      row.http,
      set,
      Buffer.from(errorText(code, detail)),
      this.#headers?.isGrpc ? row.grpc : -1,
      row.dropped,
    );
    reply.flush(this.#stream);
    this.#finish("error");
    this.#stream.end();
  }

  #fail(status: number, message: string): void {
    this.#context.reply.discard();
    this.#context.metrics.failedStreams++;
    this.#finish("error");
    this.#stream.fail(status, message);
  }

  /** What was thrown may have left half a reply behind, and other exchanges must not see it. */
  #onFault(error: unknown): void {
    const { onFault, reply } = this.#context;
    reply.discard();
    onFault(error);
    if (this.#isFinished) return;
    if (this.#isPicked) this.#fail(GrpcStatus.Internal, "internal error");
    else this.#reject("EPP_INTERNAL");
  }

  /** What only the pick and its reply need. */
  #letGo(): void {
    this.#body.release();
    this.#headers = null;
    this.#subset = null;
    this.#parser = null;
    this.#rewritten = null;
  }

  /** Gives back all that the exchange holds. Idempotent: the first cause counts. */
  #finish(cause: EndCause): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#letGo();
    this.#frames.reset();
    this.#response.abandon(cause);
  }

  /** @returns null when the exchange was failed for it */
  #decodeCompressed(): WireStatus | null {
    const { limits, message } = this.#context;
    const { bytes, start, end } = this.#frames;
    const { encoding } = this.#stream;
    if (encoding !== "gzip") {
      this.#fail(GrpcStatus.Unimplemented, `grpc-encoding ${encoding} is not supported`);
      return null;
    }
    let inflated: Uint8Array;
    try {
      inflated = gunzipSync(bytes.subarray(start, end), {
        maxOutputLength: limits.messageBytesMax,
      });
    } catch {
      this.#fail(GrpcStatus.InvalidArgument, "message is not valid gzip, or too large inflated");
      return null;
    }
    return decodeProcessingRequest(inflated, 0, inflated.length, message);
  }
}
