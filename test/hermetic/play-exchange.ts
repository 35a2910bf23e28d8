/**
 * Plays the messages of one case over one ext_proc stream and gathers the replies.
 *
 *   request messages ──▶ (wait for their replies) ──▶ response messages ──▶ (wait for the goal) ──▶ half-close
 *
 * After the half-close the stream is read to its end: a reply that nobody asked for shows up as one too many, without
 * any time being waited for it.
 * @module
 */
import { status as GrpcStatus } from "@grpc/grpc-js";
import type { ExtProcClient, ExtProcStream } from "../support/ext-proc-client.ts";
import { bodyBytes, type Send } from "./case-file.ts";
import { type ExpectedGroup, expectedLength } from "./expectations.ts";
import { addReply, type ReplyGroup } from "./reply-groups.ts";

/** "10 s per exchange" of the format. */
const EXCHANGE_TIMEOUT_MS = 10_000;

/** When a stream has given all that is due. */
export type Goal = (groups: readonly ReplyGroup[]) => boolean;

function isComplete(group: ReplyGroup): boolean {
  const isBody = group.kind === "requestBody" || group.kind === "responseBody";
  return !isBody || group.endOfStream;
}

/** The goal of a case that lists its replies. */
export function repliesAsExpected(expected: readonly ExpectedGroup[]): Goal {
  return (groups) => {
    if (groups.length < expected.length) return groups.at(-1)?.kind === "immediateResponse";
    const found = groups.at(-1);
    const wanted = expected.at(-1);
    if (found === undefined || wanted === undefined) return true;
    if (wanted.bodies.at(-1)?.endOfStream !== false) return isComplete(found);
    return found.body.length >= (expectedLength(wanted) ?? 0);
  };
}

/** The goal of a transaction that only counts its replies. */
export function replyCount(count: number): Goal {
  return (groups) =>
    groups.at(-1)?.kind === "immediateResponse" ||
    (groups.length >= count && isComplete(groups.at(-1)!));
}

export interface Exchange {
  readonly groups: readonly ReplyGroup[];
  /** What went wrong besides the content of the replies. */
  readonly faults: readonly string[];
}

function sendOne(stream: ExtProcStream, send: Send): void {
  const { metadata } = send;
  if (send.requestHeaders !== undefined) {
    const { headers, endOfStream } = send.requestHeaders;
    stream.sendRequestHeaders(Object.entries(headers), endOfStream, metadata);
  }
  if (send.requestBody !== undefined) {
    stream.sendRequestBody(bodyBytes(send.requestBody), send.requestBody.endOfStream, metadata);
  }
  if (send.requestTrailers !== undefined) {
    stream.sendRequestTrailers(Object.entries(send.requestTrailers.headers), metadata);
  }
  if (send.responseHeaders !== undefined) {
    const { headers, endOfStream } = send.responseHeaders;
    stream.sendResponseHeaders(Object.entries(headers), endOfStream, metadata);
  }
  if (send.responseBody !== undefined) {
    stream.sendResponseBody(bodyBytes(send.responseBody), send.responseBody.endOfStream, metadata);
  }
  if (send.responseTrailers !== undefined) {
    stream.sendResponseTrailers(Object.entries(send.responseTrailers.headers), metadata);
  }
}

function endsRequest(send: Send): boolean {
  return (
    send.requestTrailers !== undefined ||
    send.requestBody?.endOfStream === true ||
    send.requestHeaders?.endOfStream === true
  );
}

/** The request half has been answered in full. */
function requestAnswered(sends: readonly Send[]): Goal {
  const headersOnly = sends.some(({ requestHeaders }) => requestHeaders?.endOfStream === true);
  const withTrailers = sends.some(({ requestTrailers }) => requestTrailers !== undefined);
  return (groups) => {
    const last = groups.at(-1);
    if (last === undefined) return false;
    if (last.kind === "immediateResponse") return true;
    if (headersOnly) return last.kind === "requestHeaders";
    return withTrailers
      ? last.kind === "requestTrailers"
      : last.kind === "requestBody" && last.endOfStream;
  };
}

/**
 * Bytes of response body that must have come back after each response chunk sent, for cases that expect one reply a
 * chunk: there nothing may be held back until the end.
 */
export function pacedResponse(
  sends: readonly Send[],
  expected: readonly ExpectedGroup[],
): readonly number[] | null {
  const sent = sends.filter(({ responseBody }) => responseBody !== undefined).length;
  const group = expected.find(({ kind }) => kind === "responseBody");
  if (group === undefined || sent < 2 || group.bodies.length !== sent) return null;
  let total = 0;
  return group.bodies.map((body) => {
    total += bodyBytes(body).length;
    return total;
  });
}

/** Plays the messages; never throws for what the other side does. */
export async function playExchange(
  client: ExtProcClient,
  sends: readonly Send[],
  goal: Goal,
  paced: readonly number[] | null = null,
): Promise<Exchange> {
  const stream = client.open();
  const groups: ReplyGroup[] = [];
  const faults: string[] = [];
  const end = performance.now() + EXCHANGE_TIMEOUT_MS;
  let open = true;
  const readUntil = async (reached: Goal): Promise<void> => {
    while (open && !reached(groups)) {
      const reply = await stream.next(Math.max(1, end - performance.now()));
      if (reply === null) open = false;
      else addReply(groups, reply);
    }
  };
  try {
    const requestHalf = sends.filter((send) => !isResponseMessage(send));
    const responseHalf = sends.filter(isResponseMessage);
    for (const send of requestHalf) sendOne(stream, send);
    if (responseHalf.length > 0 && requestHalf.some(endsRequest)) {
      await readUntil(requestAnswered(requestHalf));
    }
    let chunk = 0;
    for (const send of responseHalf) {
      sendOne(stream, send);
      if (send.responseBody === undefined || paced === null) continue;
      const due = paced[chunk++]!;
      await readUntil((seen) => {
        const last = seen.at(-1);
        return last?.kind === "responseBody" && last.body.length >= due;
      });
    }
    await readUntil(goal);
    stream.halfClose();
    await readUntil(() => false);
    const { code, details } = await stream.closed;
    if (code !== GrpcStatus.OK) faults.push(`stream ended with ${GrpcStatus[code]}: ${details}`);
  } catch (error) {
    faults.push((error as Error).message);
  } finally {
    stream.cancel();
  }
  return { groups, faults };
}

function isResponseMessage(send: Send): boolean {
  return (
    send.responseHeaders !== undefined ||
    send.responseBody !== undefined ||
    send.responseTrailers !== undefined
  );
}
