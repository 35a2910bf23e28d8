/**
 * Replies of a stream put together for comparison: the pieces of one body, however it was cut, become one group.
 * @module
 */
import {
  EMPTY,
  fromStruct,
  headerMutationOf,
  type Plain,
  type ProcessingResponse,
  type ReplyKind,
  removedHeadersOf,
  type SetHeader,
  setHeadersOf,
  streamedBodyOf,
} from "../support/ext-proc-messages.ts";

export interface ReplyGroup {
  readonly kind: ReplyKind;
  /** Headers set by the first message of the group. */
  readonly set: readonly SetHeader[];
  readonly removed: readonly string[];
  readonly clearRouteCache: boolean;
  /** Joined body of a body group or an immediate response. */
  body: Buffer;
  /** Of the last piece. */
  endOfStream: boolean;
  chunks: number;
  largestChunkBytes: number;
  /** Metadata of the last message that had any. */
  dynamicMetadata: Record<string, Plain>;
  /** HTTP status of an immediate response. */
  readonly status: number;
}

/** Adds a reply to the groups; throws on what full duplex does not allow. */
export function addReply(groups: ReplyGroup[], reply: ProcessingResponse): void {
  const kind = reply.response;
  if (kind === undefined) throw new Error("a reply without a case");
  const last = groups.at(-1);
  const metadata = fromStruct(reply.dynamicMetadata);
  if (kind === "requestBody" || kind === "responseBody") {
    const { body, endOfStream } = streamedBodyOf(reply);
    if (last?.kind === kind) {
      if (last.endOfStream) throw new Error(`${kind} reply after end_of_stream`);
      last.body = Buffer.concat([last.body, body]);
      last.endOfStream = endOfStream;
      last.chunks++;
      last.largestChunkBytes = Math.max(last.largestChunkBytes, body.length);
      if (Object.keys(metadata).length > 0) last.dynamicMetadata = metadata;
      return;
    }
    groups.push({ ...emptyGroup(reply, kind), body, endOfStream, dynamicMetadata: metadata });
    groups.at(-1)!.largestChunkBytes = body.length;
    return;
  }
  groups.push({
    ...emptyGroup(reply, kind),
    body: reply.immediateResponse?.body ?? EMPTY,
    dynamicMetadata: metadata,
  });
}

function emptyGroup(reply: ProcessingResponse, kind: ReplyKind): ReplyGroup {
  const mutation = headerMutationOf(reply);
  const common = reply.requestHeaders?.response ?? reply.responseHeaders?.response;
  return {
    kind,
    set: setHeadersOf(mutation),
    removed: removedHeadersOf(mutation),
    clearRouteCache: common?.clearRouteCache === true,
    body: EMPTY,
    endOfStream: false,
    chunks: 1,
    largestChunkBytes: 0,
    dynamicMetadata: {},
    // Unset is 200 to Envoy.
    status: reply.immediateResponse?.status?.code ?? 200,
  };
}

/** Value a header is set to, undefined when it is not set; the last one wins, as overwriting does. */
export function setValue(group: ReplyGroup, name: string): string | undefined {
  return group.set.findLast((header) => header.name === name.toLowerCase())?.value;
}
