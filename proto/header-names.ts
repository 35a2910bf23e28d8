/**
 * Every header and metadata key that the protocol knows. Headers have a small number each, so that decoding and reading
 * compare numbers and make no strings.
 * Sources: Gateway API inference extension, endpoint picker protocol 1.0; llm-d-router: pkg/epp/metadata/consts.go,
 * pkg/common/routing/common.go, pkg/epp/util/request/headers.go.
 * @module
 */
import { lowerAscii } from "./text.ts";

/** Number of each known header; 0 means a header that is not known. */
export const HeaderId = {
  path: 1,
  method: 2,
  authority: 3,
  scheme: 4,
  status: 5,
  protocol: 6,
  contentType: 7,
  contentLength: 8,
  contentEncoding: 9,
  requestId: 10,
  originalPath: 11,
  forwardedPath: 12,
  upgrade: 13,
  prefer: 14,
  expect: 15,
  cookie: 16,
  traceparent: 17,
  tracestate: 18,
  baggage: 19,
  grpcStatus: 20,
  objective: 21,
  objectiveAlias: 22,
  fairnessId: 23,
  fairnessIdAlias: 24,
  modelRewrite: 25,
  modelRewriteAlias: 26,
  sloTtft: 27,
  sloTtftAlias: 28,
  sloTpot: 29,
  sloTpotAlias: 30,
  videoFps: 31,
  videoDuration: 32,
  videoResolution: 33,
  destinationSubset: 34,
  destination: 35,
  destinationServed: 36,
  droppedReason: 37,
  prefiller: 38,
  encoders: 39,
  dataParallel: 40,
  kvCacheSource: 41,
  sessionToken: 42,
  sessionId: 43,
  claudeCodeSessionId: 44,
  sessionAffinity: 45,
  agentSessionId: 46,
  agentSessionIdUnderscore: 47,
  profile: 48,
  testEndpointSelection: 49,
  gatewayModelName: 50,
  gatewayBaseModelName: 51,
  wentIntoResponseHeaders: 52,
  conformanceServedEndpoint: 53,
  accept: 54,
} as const;

/**
 * What becomes of a header that the client sent: it passes, it is the protocol's own and handled by the gateway
 * (content-length), or it is removed because its name is ours: a control input already read, or an output that only we
 * may set. The outputs for the prefill/decode sidecar are among the removed: believed from a client they name the host
 * that the model server connects to.
 */
const Fate = { pass: 0, keepOwned: 1, remove: 2 } as const;
type Fate = (typeof Fate)[keyof typeof Fate];

const TABLE: Readonly<Record<keyof typeof HeaderId, readonly [name: string, fate: Fate]>> = {
  path: [":path", Fate.pass],
  method: [":method", Fate.pass],
  authority: [":authority", Fate.pass],
  scheme: [":scheme", Fate.pass],
  status: [":status", Fate.pass],
  protocol: [":protocol", Fate.pass],
  contentType: ["content-type", Fate.pass],
  contentLength: ["content-length", Fate.keepOwned],
  contentEncoding: ["content-encoding", Fate.pass],
  requestId: ["x-request-id", Fate.pass],
  originalPath: ["x-original-path", Fate.pass],
  forwardedPath: ["x-forwarded-path", Fate.pass],
  upgrade: ["upgrade", Fate.pass],
  prefer: ["prefer", Fate.pass],
  expect: ["expect", Fate.pass],
  cookie: ["cookie", Fate.pass],
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
  sessionToken: ["x-session-token", Fate.pass],
  sessionId: ["x-session-id", Fate.pass],
  claudeCodeSessionId: ["x-claude-code-session-id", Fate.pass],
  sessionAffinity: ["x-session-affinity", Fate.pass],
  agentSessionId: ["session-id", Fate.pass],
  agentSessionIdUnderscore: ["session_id", Fate.pass],
  profile: ["epp-profile", Fate.pass],
  testEndpointSelection: ["test-epp-endpoint-selection", Fate.pass],
  gatewayModelName: ["x-gateway-model-name", Fate.pass],
  gatewayBaseModelName: ["x-gateway-base-model-name", Fate.pass],
  wentIntoResponseHeaders: ["x-went-into-resp-headers", Fate.pass],
  conformanceServedEndpoint: ["x-conformance-test-served-endpoint", Fate.pass],
  accept: ["accept", Fate.pass],
};

/** Namespaces of metadata: of what the gateway tells and of what it is told. */
export const MetadataNamespace = {
  loadBalancing: "envoy.lb",
  subsetHint: "envoy.lb.subset_hint",
} as const;

/** Keys inside those namespaces. */
export const MetadataKey = {
  /** In subsetHint: list of `ip:port` that may be picked. */
  destinationSubset: "x-gateway-destination-endpoint-subset",
  /** In loadBalancing: what was picked, `ip:port[,ip:port…]`. */
  destination: "x-gateway-destination-endpoint",
  /** In loadBalancing: `ip:port` → score. */
  destinationScores: "x-gateway-destination-endpoint-scores",
  /** In loadBalancing, response phase: `ip:port` that has answered. */
  destinationServed: "x-gateway-destination-endpoint-served",
} as const;

/** Lower-case name by number; [0] is "". */
export const headerNames: readonly string[] = (() => {
  const names: string[] = [""];
  for (const key of Object.keys(TABLE) as (keyof typeof HeaderId)[]) {
    names[HeaderId[key]] = TABLE[key][0];
  }
  return names;
})();

const fates = new Uint8Array(headerNames.length);
for (const key of Object.keys(TABLE) as (keyof typeof HeaderId)[]) {
  fates[HeaderId[key]] = TABLE[key][1];
}

/** True for headers that are never taken over from the client as they are: the removed ones, and content-length. */
export function isSystemOwned(id: number): boolean {
  return fates[id] !== Fate.pass;
}

/** True for control and output headers: what a client sends under these names is removed from the request. */
export function isRemovedFromRequest(id: number): boolean {
  return fates[id] === Fate.remove;
}

interface KnownName {
  readonly id: number;
  readonly name: Uint8Array;
}

/** Known names by their length: names of one length are few, and differ most at their ends. */
const byLength: KnownName[][] = [];
for (let id = 1; id < headerNames.length; id++) {
  const name = Uint8Array.from(headerNames[id]!, (letter) => letter.charCodeAt(0));
  while (byLength.length <= name.length) byLength.push([]);
  byLength[name.length]!.push({ id, name });
}

/** Number of the name at bytes[start, end), ASCII letters compared without case; 0 = not known. */
export function headerIdOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length >= byLength.length) return 0;
  const known = byLength[length]!;
  for (let k = 0; k < known.length; k++) {
    const { id, name } = known[k]!;
    let i = length - 1;
    while (i >= 0 && lowerAscii(bytes[start + i]!) === name[i]) i--;
    if (i < 0) return id;
  }
  return 0;
}
