/**
 * Every header the protocol knows, with a small number each, so that decoding compares numbers and makes no strings.
 * Sources: Gateway API inference extension, endpoint picker protocol 1.0; llm-d-router: pkg/epp/metadata.
 * @module
 */

/** What becomes of a header that the client sent. */
const Fate = { pass: 0, remove: 1 } as const;

/** Name, and whether the client's value must not reach the model server. */
const TABLE = {
  path: [":path", Fate.pass],
  method: [":method", Fate.pass],
  authority: [":authority", Fate.pass],
  scheme: [":scheme", Fate.pass],
  status: [":status", Fate.pass],
  protocol: [":protocol", Fate.pass],
  contentType: ["content-type", Fate.pass],
  contentLength: ["content-length", Fate.pass],
  contentEncoding: ["content-encoding", Fate.pass],
  requestId: ["x-request-id", Fate.pass],
  originalPath: ["x-original-path", Fate.pass],
  forwardedPath: ["x-forwarded-path", Fate.pass],
  upgrade: ["upgrade", Fate.pass],
  prefer: ["prefer", Fate.pass],
  traceparent: ["traceparent", Fate.pass],
  tracestate: ["tracestate", Fate.pass],
  baggage: ["baggage", Fate.pass],
  grpcStatus: ["grpc-status", Fate.pass],
  objective: ["x-llm-d-inference-objective", Fate.remove],
  objectiveAlias: ["x-gateway-inference-objective", Fate.remove],
  fairnessId: ["x-llm-d-inference-fairness-id", Fate.remove],
  fairnessIdAlias: ["x-gateway-inference-fairness-id", Fate.remove],
  modelRewrite: ["x-llm-d-model-name-rewrite", Fate.remove],
  modelRewriteAlias: ["x-gateway-model-name-rewrite", Fate.remove],
  sloTtft: ["x-llm-d-slo-ttft-ms", Fate.remove],
  sloTtftAlias: ["x-slo-ttft-ms", Fate.remove],
  sloTpot: ["x-llm-d-slo-tpot-ms", Fate.remove],
  sloTpotAlias: ["x-slo-tpot-ms", Fate.remove],
  videoFps: ["x-llm-d-video-fps", Fate.remove],
  videoDuration: ["x-llm-d-video-duration-seconds", Fate.remove],
  videoResolution: ["x-llm-d-video-resolution", Fate.remove],
  destinationSubset: ["x-gateway-destination-endpoint-subset", Fate.remove],
  destination: ["x-gateway-destination-endpoint", Fate.remove],
  destinationServed: ["x-gateway-destination-endpoint-served", Fate.remove],
  droppedReason: ["x-llm-d-request-dropped-reason", Fate.remove],
  prefiller: ["x-prefiller-host-port", Fate.remove],
  encoders: ["x-encoder-hosts-ports", Fate.remove],
  dataParallel: ["x-data-parallel-host-port", Fate.remove],
  kvCacheSource: ["x-kv-cache-source-host-port", Fate.remove],
} as const;

type HeaderKey = keyof typeof TABLE;

const keys = Object.keys(TABLE) as HeaderKey[];

/** Number of each known header; 0 means unknown. */
export const HeaderId = Object.fromEntries(keys.map((key, i) => [key, i + 1])) as {
  readonly [K in HeaderKey]: number;
};

/** Lower-case name by number; [0] is "". */
export const headerNames: readonly string[] = ["", ...keys.map((key) => TABLE[key][0])];

const removed = Uint8Array.from([0, ...keys.map((key) => TABLE[key][1])]);

/** True for control and output headers: what a client sends under these names is removed from the request. */
export function isRemovedFromRequest(id: number): boolean {
  return removed[id] === 1;
}

/** Known names by length, as bytes. */
const byLength: (readonly { readonly id: number; readonly name: Uint8Array }[])[] = [];
{
  const encoder = new TextEncoder();
  headerNames.forEach((text, id) => {
    if (id === 0) return;
    const name = encoder.encode(text);
    byLength[name.length] = [...(byLength[name.length] ?? []), { id, name }];
  });
}

/** Number of the name at bytes[start, end), ASCII letters compared without case; 0 = unknown. */
export function headerIdOf(bytes: Uint8Array, start: number, end: number): number {
  const bucket = byLength[end - start];
  if (bucket === undefined) return 0;
  next: for (let k = 0; k < bucket.length; k++) {
    const { id, name } = bucket[k]!;
    // From the back: names of one length differ most at their ends.
    for (let i = name.length - 1; i >= 0; i--) {
      const byte = bytes[start + i]!;
      const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      if (lower !== name[i]) continue next;
    }
    return id;
  }
  return 0;
}
