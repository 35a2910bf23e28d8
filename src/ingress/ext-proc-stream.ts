/**
 * One ext_proc exchange: what the gateway sends, when the pick is made, what goes back.
 *
 *   request half     idle ──headers──▶ gathering ──last chunk or trailers──▶ submitted ──outcome──▶ done
 *                     │                    └──(pick needs no body)──▶ submitted ──▶ passing ──end──▶ done
 *                     └──headers with end_of_stream, or a body mode that withholds the body──▶ submitted ──▶ done
 *   response half    idle ──headers──▶ open ──end_of_stream or trailers──▶ done
 *   either half      ──immediate response, failure, closed──▶ finished: nothing is written any more
 *
 * The halves do not wait for each other, since a gateway may run the response phase alone. Replies of one half leave in
 * the order headers, body, trailers. What `finish` gives back it gives back once, whatever ends the exchange.
 *
 * Body modes (protocol_config of the first message; absent = full duplex):
 *   FULL_DUPLEX_STREAMED  header reply waits for the pick, body goes back as streamed replies
 *   BUFFERED(_PARTIAL)    headers are answered at once, the pick's headers go with the body reply
 *   STREAMED, NONE        the pick is made on headers alone
 * @module
 */
import { randomUUID } from "node:crypto";
import { gunzipSync } from "node:zlib";
import {
  decodeFrame,
  decodeProcessingRequest,
  findBodyRun,
  GrpcFrameReader,
  type HeaderBlock,
  HeaderId,
  headerNames,
  isRemovedFromRequest,
  metadataValue,
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
  type SubsetHint,
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
import type { Parser } from "../request/parsers/parser.ts";
import { hashPrompt } from "../request/prompt-blocks.ts";
import { bodyLength } from "../request/work-area.ts";
import { BodyBuffer } from "./body-buffer.ts";
import type { IngressContext } from "./ingress-context.ts";
import type { OutcomeSink } from "./scheduler-port.ts";
import { GrpcStatus, type GrpcStream, type GrpcStreamHandler } from "./transport.ts";

/** envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode */
const BodyMode = {
  None: 0,
  Streamed: 1,
  Buffered: 2,
  BufferedPartial: 3,
  FullDuplexStreamed: 4,
  Grpc: 5,
} as const;

type RequestPhase = "idle" | "gathering" | "submitted" | "passing" | "done";
/**
 * How the body goes back once the pick is made: not at all (the gateway keeps it), in one burst because it is complete,
 * as far as it has come and then chunk by chunk, or in one buffered reply together with the headers.
 */
type Delivery = "none" | "whole" | "partial" | "buffered";
type ResponsePhase = "idle" | "open" | "done";

const NO_MUTATION = { set: [], remove: [] } as const;
const SUBSET_NAMESPACE = "envoy.lb.subset_hint";
const SUBSET_KEY = "x-gateway-destination-endpoint-subset";
/** A body that no parser reads is passed on once this much has come, so that uploads are not held back. */
const UNPARSED_HOLD_BYTES_MAX = 256 * 1024;
const DEFAULT_PATH = "/v1/completions";

export class ExtProcStream implements GrpcStreamHandler, OutcomeSink {
  readonly #stream: GrpcStream;
  readonly #context: IngressContext;
  readonly #frames: GrpcFrameReader;
  readonly #body: BodyBuffer;
  #requestPhase: RequestPhase = "idle";
  #responsePhase: ResponsePhase = "idle";
  #finished = false;
  #isFirstMessage = true;
  #requestBodyMode: number = BodyMode.FullDuplexStreamed;
  #responseBodyMode: number = BodyMode.FullDuplexStreamed;
  #endedByTrailers = false;
  #delivery: Delivery = "none";
  // Facts from the request headers.
  #path = "";
  #requestId = "";
  #hasRequestId = false;
  #objective = "";
  #fairnessId = "";
  #modelRewrite = "";
  #isGrpcRequest = false;
  #isUpgrade = false;
  #remove: string[] = [];
  #subset: SubsetHint | null = null;
  #parser: Parser | null = null;
  // Facts from the body.
  #modelStart = -1;
  #modelEnd = -1;
  #request: InferenceRequest | null = null;
  #labels: RequestLabels | null = null;
  #flight: Flight | null = null;
  #startedAtMs = 0;
  #firstByteSeen = false;
  #responseStatus = 0;
  #responseBytes = 0;

  constructor(stream: GrpcStream, context: IngressContext) {
    this.#stream = stream;
    this.#context = context;
    this.#frames = new GrpcFrameReader(context.limits.messageBytesMax, findBodyRun);
    this.#body = new BodyBuffer(context.bodyBudget, context.limits.requestBodyBytesMax);
    context.openStreams++;
  }

  data(chunk: Uint8Array): void {
    if (this.#finished) return;
    const frames = this.#frames;
    frames.push(chunk);
    while (frames.next()) {
      const { message } = this.#context;
      let status: WireStatus;
      if (frames.compressed) {
        const inflated = this.#inflate(frames.bytes.subarray(frames.start, frames.end));
        if (inflated === null) return;
        status = decodeProcessingRequest(inflated, 0, inflated.length, message);
      } else {
        status = decodeFrame(frames, message);
      }
      this.#message(status, message);
      if (this.#finished) break;
    }
    if (frames.error !== null && !this.#finished) {
      this.#fail(
        GrpcStatus.ResourceExhausted,
        `message is larger than ${this.#context.limits.messageBytesMax} bytes`,
      );
    }
    this.#context.reply.flush(this.#stream);
  }

  halfClose(): void {
    if (this.#finished) return;
    this.#finish(this.#responsePhase === "done" ? "natural" : "error");
    this.#stream.end();
  }

  closed(): void {
    this.#finish("client-disconnect");
    this.#context.openStreams--;
  }

  onOutcome(outcome: Outcome): void {
    if (this.#finished) {
      // The client left while the request waited: what was reserved goes straight back.
      if (outcome.kind === "picked") this.#context.port.complete(outcome, "client-disconnect");
      return;
    }
    if (outcome.kind === "rejected") {
      this.#reject(rejectionErrors[outcome.reason]);
      return;
    }
    this.#flight = outcome;
    this.#context.metrics.picked(this.#labels!, outcome, this.#context.clock.nowMs());
    this.#replyToRequest(outcome);
  }

  // ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────

  #message(status: WireStatus, message: ProcessingRequest): void {
    if (status !== WireStatus.Ok) {
      if (status === WireStatus.TooManyHeaders) this.#reject("EPP_REQUEST_HEADERS_TOO_LARGE");
      else this.#fail(GrpcStatus.InvalidArgument, "malformed ProcessingRequest");
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
        this.#onResponseHeaders(message);
        break;
      case RequestKind.ResponseBody:
        this.#onResponseBody(message);
        break;
      case RequestKind.ResponseTrailers:
        this.#onResponseTrailers(message);
        break;
      default:
        break; // nothing of ours in it (flow-control messages of newer gateways)
    }
  }

  #takeModes(message: ProcessingRequest): boolean {
    if (!message.hasProtocolConfig) return true;
    this.#requestBodyMode = message.requestBodyMode;
    this.#responseBodyMode = message.responseBodyMode;
    if (this.#requestBodyMode >= BodyMode.Grpc || this.#responseBodyMode >= BodyMode.Grpc) {
      this.#fail(
        GrpcStatus.FailedPrecondition,
        "body mode is not supported: use FULL_DUPLEX_STREAMED, BUFFERED, STREAMED or NONE",
      );
      return false;
    }
    return true;
  }

  #onRequestHeaders(message: ProcessingRequest): void {
    if (this.#requestPhase !== "idle") return;
    this.#startedAtMs = this.#context.clock.nowMs();
    this.#readRequestHeaders(message.headers);
    this.#readSubset(message);
    const mode = this.#requestBodyMode;
    const isBuffered = mode === BodyMode.Buffered || mode === BodyMode.BufferedPartial;
    if (message.endOfStream) {
      this.#submit(null, "none");
    } else if (isBuffered) {
      this.#requestPhase = "gathering";
      writeHeadersReply(this.#context.reply.writer, Side.Request, NO_MUTATION, false, null);
    } else if (mode === BodyMode.FullDuplexStreamed) {
      this.#parser = this.#context.parsers.resolve(this.#path);
      if (this.#isUpgrade) this.#submit(null, "partial");
      else if (this.#parser === null) this.#reject("EPP_REQUEST_NO_PARSER", this.#path);
      else this.#requestPhase = "gathering";
    } else {
      this.#submit(null, "none");
    }
  }

  #onRequestBody(message: ProcessingRequest): void {
    this.#readSubset(message);
    switch (this.#requestPhase) {
      case "gathering":
        this.#gather(message);
        return;
      case "passing":
        this.#echo(Side.Request, message);
        if (message.endOfStream) this.#requestPhase = "done";
        return;
      case "done":
        // STREAMED asks for a reply to each chunk; in the other modes nothing can come here.
        if (this.#requestBodyMode === BodyMode.Streamed) {
          writeBufferedBodyReply(
            this.#context.reply.writer,
            Side.Request,
            NO_MUTATION,
            null,
            false,
            null,
          );
        }
        return;
      default:
        return;
    }
  }

  #gather(message: ProcessingRequest): void {
    const result = this.#body.append(message.body);
    if (result === "too-large") {
      this.#reject(
        "EPP_REQUEST_BODY_TOO_LARGE",
        `${this.#context.limits.requestBodyBytesMax} bytes`,
      );
      return;
    }
    if (result === "budget") {
      this.#reject("EPP_INGRESS_BODY_BUDGET");
      return;
    }
    if (this.#requestBodyMode !== BodyMode.FullDuplexStreamed) {
      this.#submit(this.#body.pieces, "buffered");
    } else if (message.endOfStream) {
      this.#submit(this.#body.pieces, "whole");
    } else if (!this.#parser!.needsBody && this.#body.byteLength > UNPARSED_HOLD_BYTES_MAX) {
      this.#submit(null, "partial");
    }
  }

  #onRequestTrailers(message: ProcessingRequest): void {
    this.#readSubset(message);
    if (this.#requestPhase === "gathering") {
      this.#endedByTrailers = true;
      this.#submit(this.#body.pieces, "whole");
    } else if (this.#requestPhase === "passing" || this.#requestPhase === "done") {
      writeTrailersReply(this.#context.reply.writer, Side.Request);
      this.#requestPhase = "done";
    }
  }

  #onResponseHeaders(message: ProcessingRequest): void {
    if (this.#responsePhase !== "idle") return;
    const status = message.headers.get(HeaderId.status);
    this.#responseStatus = status === undefined ? 0 : Number.parseInt(status, 10) || 0;
    this.#responsePhase = "open";
    writeHeadersReply(this.#context.reply.writer, Side.Response, NO_MUTATION, false, null);
    if (message.endOfStream) this.#responseDone("natural");
  }

  #onResponseBody(message: ProcessingRequest): void {
    if (this.#responsePhase === "done") return;
    this.#responsePhase = "open";
    const { body, endOfStream } = message;
    this.#responseBytes += body.byteLength;
    if (!this.#firstByteSeen && body.byteLength > 0) {
      this.#firstByteSeen = true;
      if (this.#flight !== null) {
        this.#context.port.firstToken(this.#flight);
        this.#context.metrics.firstByte(this.#labels!, this.#request!, this.#context.clock.nowMs());
      }
    }
    if (this.#responseBodyMode === BodyMode.FullDuplexStreamed) {
      this.#echo(Side.Response, message);
    } else if (this.#responseBodyMode !== BodyMode.None) {
      writeBufferedBodyReply(
        this.#context.reply.writer,
        Side.Response,
        NO_MUTATION,
        null,
        false,
        null,
      );
    }
    if (endOfStream) this.#responseDone("natural");
  }

  #onResponseTrailers(message: ProcessingRequest): void {
    if (this.#responsePhase === "done") return;
    writeTrailersReply(this.#context.reply.writer, Side.Response);
    const grpcStatus = message.headers.getByName("grpc-status");
    this.#responseDone(grpcStatus === undefined || grpcStatus === "0" ? "natural" : "error");
  }

  #echo(side: Side, { body, endOfStream }: ProcessingRequest): void {
    this.#context.reply.body(side, body.list, body.byteLength, endOfStream);
  }

  // ── request facts ───────────────────────────────────────────────────────────────────────────────────────────────

  #readRequestHeaders(headers: HeaderBlock): void {
    let path = "";
    let originalPath = "";
    let forwardedPath = "";
    let method = "";
    const { count, id } = headers;
    for (let i = 0; i < count; i++) {
      switch (id[i]) {
        case 0:
          break;
        case HeaderId.path:
          path = headers.value(i);
          break;
        case HeaderId.originalPath:
          originalPath = headers.value(i);
          break;
        case HeaderId.forwardedPath:
          forwardedPath = headers.value(i);
          break;
        case HeaderId.method:
          method = headers.value(i);
          break;
        case HeaderId.requestId:
          this.#requestId = headers.value(i);
          this.#hasRequestId = this.#requestId !== "";
          break;
        case HeaderId.contentType:
          this.#isGrpcRequest = headers.value(i).startsWith("application/grpc");
          break;
        case HeaderId.upgrade:
        case HeaderId.protocol:
          this.#isUpgrade = true;
          break;
        default:
          if (isRemovedFromRequest(id[i]!)) this.#remove.push(headerNames[id[i]!]!);
          break;
      }
    }
    if (method === "CONNECT") this.#isUpgrade = true;
    this.#path = path || originalPath || forwardedPath || DEFAULT_PATH;
    if (this.#remove.length > 0) this.#readControlHeaders(headers);
    if (!this.#hasRequestId) this.#requestId = randomUUID();
  }

  /** Control headers are always removed from the request, so a request without any to remove has none. */
  #readControlHeaders(headers: HeaderBlock): void {
    this.#objective = headers.get(HeaderId.objective) ?? headers.get(HeaderId.objectiveAlias) ?? "";
    this.#fairnessId =
      headers.get(HeaderId.fairnessId) ?? headers.get(HeaderId.fairnessIdAlias) ?? "";
    this.#modelRewrite =
      headers.get(HeaderId.modelRewrite) ?? headers.get(HeaderId.modelRewriteAlias) ?? "";
  }

  #readSubset(message: ProcessingRequest): void {
    if (message.metadataStart < 0 || this.#context.disableSubsetFilter) return;
    const value = metadataValue(
      message.bytes,
      message.metadataStart,
      message.metadataEnd,
      SUBSET_NAMESPACE,
      SUBSET_KEY,
    );
    if (Array.isArray(value)) {
      this.#subset = value.filter((entry): entry is string => typeof entry === "string");
    } else if (typeof value === "string") {
      this.#subset = [value];
    }
  }

  // ── pick ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #submit(body: readonly Uint8Array[] | null, delivery: Delivery): void {
    this.#requestPhase = "submitted";
    this.#delivery = delivery;
    const context = this.#context;
    const parser = body === null ? null : (this.#parser ?? context.parsers.resolve(this.#path));
    if (body !== null && parser === null) {
      this.#reject("EPP_REQUEST_NO_PARSER", this.#path);
      return;
    }
    const { parsed } = context;
    parsed.reset();
    if (body !== null && parser !== null) {
      const problem = parser.parse(body, this.#path, parsed);
      if (problem !== null) {
        this.#reject("EPP_REQUEST_BODY_INVALID", problem.message);
        return;
      }
    }
    const model = parsed.model;
    const targetModel = this.#modelRewrite !== "" && parser?.needsBody ? this.#modelRewrite : model;
    if (parser?.needsBody && targetModel === "") {
      this.#reject("EPP_REQUEST_NO_MODEL");
      return;
    }
    this.#modelStart = parsed.modelStart;
    this.#modelEnd = parsed.modelEnd;
    let promptTokens = 0;
    let blockHashes: InferenceRequest["blockHashes"] = [];
    if (body !== null && parser?.needsBody) {
      const prompt = hashPrompt(parsed, body, context.port.hashPlans, targetModel);
      promptTokens = prompt.promptTokens;
      blockHashes = prompt.blockHashes;
    }
    this.#request = new InferenceRequest(
      {
        id: this.#requestId,
        model,
        targetModel,
        objective: this.#objective,
        fairnessId: this.#fairnessId === "" ? "default-flow" : this.#fairnessId,
        streaming: parsed.streaming,
        bodyBytes: body === null ? 0 : this.#body.byteLength,
        promptTokens,
        maxOutputTokens: parsed.maxOutputTokens,
        arrivedAtMs: this.#startedAtMs,
        blockHashes,
      },
      context.modelHashes.get(targetModel),
    );
    this.#labels = context.metrics.labels(this.#request);
    context.port.submit(this.#request, this.#subset, this);
  }

  #replyToRequest(flight: Flight): void {
    const { reply, port, emitScores } = this.#context;
    const extra = flight.headers.length === 0 ? [] : [...flight.headers];
    if (!this.#hasRequestId) extra.push(headerNames[HeaderId.requestId]!, this.#requestId);
    const scores: StructObject | null = emitScores ? port.lastScores() : null;
    const body = this.#forwardedBody();
    const byteLength = body === this.#body.pieces ? this.#body.byteLength : bodyLength(body);
    if (this.#delivery === "buffered") {
      this.#replyBuffered(flight.destination, body, extra, scores);
    } else {
      const length = this.#delivery === "whole" && byteLength > 0 ? byteLength : -1;
      writeDestinationReply(reply.writer, flight.destination, length, extra, this.#remove, scores);
      this.#replyBody(body, byteLength);
    }
    this.#body.release();
  }

  /** The body to send on: the bytes as they came, or with the model's name patched in place. */
  #forwardedBody(): readonly Uint8Array[] {
    const { pieces } = this.#body;
    const { model, targetModel } = this.#request!;
    if (targetModel === model || pieces.length === 0) return pieces;
    return rewriteModel(pieces, this.#modelStart, this.#modelEnd, targetModel);
  }

  #replyBody(body: readonly Uint8Array[], byteLength: number): void {
    const { reply } = this.#context;
    switch (this.#delivery) {
      case "whole":
        reply.body(Side.Request, body, byteLength, !this.#endedByTrailers);
        if (this.#endedByTrailers) writeTrailersReply(reply.writer, Side.Request);
        this.#requestPhase = "done";
        return;
      case "partial":
        if (byteLength > 0) reply.body(Side.Request, body, byteLength, false);
        this.#requestPhase = "passing";
        return;
      default:
        this.#requestPhase = "done";
    }
  }

  #replyBuffered(
    destination: string,
    body: readonly Uint8Array[],
    extra: readonly string[],
    scores: StructObject | null,
  ): void {
    const isChanged = this.#request!.targetModel !== this.#request!.model;
    const set = [headerNames[HeaderId.destination]!, destination, ...extra];
    const lb: StructObject = { [headerNames[HeaderId.destination]!]: destination };
    if (scores !== null) lb["x-gateway-destination-endpoint-scores"] = scores;
    writeBufferedBodyReply(
      this.#context.reply.writer,
      Side.Request,
      { set, remove: this.#remove },
      isChanged ? Buffer.concat(body) : null,
      true,
      { "envoy.lb": lb },
    );
    this.#requestPhase = "done";
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
      this.#isGrpcRequest ? row.grpc : -1,
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

  #responseDone(cause: EndCause): void {
    this.#responsePhase = "done";
    this.#completeFlight(cause);
  }

  #completeFlight(cause: EndCause): void {
    const flight = this.#flight;
    if (flight === null) return;
    this.#flight = null;
    this.#context.port.complete(flight, cause);
    this.#context.metrics.completed(
      this.#labels!,
      this.#request!,
      this.#context.clock.nowMs(),
      this.#responseBytes,
      this.#responseStatus,
    );
  }

  /** Gives back all that the exchange holds. Idempotent: the first cause counts. */
  #finish(cause: EndCause): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#body.release();
    this.#frames.reset();
    this.#completeFlight(cause);
  }

  #inflate(message: Uint8Array): Uint8Array | null {
    if (this.#stream.encoding === "gzip") {
      try {
        return gunzipSync(message, { maxOutputLength: this.#context.limits.messageBytesMax });
      } catch {
        this.#fail(GrpcStatus.InvalidArgument, "message is not valid gzip, or too large inflated");
        return null;
      }
    }
    this.#fail(GrpcStatus.Unimplemented, `grpc-encoding ${this.#stream.encoding} is not supported`);
    return null;
  }
}
