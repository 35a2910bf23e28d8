/**
 * The response half of an exchange: every message is answered as it comes and changes nothing; what it tells about the
 * flight is booked.
 *
 *   idle ──headers──▶ open ──end_of_stream or trailers──▶ done        a body or trailers may come without headers
 *
 * It needs no request half: without a flight there is nothing to book.
 * @module
 */
import {
  HeaderId,
  type ProcessingRequest,
  Side,
  writeHeadersReply,
  writeTrailersReply,
} from "../../proto/index.ts";
import type { EndCause, Flight } from "../../scheduler/index.ts";
import type { RequestLabels } from "../metrics/request-metrics.ts";
import { answerChunk, BodyMode } from "./body-mode.ts";
import type { IngressContext } from "./ingress-context.ts";

type Phase = "idle" | "open" | "done";

const NO_MUTATION = { set: [], remove: [] } as const;

export class ResponseHalf {
  /** BodyMode. */
  bodyMode: number = BodyMode.FullDuplexStreamed;
  readonly #context: IngressContext;
  #phase: Phase = "idle";
  #flight: Flight | null = null;
  #labels: RequestLabels | null = null;
  #isFirstByteSeen = false;
  #status = 0;
  #bytes = 0;

  constructor(context: IngressContext) {
    this.#context = context;
  }

  /** Something of the answer has come. */
  get hasBegun(): boolean {
    return this.#phase !== "idle";
  }

  /** The answer is complete. */
  get isDone(): boolean {
    return this.#phase === "done";
  }

  /** Takes over the flight that the answer belongs to. */
  begin(flight: Flight, labels: RequestLabels): void {
    this.#flight = flight;
    this.#labels = labels;
    const { clock, metrics } = this.#context;
    metrics.picked(labels, flight, clock.nowMs());
  }

  onHeaders({ headers, endOfStream }: ProcessingRequest): void {
    if (this.#phase !== "idle") return;
    this.#phase = "open";
    const status = headers.get(HeaderId.status) ?? headers.getByName("status");
    this.#status = status === undefined ? 0 : Number.parseInt(status, 10) || 0;
    writeHeadersReply(this.#context.reply.writer, Side.Response, NO_MUTATION, false, null);
    if (this.bodyMode === BodyMode.None) this.#onFirstByte(); // more of the answer is not shown
    if (endOfStream) this.#onEnd(headers.get(HeaderId.grpcStatus));
  }

  onBody(message: ProcessingRequest): void {
    if (this.#phase === "done") return;
    this.#phase = "open";
    const { byteLength } = message.body;
    this.#bytes += byteLength;
    if (byteLength > 0) this.#onFirstByte();
    answerChunk(this.#context.reply, Side.Response, this.bodyMode, message);
    if (message.endOfStream) this.#onEnd(undefined);
  }

  onTrailers({ headers }: ProcessingRequest): void {
    if (this.#phase === "done") return;
    writeTrailersReply(this.#context.reply.writer, Side.Response);
    this.#onEnd(headers.get(HeaderId.grpcStatus));
  }

  #onFirstByte(): void {
    if (this.#isFirstByteSeen) return;
    this.#isFirstByteSeen = true;
    const flight = this.#flight;
    if (flight === null) return;
    const { clock, metrics, port } = this.#context;
    port.firstToken(flight);
    metrics.firstByte(this.#labels!, flight.request, clock.nowMs());
  }

  /** @param grpcStatus of the trailers, or of headers that end the answer */
  #onEnd(grpcStatus: string | undefined): void {
    this.#phase = "done";
    this.complete(grpcStatus === undefined || grpcStatus === "0" ? "natural" : "error");
  }

  /** The exchange is over without a word about its end. */
  abandon(cause: EndCause): void {
    // Who shows no more than the headers of an answer leaves when they have come (envoy: ext_proc.cc).
    const isAllSeen = this.#phase === "open" && this.bodyMode === BodyMode.None;
    this.complete(isAllSeen ? "natural" : cause);
  }

  /** Gives the flight back; the first call counts. */
  complete(cause: EndCause): void {
    const flight = this.#flight;
    if (flight === null) return;
    this.#flight = null;
    const { clock, metrics, port } = this.#context;
    port.complete(flight, cause);
    metrics.completed(this.#labels!, flight.request, clock.nowMs(), this.#bytes, this.#status);
  }
}
