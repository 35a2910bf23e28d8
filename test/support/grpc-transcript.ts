/**
 * Plays an ExchangePlan with @grpc/grpc-js as the client, and writes down what the client has seen.
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import { type ExchangePlan, expectedOf, KNOWN_PATH, messagesOf } from "./exchange-plan.ts";
import { digestOf } from "./scripted-handler.ts";

export interface GrpcTranscript {
  readonly messages: readonly string[];
  readonly code: number;
  readonly details: string;
  readonly trailers: string;
}

const same = (bytes: Buffer): Buffer => bytes;

/** Resolves when the exchange is over. Cuts, headers and methods are the client's own business. */
export function playOverGrpc(
  client: grpc.Client,
  plan: ExchangePlan,
  key: string,
): Promise<GrpcTranscript> {
  const path = plan.path === KNOWN_PATH ? KNOWN_PATH : "/t.T/None";
  const expected = expectedOf({
    ...plan,
    contentType: "application/grpc",
    lengthLie: null,
    method: "POST",
    path,
  });
  const call = client.makeBidiStreamRequest(path, same, same);
  const messages: string[] = [];
  return new Promise((resolve) => {
    let isWritten = false;
    const look = (): void => {
      const isAnyAnswer = messages.length > 0 && plan.reset === "after";
      const isDone = isWritten && !expected.isEnded && messages.length >= expected.replies;
      if (isAnyAnswer || isDone) call.cancel();
    };
    call.on("data", (message: Buffer) => {
      messages.push(`${message.length} ${digestOf(message)}`);
      look();
    });
    call.on("error", () => {}); // the status says it
    call.on("status", ({ code, details, metadata }) => {
      const isCut = code === grpc.status.CANCELLED;
      resolve({
        messages: isCut && plan.reset === "after" ? messages.slice(0, 1) : messages,
        code,
        details,
        trailers: isCut ? "" : JSON.stringify({ ...metadata.getMap(), date: undefined }),
      });
    });
    for (const message of messagesOf(plan, key)) call.write(message);
    if (plan.reset === "before") call.cancel();
    else if (plan.closing !== "never") call.end();
    isWritten = true;
    look();
  });
}
