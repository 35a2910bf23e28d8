/**
 * Headers on their way through the embedded gateway: which ones ext_proc sees, which mutations count, which ones the
 * other side gets. The rules are Envoy's defaults (envoy: source/extensions/filters/http/ext_proc/mutation_utils.cc).
 * @module
 */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import {
  type HeaderPairs,
  headerMutationOf,
  type ProcessingResponse,
  removedHeadersOf,
  setHeadersOf,
} from "./ext-proc-messages.ts";

/** Headers of one connection, which a proxy never passes on. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
/** Names that a mutation can not change under Envoy's default rules; content-length is the proxy's business. */
const NOT_MUTABLE = new Set([":method", ":authority", ":scheme", "host", "content-length"]);

/** Name and value of each header line of a message, lower-case names, hop-by-hop headers left out. */
function endToEndHeaders(message: IncomingMessage): [string, string][] {
  const pairs: [string, string][] = [];
  const raw = message.rawHeaders;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase();
    if (!HOP_BY_HOP.has(name)) pairs.push([name, raw[at + 1]!]);
  }
  return pairs;
}

/** Request headers as Envoy hands them to ext_proc: pseudo headers first, x-request-id made when absent. */
export function requestPairs(request: IncomingMessage): [string, string][] {
  const rest = endToEndHeaders(request).filter(([name]) => name !== "host");
  const pairs: [string, string][] = [
    [":method", request.method ?? "GET"],
    [":path", request.url ?? "/"],
    [":authority", request.headers.host ?? ""],
    [":scheme", "http"],
    ...rest,
    ["x-forwarded-proto", "http"],
  ];
  if (request.headers["x-request-id"] === undefined) pairs.push(["x-request-id", randomUUID()]);
  return pairs;
}

/** Response headers as Envoy hands them to ext_proc. */
export function responsePairs(response: IncomingMessage): [string, string][] {
  return [[":status", String(response.statusCode ?? 0)], ...endToEndHeaders(response)];
}

/** True when a request message has a body by its framing headers. */
export function hasRequestBody(request: IncomingMessage): boolean {
  if (request.headers["transfer-encoding"] !== undefined) return true;
  const length = request.headers["content-length"];
  return length !== undefined && length !== "0";
}

/** True when a response to this method carries no body bytes. */
export function isBodiless(method: string | undefined, response: IncomingMessage): boolean {
  const status = response.statusCode ?? 0;
  return (
    method === "HEAD" ||
    status === 204 ||
    status === 304 ||
    response.headers["content-length"] === "0"
  );
}

/** The pairs after a reply's header mutation: set replaces all lines of the name, append adds one. */
export function mutated(pairs: HeaderPairs, reply: ProcessingResponse): [string, string][] {
  const mutation = headerMutationOf(reply);
  let out: [string, string][] = pairs.map(([name, value]) => [name, value]);
  const removed = new Set(removedHeadersOf(mutation).filter(isMutable));
  if (removed.size > 0) out = out.filter(([name]) => !removed.has(name));
  for (const header of setHeadersOf(mutation)) {
    if (!isMutable(header.name)) continue;
    if (!header.append) out = out.filter(([name]) => name !== header.name);
    out.push([header.name, header.value]);
  }
  return out;
}

function isMutable(name: string): boolean {
  return !NOT_MUTABLE.has(name) && !name.startsWith("x-envoy-");
}

/** Value of the first line with this name. */
export function firstValue(pairs: HeaderPairs, name: string): string | undefined {
  return pairs.find(([key]) => key === name)?.[1];
}

/** Name, value, name, value … of the lines that go on the wire: no pseudo headers, no content-length. */
export function wireHeaders(pairs: HeaderPairs): string[] {
  const flat: string[] = [];
  for (const [name, value] of pairs) {
    if (!name.startsWith(":") && name !== "content-length") flat.push(name, value);
  }
  return flat;
}

/** Name, value, name, value … as pairs with lower-case names. */
export function pairUp(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    pairs.push([raw[at]!.toLowerCase(), raw[at + 1]!]);
  }
  return pairs;
}
