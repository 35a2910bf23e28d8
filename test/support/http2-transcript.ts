/**
 * Plays an ExchangePlan with node:http2 as the client, and writes down what the client has seen.
 * @module
 */
import http2 from "node:http2";
import { setImmediate } from "node:timers/promises";
import { type ExchangePlan, expectedOf, piecesOf } from "./exchange-plan.ts";
import { digestOf } from "./scripted-handler.ts";

/** What must be the same from every server. */
export interface Transcript {
  readonly head: string | null;
  /** Messages in their order: length and digest. */
  readonly messages: readonly string[];
  readonly trailers: string | null;
  /** `end`, `reset <code>` by the server, `our reset <code>`. */
  readonly end: string;
}

/** The date is of no interest, and our own server sends none. */
function linesOf(headers: http2.IncomingHttpHeaders): string {
  return Object.entries(headers)
    .filter(([name]) => name !== "date")
    .map(([name, value]) => `${name}: ${String(value)}`)
    .toSorted()
    .join("\n");
}

/** Counts complete gRPC messages as they come. */
class Messages {
  readonly all: string[] = [];
  #bytes: Buffer[] = [];
  #byteLength = 0;
  #wanted = 5;

  push(chunk: Buffer): void {
    this.#bytes.push(chunk);
    this.#byteLength += chunk.length;
    while (this.#byteLength >= this.#wanted) this.#take();
  }

  get rest(): number {
    return this.#byteLength;
  }

  #take(): void {
    const bytes = Buffer.concat(this.#bytes);
    const end = 5 + bytes.readUInt32BE(1);
    if (bytes.length < end) {
      this.#bytes = [bytes];
      this.#wanted = end;
      return;
    }
    this.all.push(`${bytes[0]} ${end - 5} ${digestOf(bytes.subarray(5, end))}`);
    this.#bytes = [bytes.subarray(end)];
    this.#byteLength = bytes.length - end;
    this.#wanted = 5;
  }
}

function requestHeaders(plan: ExchangePlan, bodyBytes: number): http2.OutgoingHttpHeaders {
  return {
    ":method": plan.method,
    ":path": plan.path,
    te: "trailers",
    ...(plan.contentType === null ? {} : { "content-type": plan.contentType }),
    ...(plan.extraHeaderBytes === 0 ? {} : { "x-extra": "0123".repeat(plan.extraHeaderBytes / 4) }),
    ...(plan.lengthLie === null ? {} : { "content-length": String(bodyBytes + plan.lengthLie) }),
  };
}

/** Resolves when the exchange is over. */
export async function playOverHttp2(
  session: http2.ClientHttp2Session,
  plan: ExchangePlan,
  key: string,
): Promise<Transcript> {
  const pieces = piecesOf(plan, key);
  const bodyBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const stream = session.request(requestHeaders(plan, bodyBytes), {
    endStream: false,
    waitForTrailers: plan.closing === "trailers",
  });
  const expected = expectedOf(plan);
  const messages = new Messages();
  let head: string | null = null;
  let trailers: string | null = null;
  let ourReset: number | null = null;
  let isAnswerOver = false;
  let isBodyOver = false;

  const reset = (code: number): void => {
    if (stream.closed || ourReset !== null) return;
    // Behind a complete answer it is of no matter who closes the stream: some servers do it themselves, by NO_ERROR.
    if (!isAnswerOver) ourReset = code;
    stream.close(code);
  };
  /** Ends what would go on for ever: both sides have done all that they will. */
  const look = (): void => {
    const isAnswered = isAnswerOver || messages.all.length >= expected.replies;
    const isAnyAnswer = isAnswerOver || messages.all.length > 0;
    if (plan.reset === "after" && isAnyAnswer) reset(plan.resetCode);
    if (!isBodyOver || !isAnswered) return;
    if (!expected.isEnded || (isAnswerOver && plan.closing === "never")) {
      reset(http2.constants.NGHTTP2_CANCEL);
    }
  };

  const closed = new Promise<void>((resolve) => stream.on("close", resolve));
  stream.on("error", () => {}); // the code comes with "close"
  stream.on("response", (headers) => {
    head = linesOf(headers);
  });
  stream.on("data", (chunk: Buffer) => {
    if (ourReset !== null) return;
    messages.push(chunk);
    look();
  });
  stream.on("trailers", (headers) => {
    trailers = linesOf(headers);
  });
  stream.on("end", () => {
    isAnswerOver = stream.rstCode === http2.constants.NGHTTP2_NO_ERROR;
    look();
  });
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-client": "done" }));

  for (const piece of pieces) {
    if (stream.closed || stream.destroyed) break;
    stream.write(piece);
    if (plan.isSlow && plan.reset !== "before") await setImmediate();
  }
  if (plan.reset === "before") reset(plan.resetCode);
  else if (plan.closing !== "never" && !stream.closed) stream.end();
  isBodyOver = true;
  look();
  await closed;
  const rstCode = isAnswerOver ? 0 : (stream.rstCode ?? 0);
  return transcriptOf(plan, messages, { head, trailers, ourReset, rstCode });
}

function transcriptOf(
  plan: ExchangePlan,
  { all, rest }: Messages,
  seen: { head: string | null; trailers: string | null; ourReset: number | null; rstCode: number },
): Transcript {
  const { head, ourReset, rstCode, trailers } = seen;
  if (ourReset !== null) {
    const end = `our reset ${ourReset}`;
    // How much more had come when we reset is a matter of time; that there was an answer, and its beginning, is not.
    const messages = plan.reset === "after" ? all.slice(0, 1) : all;
    return { head, messages, trailers: plan.reset === "after" ? null : trailers, end };
  }
  const end = rstCode === 0 ? "end" : `reset ${rstCode}`;
  return { head, messages: rest === 0 ? all : [...all, `cut: ${rest} bytes`], trailers, end };
}
