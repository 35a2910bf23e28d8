/**
 * What all exchanges of one ingress thread share: scratch objects that are filled and emptied within one call, bounds,
 * and the ways out (scheduler, metrics).
 * @module
 */
import { ProcessingRequest } from "../../proto/index.ts";
import { type Clock, hashName, type NameHash } from "../../scheduler/index.ts";
import type { RequestMetrics } from "../metrics/request-metrics.ts";
import type { ResourceStore } from "../request/inference-resources.ts";
import { defaultMediaEstimate, type MediaEstimate } from "../request/media-tokens.ts";
import { ParsedBody, type UsageFormat } from "../request/parsers/parser.ts";
import type { ParserTable } from "../request/parsers/registry.ts";
import { type AnswerPlan, DEFAULT_ANSWER_PLAN } from "../response/answer-plan.ts";
import { BodyBudget } from "./body-buffer.ts";
import { BodyDecoder } from "./body-decoder.ts";
import { LongWork } from "./long-work.ts";
import { NO_PLUGIN_HEADERS, type PluginHeaders } from "./plugin-headers.ts";
import type { ErrorFormat } from "./rejection.ts";
import { ReplyBuffer } from "./reply-buffer.ts";
import { DEFAULT_PATH } from "./request-headers.ts";
import type { SchedulerPort } from "./scheduler-port.ts";

export interface IngressLimits {
  /** One gRPC message, bytes. */
  readonly messageBytesMax: number;
  /** One request body, bytes: 413 above. */
  readonly requestBodyBytesMax: number;
  /** All request bodies held at one time, bytes: 503 above. */
  readonly bodyBytesInFlightMax: number;
}

export interface IngressOptions {
  readonly port: SchedulerPort;
  readonly parsers: ParserTable;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  readonly limits: IngressLimits;
  /** --disable-endpoint-subset-filter */
  readonly disableSubsetFilter: boolean;
  /** --emit-endpoint-scores */
  readonly emitScores: boolean;
  /** What answers are looked at for; absent = their token usage. */
  readonly answers?: AnswerPlan;
  /** Request headers that plugins read; absent = none. */
  readonly pluginHeaders?: PluginHeaders;
  /** How tokens of images, videos and sounds are estimated; absent = upstream's defaults. */
  readonly mediaEstimate?: MediaEstimate;
  /** --error-format */
  readonly errorFormat: ErrorFormat;
  /** Objectives and model rewrites of the pool. */
  readonly resources: ResourceStore;
  /** A fault of ours while a request was handled; the exchange goes on as far as it can. */
  readonly onFault?: (error: unknown) => void;
}

/** Hashes of model names seen, so that a name is hashed once; bounded. */
export class ModelHashes {
  readonly #byName = new Map<string, NameHash>();

  get(name: string): NameHash {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#byName.size >= MODEL_HASHES_MAX) this.#byName.clear();
    const hash = hashName(name);
    this.#byName.set(name, hash);
    return hash;
  }
}

/** Names come from clients; a flood of made-up ones empties the cache instead of filling memory. */
const MODEL_HASHES_MAX = 1024;

export class IngressContext {
  readonly port: SchedulerPort;
  readonly parsers: ParserTable;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  readonly limits: IngressLimits;
  readonly disableSubsetFilter: boolean;
  readonly emitScores: boolean;
  readonly answers: AnswerPlan;
  /** Of answers whose request was not seen. */
  readonly answerFormat: UsageFormat;
  readonly pluginHeaders: PluginHeaders;
  readonly mediaEstimate: MediaEstimate;
  readonly errorFormat: ErrorFormat;
  readonly resources: ResourceStore;
  readonly onFault: (error: unknown) => void;
  readonly reply = new ReplyBuffer();
  readonly message = new ProcessingRequest();
  readonly parsed = new ParsedBody();
  readonly longWork = new LongWork();
  readonly bodyDecoder = new BodyDecoder();
  /** The same as `parsed` for long work, which keeps it over several turns. */
  readonly parsedLong = new ParsedBody();
  readonly modelHashes = new ModelHashes();
  readonly bodyBudget: BodyBudget;
  /** Exchanges open now. */
  openStreams = 0;

  constructor(options: IngressOptions) {
    this.port = options.port;
    this.parsers = options.parsers;
    this.metrics = options.metrics;
    this.clock = options.clock;
    this.limits = options.limits;
    this.disableSubsetFilter = options.disableSubsetFilter;
    this.emitScores = options.emitScores;
    this.answers = options.answers ?? DEFAULT_ANSWER_PLAN;
    this.answerFormat = options.parsers.resolve(DEFAULT_PATH)?.usage ?? "none";
    this.pluginHeaders = options.pluginHeaders ?? NO_PLUGIN_HEADERS;
    this.mediaEstimate = options.mediaEstimate ?? defaultMediaEstimate;
    this.errorFormat = options.errorFormat;
    this.resources = options.resources;
    this.onFault = options.onFault ?? (() => {});
    this.bodyBudget = new BodyBudget(options.limits.bodyBytesInFlightMax);
  }
}
