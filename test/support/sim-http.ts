/**
 * A client of emulated servers that can do what a well-behaved one does not: send a body in pieces, leave, not read.
 * @module
 */
import { once } from "node:events";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { within } from "./deadline.ts";

const ANSWER_TIMEOUT_MS = 10_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

/** Opens a POST whose body the caller writes; `connection: close` unless `headers` say otherwise. */
export function openPost(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): ClientRequest {
  const request = httpRequest(new URL(path, url), {
    method: "POST",
    agent: false,
    headers: { "content-type": "application/json", ...headers },
  });
  // A test that resets a connection learns of it from the server's side.
  request.on("error", () => {});
  return request;
}

/** The response's head; its body is not read. */
export async function headOf(request: ClientRequest): Promise<IncomingMessage> {
  const head = new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
  });
  return await within(head, ANSWER_TIMEOUT_MS, "answer");
}

/** The whole answer. */
export async function answerTo(request: ClientRequest): Promise<Answer> {
  const response = await headOf(request);
  let text = "";
  response.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await within(once(response, "end"), ANSWER_TIMEOUT_MS, "end of the answer");
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

/** Posts a value as JSON, or text and bytes as they are. */
export async function post(url: string, path: string, body: unknown): Promise<Answer> {
  const request = openPost(url, path);
  const raw = typeof body === "string" || Buffer.isBuffer(body);
  request.end(raw ? body : JSON.stringify(body));
  return await answerTo(request);
}

/** The data of each server-sent event of a body, in order. */
export function eventsOf(text: string): string[] {
  if (!text.endsWith("\n\n"))
    throw new Error(`events do not end with a blank line: ${text.slice(-80)}`);
  return text
    .slice(0, -2)
    .split("\n\n")
    .map((event) => {
      if (!event.startsWith("data: ") || event.includes("\n")) {
        throw new Error(`not one line of data: ${event}`);
      }
      return event.slice("data: ".length);
    });
}
