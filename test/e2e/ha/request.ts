/**
 * One request as a client of the gateway makes it, and how it ended.
 * @module
 */
import { Agent, request as httpRequest } from "node:http";
import { requestBody, responsePieces } from "../payload.ts";

/** Long enough to see what hangs. */
const CLIENT_TIMEOUT_MS = 20_000;
const SEED = 7;
const ANSWER_LENGTH = 400;
/** 50 ms to the first byte, then ten pieces and the end of the stream: 250 ms. */
const FIRST_BYTE_MS = 50;
const GAP_MS = 18;
/** How long an answer takes that nothing disturbs. */
export const EXCHANGE_MS = 250;

const AGENT = new Agent({ keepAlive: true });
const STREAMED = Buffer.concat(responsePieces(SEED, ANSWER_LENGTH, true));
const PLAIN = Buffer.concat(responsePieces(SEED, ANSWER_LENGTH, false));

/**
 * `ok`, or how it failed: `cut` a 200 broken off, `hang` no end within the client's time, `lost` the connection was closed
 * before the status, or the status.
 */
export type End = "ok" | "cut" | "hang" | "lost" | `${number}`;

export interface Outcome {
  readonly end: End;
  /** `performance.now()`. */
  readonly sentAtMs: number;
  readonly endedAtMs: number;
}

export interface RequestOptions {
  /** Of the whole body; 2,000 unless given. */
  readonly bodyBytes?: number;
  /** Half of the body is sent at once, the rest after this time: until then the picker can not answer. */
  readonly holdMs?: number;
  /** One JSON document instead of server-sent events. */
  readonly isPlain?: boolean;
  /** Between pieces of the answer. */
  readonly gapMs?: number;
  readonly timeoutMs?: number;
}

/** A completions request of exactly this size. */
function bodyOf(bytes: number, stream: boolean): Buffer {
  const around = requestBody(SEED, 0, stream).length;
  return requestBody(SEED, Math.max(1, bytes - around), stream);
}

/** Never fails: the outcome says how it went. */
export function sendRequest(url: string, options: RequestOptions = {}): Promise<Outcome> {
  const { bodyBytes = 2_000, gapMs = GAP_MS, holdMs, isPlain = false } = options;
  const body = bodyOf(bodyBytes, !isPlain);
  const expected = isPlain ? PLAIN : STREAMED;
  const sentAtMs = performance.now();
  return new Promise((resolve) => {
    let status = 0;
    const end = (how: End): void => {
      clearTimeout(timer);
      resolve({ end: how, sentAtMs, endedAtMs: performance.now() });
      if (how !== "ok") request.destroy();
    };
    const request = httpRequest(
      new URL("/v1/completions", url),
      {
        agent: AGENT,
        method: "POST",
        headers: {
          "content-type": "application/json",
          "content-length": body.length,
          "x-echo-seed": SEED,
          "x-echo-length": ANSWER_LENGTH,
          "x-echo-stream": isPlain ? 0 : 1,
          "x-echo-delay-ms": FIRST_BYTE_MS,
          "x-echo-gap-ms": gapMs,
        },
      },
      (response) => {
        status = response.statusCode ?? 0;
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.once("error", () => end("cut"));
        response.once("end", () => {
          if (status !== 200) return end(`${status}`);
          const isWhole = response.complete && Buffer.concat(pieces).equals(expected);
          end(isWhole ? "ok" : "cut");
        });
      },
    );
    const timer = setTimeout(() => end("hang"), options.timeoutMs ?? CLIENT_TIMEOUT_MS);
    request.once("error", () => end(status === 0 ? "lost" : "cut"));
    if (holdMs === undefined) {
      request.end(body);
      return;
    }
    const half = body.length >> 1;
    request.write(body.subarray(0, half));
    setTimeout(() => {
      if (!request.destroyed) request.end(body.subarray(half));
    }, holdMs);
  });
}
