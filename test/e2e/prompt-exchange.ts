/**
 * One exchange of a prompt, from its first byte to the end of a short answer; every reply is checked for its kind and order,
 * and the body for coming back whole.
 * @module
 */
import { answerHead, answerPiece } from "../support/exchange-templates.ts";
import type { ExchangeListener, ExtProcConnection } from "../support/ext-proc-connection.ts";
import type { FrameTemplate } from "../support/frame-template.ts";
import type { ScannedReply } from "../support/reply-scan.ts";

const TIMEOUT_MS = 30_000;
const ANSWER_PIECES = 4;
const PIECE = Buffer.from(`data: {"choices":[{"text":"${"and then ".repeat(16)}"}]}\n\n`);
const MORE = answerPiece(PIECE, false);
const LAST = answerPiece(PIECE, true);

export class PromptExchange implements ExchangeListener {
  /** Milliseconds from the last byte of the request to the reply that names the endpoint. */
  readonly pickMs: Promise<number>;
  /** Resolves when the answer has been played to its end; the first thing that goes wrong rejects it. */
  readonly done: Promise<void>;
  readonly #connection: ExtProcConnection;
  readonly #id: number;
  readonly #timer: NodeJS.Timeout;
  #onPick: (ms: number) => void = () => {};
  #onDone: () => void = () => {};
  #onFailure: (error: Error) => void = () => {};
  #phase: "request" | "body" | "head" | "answer" | "over" = "request";
  #sentAtMs = 0;
  #bodyBytesLeft: number;
  #piecesLeft = ANSWER_PIECES;

  constructor(
    connection: ExtProcConnection,
    templates: readonly FrameTemplate[],
    bodyBytes: number,
  ) {
    this.#connection = connection;
    this.#bodyBytesLeft = bodyBytes;
    this.pickMs = new Promise((resolve) => {
      this.#onPick = resolve;
    });
    this.done = new Promise((resolve, reject) => {
      this.#onDone = resolve;
      this.#onFailure = reject;
    });
    this.#timer = setTimeout(() => this.#fail("not in time"), TIMEOUT_MS);
    this.#id = connection.open(this, ...templates);
  }

  sent(): void {
    if (this.#phase === "request") this.#sentAtMs = performance.now();
  }

  reply({ kind, bodyBytes }: ScannedReply): void {
    if (this.#phase === "request" && kind === "requestHeaders" && this.#sentAtMs > 0) {
      this.#onPick(performance.now() - this.#sentAtMs);
      this.#phase = "body";
    } else if (this.#phase === "body" && kind === "requestBody") {
      this.#bodyBytesLeft -= bodyBytes;
      if (this.#bodyBytesLeft > 0) return;
      this.#phase = "head";
      this.#connection.send(this.#id, answerHead);
    } else if (this.#phase === "head" && kind === "responseHeaders") {
      this.#phase = "answer";
      this.#sendPiece();
    } else if (this.#phase === "answer" && kind === "responseBody" && bodyBytes === PIECE.length) {
      if (this.#piecesLeft > 0) this.#sendPiece();
      else this.#finish();
    } else {
      this.#fail(`unexpected reply ${kind} with ${bodyBytes} bytes`);
    }
  }

  ended(reason: string): void {
    this.#fail(reason);
  }

  #sendPiece(): void {
    this.#piecesLeft--;
    this.#connection.send(this.#id, this.#piecesLeft > 0 ? MORE : LAST);
  }

  #fail(reason: string): void {
    if (this.#phase === "over") return;
    this.#onFailure(new Error(`${this.#phase}: ${reason}`));
    this.#finish();
  }

  #finish(): void {
    this.#phase = "over";
    clearTimeout(this.#timer);
    this.#connection.reset(this.#id);
    this.#onDone();
  }
}
