/**
 * What one pass over the request headers gives: facts for parsing and scheduling, and the names that must not reach the
 * model server. Other headers are left where they are: nothing is echoed.
 * @module
 */
import { randomUUID } from "node:crypto";
import {
  type HeaderBlock,
  HeaderId,
  headerNames,
  isRemovedFromRequest,
} from "../../proto/index.ts";
import type { VideoHeaders } from "../request/media-estimate.ts";
import { type HeaderValues, NO_PLUGIN_HEADERS, type PluginHeaders } from "./plugin-headers.ts";

/** Where a request without any path is taken to go. */
export const DEFAULT_PATH = "/v1/completions";

export const requestHeaderLimits = {
  /**
   * Characters kept of an id or a name that lives as long as its exchange: ids have 36, Kubernetes names at most 253,
   * and a client can send as much as the gateway lets through.
   */
  keptCharsMax: 256,
} as const;

export class RequestHeaders {
  /** As in `:path`, query included. */
  readonly path: string;
  /** For logs and decision records only: clients choose it, so it names nothing. */
  readonly requestId: string;
  /** The client sent no id, so that ours goes to the model server. */
  readonly isRequestIdOurs: boolean;
  /** "" = not told, of these three. */
  readonly objective: string;
  readonly fairnessId: string;
  readonly modelRewrite: string;
  /** What is told of a video in the body; null = nothing. */
  readonly video: VideoHeaders | null;
  /** Id of the session that the request belongs to, by the first of SESSION_HEADERS that is there; "" = none. */
  readonly sessionId: string;
  /** Errors are wanted as gRPC status. */
  readonly isGrpc: boolean;
  /** The client asks for JSON by name. */
  readonly acceptsJson: boolean;
  /** CONNECT, or a change of protocol: the body has no end to wait for. */
  readonly isUpgrade: boolean;
  /** Coding of the body in lower case, "" = none. */
  readonly contentEncoding: string;
  /** Control and output headers that the client sent, each name once. */
  remove: readonly string[];
  /** `prefer: if-available`: the request is to be refused where nobody holds some of its prompt. */
  readonly ifAvailable: boolean;
  /** Values for plugins, by lower-case name. */
  readonly forPlugins: HeaderValues;

  constructor(headers: HeaderBlock, pluginHeaders: PluginHeaders = NO_PLUGIN_HEADERS) {
    let path = "";
    let originalPath = "";
    let forwardedPath = "";
    let requestId = "";
    let contentEncoding = "";
    let isGrpc = false;
    let acceptsJson = false;
    let isInSession = false;
    let isUpgrade = false;
    let remove = NO_NAMES;
    let ifAvailable = false;
    const { count, id } = headers;
    for (let i = 0; i < count; i++) {
      switch (id[i]) {
        case 0:
          break;
        case HeaderId.path:
          path = headers.value(i);
          break;
        case HeaderId.originalPath:
          originalPath = headers.value(i);
          break;
        case HeaderId.forwardedPath:
          forwardedPath = headers.value(i);
          break;
        case HeaderId.method:
          if (headers.value(i) === "CONNECT") isUpgrade = true;
          break;
        case HeaderId.requestId:
          requestId = headers.value(i);
          break;
        case HeaderId.contentType:
          isGrpc = headers.value(i).toLowerCase().startsWith("application/grpc");
          break;
        case HeaderId.contentEncoding:
          contentEncoding = withCoding(contentEncoding, headers.value(i));
          break;
        case HeaderId.prefer:
          ifAvailable ||= hasPreference(headers.value(i), IF_AVAILABLE);
          break;
        case HeaderId.accept:
          acceptsJson ||= namesJson(headers, i);
          break;
        case HeaderId.sessionId:
        case HeaderId.claudeCodeSessionId:
        case HeaderId.sessionAffinity:
        case HeaderId.agentSessionId:
        case HeaderId.agentSessionIdUnderscore:
          isInSession = true;
          break;
        case HeaderId.upgrade:
        case HeaderId.protocol:
          isUpgrade = true;
          break;
        default:
          if (isRemovedFromRequest(id[i]!)) remove = withName(remove, headerNames[id[i]!]!);
          break;
      }
    }
    this.path = path || originalPath || forwardedPath || DEFAULT_PATH;
    this.isRequestIdOurs = requestId === "";
    this.requestId = this.isRequestIdOurs ? randomUUID() : shortened(requestId);
    // Control headers are always removed from the request, so a request without any to remove has none.
    const hasControls = remove.length > 0;
    this.objective = hasControls
      ? valueUnder(headers, HeaderId.objective, HeaderId.objectiveAlias)
      : "";
    this.ifAvailable = ifAvailable;
    this.forPlugins = pluginHeaders.read(headers);
    this.fairnessId =
      (hasControls ? valueUnder(headers, HeaderId.fairnessId, HeaderId.fairnessIdAlias) : "") ||
      shortened(pluginHeaders.fairnessIdOf(this.forPlugins));
    this.modelRewrite = hasControls
      ? (headers.get(HeaderId.modelRewrite) ?? headers.get(HeaderId.modelRewriteAlias) ?? "")
      : "";
    this.video = hasControls ? videoOf(headers) : null;
    this.sessionId = isInSession ? firstValue(headers, SESSION_HEADERS) : "";
    this.isGrpc = isGrpc;
    this.acceptsJson = acceptsJson;
    this.isUpgrade = isUpgrade;
    this.contentEncoding = contentEncoding;
    this.remove = remove;
  }

  /** The body that goes on is not encoded any more. */
  removeContentEncoding(): void {
    this.remove = [...this.remove, headerNames[HeaderId.contentEncoding]!];
  }
}

const JSON_TYPE = "application/json";

/** Most clients accept anything, which is shorter: no text is made of it. */
function namesJson(headers: HeaderBlock, row: number): boolean {
  if (headers.valueEnd[row]! - headers.valueStart[row]! < JSON_TYPE.length) return false;
  return headers.value(row).toLowerCase().includes(JSON_TYPE);
}

/** Headers that clients name their session in, the first that is there counts. */
const SESSION_HEADERS: readonly number[] = [
  HeaderId.sessionId,
  HeaderId.claudeCodeSessionId,
  HeaderId.sessionAffinity,
  HeaderId.agentSessionId,
  HeaderId.agentSessionIdUnderscore,
];

function firstValue(headers: HeaderBlock, ids: readonly number[]): string {
  for (const id of ids) {
    const value = headers.get(id);
    if (value !== undefined && value !== "") return shortened(value);
  }
  return "";
}

/** Codings so far and those of one more header, without `identity`, which is none; `x-gzip` is an old name. */
function withCoding(codings: string, value: string): string {
  let all = codings;
  for (const part of shortened(value).toLowerCase().split(",")) {
    const coding = part.trim().replace(/^x-gzip$/, "gzip");
    if (coding === "" || coding === "identity") continue;
    all = all === "" ? coding : `${all}, ${coding}`;
  }
  return all;
}

const NO_NAMES: string[] = [];
const IF_AVAILABLE = "if-available";

/** True when a Prefer header (RFC 7240) has this preference; its parameters do not matter. */
function hasPreference(header: string, preference: string): boolean {
  return header.split(",").some((part) => {
    const semicolon = part.indexOf(";");
    const token = semicolon < 0 ? part : part.slice(0, semicolon);
    return token.trim().toLowerCase() === preference;
  });
}

/** Adds a name once; most requests have none, and share the empty list. */
function withName(names: string[], name: string): string[] {
  if (names === NO_NAMES) return [name];
  if (!names.includes(name)) names.push(name);
  return names;
}

function valueUnder(headers: HeaderBlock, id: number, alias: number): string {
  return shortened(headers.get(id) ?? headers.get(alias) ?? "");
}

function videoOf(headers: HeaderBlock): VideoHeaders | null {
  const fps = headers.get(HeaderId.videoFps) ?? "";
  const durationSeconds = headers.get(HeaderId.videoDuration) ?? "";
  const resolution = headers.get(HeaderId.videoResolution) ?? "";
  if (fps === "" && durationSeconds === "" && resolution === "") return null;
  return { fps, durationSeconds, resolution };
}

function shortened(value: string): string {
  const { keptCharsMax } = requestHeaderLimits;
  if (value.length <= keptCharsMax) return value;
  // Through bytes, since a slice would keep the whole text alive.
  return Buffer.from(value.slice(0, keptCharsMax)).toString();
}
