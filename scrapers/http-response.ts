/**
 * Reads one HTTP/1.1 response from bytes that come in any cuts: status, where the body begins and ends, whether the
 * connection can be used again. Source: RFC 9112; what it does not allow is refused.
 *
 *   head ──1xx──▶ head        body by   length ──n bytes──▶ done
 *    └──2xx..5xx──▶ body                chunks  size ▶ data ▶ size … 0 ▶ trailers ──▶ done
 *                                       close   ──end of the connection──▶ done
 * @module
 */

/** Head bytes, chunk-size line and trailers: more is malformed. */
export const HEAD_BYTES_MAX = 16 * 1024;
const CHUNK_LINE_BYTES_MAX = 256;
/** A length that no page comes near; digits beyond lose precision. */
const LENGTH_DIGITS_MAX = 15;
const CHUNK_DIGITS_MAX = 12;

export type ResponseState = "more" | "done" | "malformed" | "refused";

/** Takes body bytes [from, to) of a chunk. @returns false to stop reading */
export type BodySink = (chunk: Buffer, from: number, to: number) => boolean;

type Phase = "head" | "length" | "close" | "size" | "data" | "data-end" | "trailers" | "done";

const NEWLINE = 10;
const RETURN = 13;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\0\r\n]*)?$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\0\r\n]*?)[ \t]*$/;

export class ResponseReader {
  /** Status of the response whose body is read; 0 before. */
  status = 0;
  /** The response ends in a way that leaves the connection usable. */
  keepsAlive = false;
  readonly #sink: BodySink;
  #phase: Phase = "head";
  /** Head, chunk-size or trailer line bytes that were cut. */
  #line = "";
  #headBytes = 0;
  /** Body or chunk bytes to come. */
  #left = 0;
  /** The last final head, and what was found in it. */
  #lastHead = "";
  #lastStatus = 0;
  #lastKeepsAlive = false;
  #lastPhase: Phase = "head";
  #lastLeft = 0;

  constructor(sink: BodySink) {
    this.#sink = sink;
  }

  /** Begins with a new response. */
  reset(): void {
    this.status = 0;
    this.keepsAlive = false;
    this.#phase = "head";
    this.#line = "";
    this.#headBytes = 0;
    this.#left = 0;
  }

  /** Bytes of the response have been seen. */
  get hasBegun(): boolean {
    return this.#phase !== "head" || this.#headBytes > 0 || this.status !== 0;
  }

  /** Reads chunk[0, end). "refused" when the sink has said so; bytes behind the response are malformed. */
  read(chunk: Buffer, end: number): ResponseState {
    let at = 0;
    while (at < end) {
      const next = this.#step(chunk, at, end);
      if (next < 0) return next === REFUSED ? "refused" : "malformed";
      at = next;
    }
    return this.#phase === "done" ? "done" : "more";
  }

  /** The connection has ended. @returns whether that ends the response well */
  end(): boolean {
    return this.#phase === "close";
  }

  /** @returns where to go on, MALFORMED or REFUSED */
  #step(chunk: Buffer, at: number, end: number): number {
    switch (this.#phase) {
      case "head":
        return this.#readHead(chunk, at, end);
      case "length":
      case "data": {
        const to = Math.min(end, at + this.#left);
        if (!this.#sink(chunk, at, to)) return REFUSED;
        this.#left -= to - at;
        if (this.#left === 0) this.#phase = this.#phase === "length" ? "done" : "data-end";
        return to;
      }
      case "close":
        return this.#sink(chunk, at, end) ? end : REFUSED;
      case "size":
        return this.#readLine(chunk, at, end, CHUNK_LINE_BYTES_MAX, this.#onSize);
      case "data-end":
        return this.#readLine(chunk, at, end, 2, this.#onDataEnd);
      case "trailers":
        return this.#readLine(chunk, at, end, HEAD_BYTES_MAX, this.#onTrailer);
      default:
        return MALFORMED; // nothing was asked that this could answer
    }
  }

  /** The head as a rule comes in one piece: it is made a string once. */
  #readHead(chunk: Buffer, at: number, end: number): number {
    const limit = Math.min(end, at + HEAD_BYTES_MAX - this.#headBytes);
    const text = this.#line + chunk.toString("latin1", at, headEnd(chunk, at, limit));
    const close = text.indexOf("\r\n\r\n");
    if (close < 0) {
      const taken = text.length - this.#line.length;
      this.#line = text;
      this.#headBytes += taken;
      return this.#headBytes >= HEAD_BYTES_MAX ? MALFORMED : at + taken;
    }
    const used = close + 4 - this.#line.length;
    this.#line = "";
    // As a rule it is the head of the answer before, but for a date that changes once a second.
    if (text === this.#lastHead) this.#takeLastHead();
    else if (!this.#takeHead(text.slice(0, close))) return MALFORMED;
    else this.#remember(text);
    return at + used;
  }

  #remember(head: string): void {
    if (this.status === 0) return; // an interim response
    this.#lastHead = head;
    this.#lastStatus = this.status;
    this.#lastKeepsAlive = this.keepsAlive;
    this.#lastPhase = this.#phase;
    this.#lastLeft = this.#left;
  }

  #takeLastHead(): void {
    this.status = this.#lastStatus;
    this.keepsAlive = this.#lastKeepsAlive;
    this.#phase = this.#lastPhase;
    this.#left = this.#lastLeft;
  }

  #takeHead(head: string): boolean {
    const lines = head.split("\r\n");
    const start = STATUS_LINE.exec(lines[0]!);
    if (start === null) return false;
    const status = Number(start[2]);
    let length = -1;
    let isChunked = false;
    let keepsAlive = start[1] === "1";
    for (let i = 1; i < lines.length; i++) {
      const field = FIELD.exec(lines[i]!);
      if (field === null) return false;
      const name = field[1]!.toLowerCase();
      const value = field[2]!;
      if (name === "content-length") {
        const parsed = lengthOf(value);
        if (parsed < 0 || (length >= 0 && parsed !== length)) return false;
        length = parsed;
      } else if (name === "transfer-encoding") {
        if (isChunked || value.toLowerCase() !== "chunked") return false;
        isChunked = true;
      } else if (name === "connection") {
        const tokens = value.toLowerCase();
        if (tokens.includes("close")) keepsAlive = false;
        else if (tokens.includes("keep-alive")) keepsAlive = true;
      }
    }
    if (isChunked && length >= 0) return false;
    if (status < 200) {
      this.#headBytes = 1; // something has come
      return status !== 101;
    }
    this.status = status;
    this.keepsAlive = keepsAlive;
    if (status === 204 || status === 304 || length === 0) this.#phase = "done";
    else if (isChunked) this.#phase = "size";
    else if (length > 0) {
      this.#phase = "length";
      this.#left = length;
    } else {
      this.#phase = "close";
      this.keepsAlive = false;
    }
    return true;
  }

  /** Gathers a line and gives it to its reader without its end. */
  #readLine(
    chunk: Buffer,
    at: number,
    end: number,
    bytesMax: number,
    take: (line: string) => boolean,
  ): number {
    const limit = Math.min(end, at + bytesMax - this.#line.length);
    const newline = chunk.subarray(0, limit).indexOf(NEWLINE, at);
    const to = newline < 0 ? limit : newline + 1;
    const line = this.#line + chunk.toString("latin1", at, to);
    if (newline < 0) {
      this.#line = line;
      return line.length >= bytesMax ? MALFORMED : to;
    }
    this.#line = "";
    if (line.charCodeAt(line.length - 2) !== RETURN) return MALFORMED;
    return take(line.slice(0, -2)) ? to : MALFORMED;
  }

  readonly #onSize = (line: string): boolean => {
    const semicolon = line.indexOf(";");
    const digits = (semicolon < 0 ? line : line.slice(0, semicolon)).trimEnd();
    if (digits.length > CHUNK_DIGITS_MAX || !/^[0-9a-fA-F]+$/.test(digits)) return false;
    this.#left = Number.parseInt(digits, 16);
    this.#headBytes = 0;
    this.#phase = this.#left === 0 ? "trailers" : "data";
    return true;
  };

  readonly #onDataEnd = (line: string): boolean => {
    this.#phase = "size";
    return line === "";
  };

  readonly #onTrailer = (line: string): boolean => {
    if (line === "") this.#phase = "done";
    else if (!FIELD.test(line)) return false;
    this.#headBytes += line.length + 2;
    return this.#headBytes <= HEAD_BYTES_MAX;
  };
}

const MALFORMED = -1;
const REFUSED = -2;

/** Where to stop making a string of the head: behind the first blank line, or at the end. */
function headEnd(chunk: Buffer, at: number, limit: number): number {
  const close = chunk.indexOf("\r\n\r\n", at, "latin1");
  return close < 0 || close + 4 > limit ? limit : close + 4;
}

function lengthOf(value: string): number {
  return value.length <= LENGTH_DIGITS_MAX && /^\d+$/.test(value) ? Number(value) : -1;
}
