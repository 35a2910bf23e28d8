/**
 * One completion request as a gateway sends it, step by step.
 * @module
 */
import type { ExtProcClient, ExtProcStream } from "./ext-proc-client.ts";
import type { ProcessingResponse } from "./ext-proc-messages.ts";

const DESTINATION = "x-gateway-destination-endpoint";

/** Opens an exchange and sends the whole request. */
export function sendRequest(client: ExtProcClient, model = "m"): ExtProcStream {
  const stream = sendHeaders(client);
  stream.sendRequestBody(Buffer.from(JSON.stringify({ model, prompt: "hello" })), true);
  return stream;
}

/** Opens an exchange that waits for the rest of its request. */
export function sendHalf(client: ExtProcClient): ExtProcStream {
  const stream = sendHeaders(client);
  stream.sendRequestBody(Buffer.from('{"model":"m","prompt":"hel'), false);
  return stream;
}

function sendHeaders(client: ExtProcClient): ExtProcStream {
  const stream = client.open();
  stream.sendRequestHeaders(
    [
      [":path", "/v1/completions"],
      [":method", "POST"],
      ["content-type", "application/json"],
    ],
    false,
  );
  return stream;
}

/** The endpoint that a reply to the request sends it to, or the status and the reason of the refusal. */
export function answerIn(reply: ProcessingResponse | null): string {
  const immediate = reply?.immediateResponse;
  if (immediate !== undefined) {
    const headers = immediate.headers?.setHeaders ?? [];
    const reason = headers.find(({ header }) => header?.key === "x-llm-d-request-dropped-reason");
    return `${immediate.status?.code} ${String(reason?.header?.rawValue ?? "")}`;
  }
  const headers = reply?.requestHeaders?.response?.headerMutation?.setHeaders ?? [];
  const destination = headers.find(({ header }) => header?.key === DESTINATION);
  return String(destination?.header?.rawValue ?? "nothing");
}

/** Sends a request, waits for the answer, and leaves as a gateway does whose client is gone. */
export async function pickOnce(client: ExtProcClient): Promise<string> {
  const stream = sendRequest(client);
  try {
    return answerIn(await stream.next());
  } finally {
    stream.cancel();
    await stream.closed;
  }
}

/** Plays the response of a model server and waits until the exchange is over. */
export async function finishExchange(stream: ExtProcStream): Promise<void> {
  stream.sendResponseHeaders([[":status", "200"]], false);
  stream.sendResponseBody(Buffer.from("{}"), true);
  for (;;) {
    const reply = await stream.next();
    if (reply === null) throw new Error("the exchange ended before its response was answered");
    if (reply.responseBody !== undefined) break;
  }
  stream.halfClose();
  await stream.closed;
}
