/**
 * A bounded, open-loop load generator that checks every byte in both directions: requests leave on schedule whatever
 * the answers do, over a fixed number of keep-alive connections, half of them streamed.
 * @module
 */
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { delay } from "../support/deadline.ts";
import { requestBody, responsePieces, sha256 } from "./payload.ts";

export interface LoadOptions {
  /** Base URL of the gateway. */
  readonly url: string;
  readonly requests: number;
  /** Requests a second. */
  readonly rate: number;
  /** Upper bound of client connections; 64 unless given. */
  readonly connections?: number;
  /** First seed; each request has its own. */
  readonly seed?: number;
  /** Upper bound of the prompt, characters; sizes are spread evenly. */
  readonly promptLengthMax?: number;
  /** Upper bound of the answer's text, characters. */
  readonly answerLengthMax?: number;
  /** Wait of the server before its first byte. */
  readonly delayMs?: number;
}

/** One request that did not end as it must. */
export interface LoadFailure {
  readonly index: number;
  readonly reason: string;
  /** `performance.now()` when the request left and when it failed. */
  readonly startedAtMs: number;
  readonly failedAtMs: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly failures: readonly LoadFailure[];
  /** Answers with status 200 whose bytes differ, or whose server got other bytes than were sent. */
  readonly wrongBytes: number;
  /** Requests by answering server. */
  readonly servedBy: ReadonlyMap<string, number>;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** From the first request to the last answer. */
  readonly durationMs: number;
}

/** A request that takes longer is a failure. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often the schedule is looked at; requests that fell due meanwhile leave together. */
const TICK_MS = 2;

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  pieces: Buffer[];
}

function post(
  url: URL,
  agent: Agent,
  headers: Record<string, string>,
  body: Buffer,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        agent,
        host: url.hostname,
        port: url.port,
        path: "/v1/completions",
        method: "POST",
        headers: { ...headers, "content-length": body.length },
        timeout: REQUEST_TIMEOUT_MS,
      },
      (response) => {
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, pieces }),
        );
      },
    );
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", reject);
    request.end(body);
  });
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Runs the load to its end; never throws for what the gateway does. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { requests, rate, seed: firstSeed = 1, delayMs = 0 } = options;
  const promptLengthMax = options.promptLengthMax ?? 8_000;
  const answerLengthMax = options.answerLengthMax ?? 2_000;
  const url = new URL(options.url);
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections ?? 64 });
  const failures: LoadFailure[] = [];
  const servedBy = new Map<string, number>();
  const latencies = new Float64Array(requests);
  let wrongBytes = 0;

  const one = async (index: number): Promise<void> => {
    const seed = firstSeed + index;
    const stream = index % 2 === 1;
    const body = requestBody(seed, 1 + ((seed * 7919) % promptLengthMax), stream);
    const length = (seed * 104_729) % answerLengthMax;
    const startedAtMs = performance.now();
    try {
      const answer = await post(
        url,
        agent,
        {
          "content-type": "application/json",
          "x-echo-seed": String(seed),
          "x-echo-length": String(length),
          "x-echo-stream": stream ? "1" : "0",
          "x-echo-delay-ms": String(delayMs),
        },
        body,
      );
      if (answer.status !== 200) throw new Error(`status ${answer.status}`);
      const expected = responsePieces(seed, length, stream);
      if (answer.headers["x-body-sha256"] !== sha256([body])) {
        wrongBytes++;
        throw new Error("the server received other bytes");
      }
      if (sha256(answer.pieces) !== sha256(expected)) {
        wrongBytes++;
        throw new Error("the answer has other bytes");
      }
      const server = String(answer.headers["x-served-by"]);
      servedBy.set(server, (servedBy.get(server) ?? 0) + 1);
    } catch (error) {
      const failedAtMs = performance.now();
      failures.push({ index, reason: (error as Error).message, startedAtMs, failedAtMs });
    }
    latencies[index] = performance.now() - startedAtMs;
  };

  const begin = performance.now();
  const open: Promise<void>[] = [];
  while (open.length < requests) {
    const due = Math.min(requests, Math.floor(((performance.now() - begin) * rate) / 1000) + 1);
    while (open.length < due) open.push(one(open.length));
    if (open.length < requests) await delay(TICK_MS);
  }
  await Promise.all(open);
  const durationMs = performance.now() - begin;
  agent.destroy();
  const sorted = latencies.sort();
  return {
    requests,
    failures,
    wrongBytes,
    servedBy,
    latencyMs: {
      p50: percentile(sorted, 0.5),
      p99: percentile(sorted, 0.99),
      max: percentile(sorted, 1),
    },
    durationMs,
  };
}

/** One line with the figures of a run, and one line for each distinct reason of failure. */
export function describeLoad(result: LoadResult): string {
  const { p50, p99, max } = result.latencyMs;
  const reasons = new Map<string, number>();
  for (const { reason } of result.failures) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const servers = [...result.servedBy].map(([server, count]) => `${server} ${count}`).join(", ");
  return [
    `${result.requests} requests in ${(result.durationMs / 1000).toFixed(1)} s, ` +
      `${result.failures.length} failures, ${result.wrongBytes} with wrong bytes; ` +
      `latency ms p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} max ${max.toFixed(1)}; ${servers}`,
    ...[...reasons].map(([reason, count]) => `  ${count} × ${reason}`),
  ].join("\n");
}
