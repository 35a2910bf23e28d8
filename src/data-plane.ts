/**
 * Wires what a request passes through: scheduler, its metered port, parsers and metrics of the ingress.
 * @module
 */
import { randomInt } from "node:crypto";
import {
  buildCore,
  type Clock,
  type DecisionRecorder,
  type EndpointPool,
  QUEUE_TTL_HEADER,
  type ResolvedConfig,
  type Scheduler,
  SeededRandom,
} from "../scheduler/index.ts";
import type { EndpointTableReader } from "../scrapers/index.ts";
import type { Flags } from "./cli/flags.ts";
import { scalarAttributes } from "./config/scalar-attributes.ts";
import { createTokenMac } from "./config/token-mac.ts";
import { ConformancePort, SELECTION_HEADER } from "./ingress/conformance-port.ts";
import { ExtProcStream } from "./ingress/ext-proc-stream.ts";
import { FlowPort } from "./ingress/flow-port.ts";
import { IngressContext } from "./ingress/ingress-context.ts";
import { PluginHeaders } from "./ingress/plugin-headers.ts";
import { InProcessSchedulerPort } from "./ingress/scheduler-port.ts";
import type { AcceptStream } from "./ingress/transport.ts";
import { FlowMetrics } from "./metrics/flow-metrics.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { PickMeter } from "./metrics/pick-meter.ts";
import { RequestMetrics } from "./metrics/request-metrics.ts";
import type { ResourceStore } from "./request/inference-resources.ts";
import { configuredEstimate } from "./request/media-estimate.ts";
import { passthroughParser } from "./request/parsers/passthrough.ts";
import { buildParsers, ParserTable } from "./request/parsers/registry.ts";
import { answerPlanOf } from "./response/answer-plan.ts";

export const EXT_PROC_METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

export interface DataPlaneOptions {
  readonly config: ResolvedConfig;
  readonly flags: Flags;
  readonly clock: Clock;
  readonly pool: EndpointPool;
  readonly metrics: Metrics;
  readonly recorder: DecisionRecorder;
  /** Brings scraped facts up to date before each pick. */
  readonly reader: EndpointTableReader;
  /** Objectives and model rewrites of the pool. */
  readonly resources: ResourceStore;
  /** Time between two scrapes of an endpoint, ms; absent = nothing is scraped. */
  readonly scrapeIntervalMs?: number | undefined;
  readonly onFault: (error: unknown) => void;
  readonly warn: (warning: string) => void;
  /** Requests wait in flow control, and the metrics of all endpoints are stale; told once a second. */
  readonly onAllStale?: (endpoints: number) => void;
}

export interface DataPlane {
  readonly scheduler: Scheduler;
  readonly context: IngressContext;
  /** null = the gate is off. */
  readonly flow: FlowPort | null;
}

const RANDOM_32_BITS = 2 ** 32;

/** @throws ConfigError when plugins refuse their parameters */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { clock, config, flags, metrics, onFault, pool, reader, recorder, resources, warn } =
    options;
  const { flowControl, scheduler } = buildCore(config, {
    pool,
    clock,
    random: new SeededRandom(randomInt(RANDOM_32_BITS)),
    recorder,
    scalars: scalarAttributes(config).keys,
    tokenMac: createTokenMac,
    scrapeIntervalMs: options.scrapeIntervalMs,
    warn,
  });
  // The suite's requests are no inference requests; only their headers count.
  const parsers = flags.conformanceMode
    ? new ParserTable([passthroughParser])
    : buildParsers(config.parsers);
  for (const warning of parsers.warnings) warn(warning);
  const requestMetrics = new RequestMetrics(metrics);
  resources.onChange(({ modelNames }) => requestMetrics.exempt(modelNames));
  const refresh = (): number => reader.refresh(pool);
  const now = (): number => performance.now();
  const waitsForRoom = flowControl !== null;
  const picks = new PickMeter({ pool, metrics, requestMetrics, now, waitsForRoom });
  const own = { scheduler, pool, refresh, onFault, picks };
  let flow: FlowPort | null = null;
  if (flowControl !== null) {
    const detector = config.saturationDetector ?? "";
    const { poolName } = flags;
    const meter = new FlowMetrics({ metrics, requestMetrics, poolName, detector });
    const port = new FlowPort({
      ...own,
      settings: flowControl,
      clock,
      whenMoved: (callback) => reader.whenMoved(callback),
      keepsScores: flags.emitEndpointScores,
      meter,
      now,
      seed: randomInt(RANDOM_32_BITS),
      ...(options.onAllStale === undefined ? {} : { onAllStale: options.onAllStale }),
    });
    metrics.onCollect(() => meter.collect(port));
    resources.onChange(({ priorities }) => port.setPriorities(priorities));
    flow = port;
  }
  const { conformanceMode } = flags;
  const answers = answerPlanOf(config.responsePlugins, flags.tokenMetrics);
  const inner = flow ?? new InProcessSchedulerPort(own);
  const port = conformanceMode ? new ConformancePort(inner, scheduler) : inner;
  if (conformanceMode) warn(`--conformance-mode: clients choose endpoints by ${SELECTION_HEADER}`);
  const headersRead = [
    ...scheduler.headersRead,
    ...(conformanceMode ? [SELECTION_HEADER] : []),
    ...(flowControl === null ? [] : [QUEUE_TTL_HEADER]),
  ];
  const context = new IngressContext({
    port,
    parsers,
    metrics: requestMetrics,
    clock,
    limits: {
      messageBytesMax: flags.grpcMaxRecvMsgBytes,
      requestBodyBytesMax: flags.maxRequestBodyBytes,
      bodyBytesInFlightMax: flags.maxInflightBodyBytes,
    },
    disableSubsetFilter: flags.disableEndpointSubsetFilter,
    emitScores: flags.emitEndpointScores,
    errorFormat: flags.errorFormat,
    resources,
    pluginHeaders: new PluginHeaders(headersRead, scheduler.fairnessHeaders),
    answers: conformanceMode ? { ...answers, verifiesServed: true } : answers,
    mediaEstimate: configuredEstimate(config),
    onFault,
  });
  return { scheduler, context, flow };
}

/** Takes ext_proc exchanges, and leaves the rest to others. */
export function acceptExtProc(context: IngressContext, others: AcceptStream): AcceptStream {
  return (path, stream) =>
    path === EXT_PROC_METHOD ? new ExtProcStream(stream, context) : others(path, stream);
}
