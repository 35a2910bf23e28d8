/**
 * The embedded gateway's side towards a model server.
 * @module
 */
import { type Agent, type ClientRequest, request } from "node:http";
import type { HeaderPairs } from "./ext-proc-messages.ts";
import { firstValue, wireHeaders } from "./gateway-headers.ts";

/**
 * Opens a request to `ip:port`; bodies go out chunked, since their length may have changed on the way.
 *
 * @returns null when the destination is not an address
 */
export function openUpstream(
  agent: Agent,
  headers: HeaderPairs,
  destination: string,
  withBody: boolean,
): ClientRequest | null {
  const colon = destination.lastIndexOf(":");
  const port = Number(destination.slice(colon + 1));
  if (colon <= 0 || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
  const method = firstValue(headers, ":method") ?? "GET";
  const expectsBody = method !== "GET" && method !== "HEAD";
  const framing = withBody
    ? ["transfer-encoding", "chunked"]
    : expectsBody
      ? ["content-length", "0"]
      : [];
  const upstream = request({
    agent,
    host: destination.slice(0, colon).replace(/^\[|\]$/g, ""),
    port,
    method,
    path: firstValue(headers, ":path") ?? "/",
    headers: ["host", firstValue(headers, ":authority") ?? "", ...wireHeaders(headers), ...framing],
  });
  // Headers go on when they are decided; a model server may answer them before the body is there.
  if (withBody) upstream.flushHeaders();
  return upstream;
}
