/**
 * The gateway's hint which endpoints may be picked, as it stands in the metadata of a message. What its entries mean is
 * the scheduler's to know.
 * @module
 */
import {
  MetadataKey,
  MetadataNamespace,
  metadataValue,
  type ProcessingRequest,
} from "../../proto/index.ts";
import type { SubsetHint } from "../../scheduler/index.ts";

/**
 * Reads the hint of a message: a list of entries, or one text, which header-to-metadata filters make.
 *
 * @returns null when the message has none, or something that is neither list nor text
 */
export function subsetHintOf(message: ProcessingRequest): SubsetHint | null {
  if (message.metadataStart < 0) return null;
  const value = metadataValue(
    message.bytes,
    message.metadataStart,
    message.metadataEnd,
    MetadataNamespace.subsetHint,
    MetadataKey.destinationSubset,
  );
  if (typeof value === "string") return [value];
  // A list that holds no text names nobody, which is not the same as no hint.
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : null;
}
