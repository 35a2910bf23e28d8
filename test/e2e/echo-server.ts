/**
 * A model server for byte checks, run as a process of its own: it answers with the SHA-256 of what it received, the
 * destination header it saw, and a body that follows from the request headers alone.
 *
 *   x-echo-seed     seed of the response body            x-echo-length     length of its text (default 200)
 *   x-echo-stream   1: server-sent events, 10 pieces     x-echo-delay-ms   wait before the first byte
 *   x-echo-status   status of the answer (default 200)   x-echo-gap-ms     wait after each piece (default delay / 10)
 *   x-echo-gate     name of a gate: after its first piece the answer waits for `GET /release/<name>` at this server
 *
 * It prints `listening <ip:port>` when it is ready.
 * @module
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { delay } from "../support/deadline.ts";
import { renderPage } from "../support/metrics-page.ts";
import { responsePieces } from "./payload.ts";

const { values } = parseArgs({
  options: {
    address: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
  },
});

let running = 0;
let answered = 0;
/** Answers that wait, by the name of their gate. */
const gates = new Map<string, () => void>();
let servedBy = "";

function numberHeader(request: IncomingMessage, name: string, fallback: number): number {
  const value = request.headers[name];
  return typeof value === "string" ? Number(value) : fallback;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === "/metrics") {
    const page = renderPage({
      waiting: 0,
      running,
      kvCacheUsage: Math.min(1, running / 100),
      adapters: [],
    });
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
    response.end(`${page}# TYPE echo_answers_total counter\necho_answers_total ${answered}\n`);
    return;
  }
  if (request.url?.startsWith("/release/")) {
    gates.get(request.url.slice("/release/".length))?.();
    response.writeHead(204).end();
    return;
  }
  const hash = createHash("sha256");
  let received = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    hash.update(chunk);
    received += chunk.length;
  }
  const stream = request.headers["x-echo-stream"] === "1";
  const pieces = responsePieces(
    numberHeader(request, "x-echo-seed", 0),
    numberHeader(request, "x-echo-length", 200),
    stream,
  );
  const delayMs = numberHeader(request, "x-echo-delay-ms", 0);
  const gapMs = numberHeader(request, "x-echo-gap-ms", delayMs / 10);
  if (delayMs > 0) await delay(delayMs);
  response.writeHead(numberHeader(request, "x-echo-status", 200), {
    "content-type": stream ? "text/event-stream" : "application/json",
    "x-body-sha256": hash.digest("hex"),
    "x-body-bytes": String(received),
    "x-served-by": servedBy,
    "x-destination": String(request.headers["x-gateway-destination-endpoint"] ?? ""),
    ...(stream ? {} : { "content-length": String(pieces[0]!.length) }),
  });
  const gate = request.headers["x-echo-gate"];
  for (const [index, piece] of pieces.entries()) {
    if (response.destroyed) return;
    response.write(piece);
    if (stream && gapMs > 0) await delay(gapMs);
    if (index === 0 && typeof gate === "string") {
      await new Promise<void>((resolve) => gates.set(gate, resolve));
      gates.delete(gate);
    }
  }
  response.end();
  answered++;
}

const server = createServer((request, response) => {
  const counts = request.method === "POST";
  if (counts) running++;
  response.once("close", () => {
    if (counts) running--;
  });
  // An aborted upload ends the loop over the request with an error; there is nobody left to answer.
  answer(request, response).catch(() => response.destroy());
});
server.keepAliveTimeout = 60_000;
server.listen(Number(values.port), values.address, () => {
  const { address, port } = server.address() as AddressInfo;
  servedBy = `${address}:${port}`;
  process.stdout.write(`listening ${servedBy}\n`);
});
process.on("SIGTERM", () => process.exit(0));
