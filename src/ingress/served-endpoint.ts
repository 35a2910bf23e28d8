/**
 * Which endpoint has served a request, as the gateway tells it in the metadata of the answer's headers: after a retry it
 * is not the one that was picked first. Plain Envoy does not tell it.
 * @module
 */
import {
  decodeMetadata,
  HeaderId,
  headerNames,
  MetadataKey,
  MetadataNamespace,
  metadataValue,
  type ProcessingRequest,
} from "../../proto/index.ts";

/** Name of the header that conformance tests read. */
export const SERVED_HEADER = headerNames[HeaderId.conformanceServedEndpoint]!;

/** What an address may be made of, and its length: it may become a header. */
const ADDRESS = /^[\x21-\x7e]{1,256}$/;

/** @returns `ip:port`, or null when the message does not say */
export function servedEndpointOf(message: ProcessingRequest): string | null {
  if (message.metadataStart < 0) return null;
  const value = metadataValue(
    message.bytes,
    message.metadataStart,
    message.metadataEnd,
    MetadataNamespace.loadBalancing,
    MetadataKey.destinationServed,
  );
  return typeof value === "string" && ADDRESS.test(value) ? value : null;
}

/** What SERVED_HEADER says: the endpoint, or what was missing. */
export function servedVerdictOf(message: ProcessingRequest): string {
  const served = servedEndpointOf(message);
  if (served !== null) return served;
  const { bytes, metadataEnd, metadataStart } = message;
  const metadata = metadataStart < 0 ? null : decodeMetadata(bytes, metadataStart, metadataEnd);
  return metadata instanceof Map && metadata.has(MetadataNamespace.loadBalancing)
    ? "fail: missing destination endpoint served metadata"
    : "fail: missing envoy lb metadata";
}
