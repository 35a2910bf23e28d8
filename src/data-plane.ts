/**
 * Wires what a request passes through: scheduler, its metered port, parsers and metrics of the ingress.
 * @module
 */
import { randomInt } from "node:crypto";
import {
  buildScheduler,
  type Clock,
  type DecisionRecorder,
  type EndpointPool,
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
import { IngressContext } from "./ingress/ingress-context.ts";
import { PluginHeaders } from "./ingress/plugin-headers.ts";
import { InProcessSchedulerPort } from "./ingress/scheduler-port.ts";
import type { AcceptStream } from "./ingress/transport.ts";
import { MeteredPort } from "./metrics/metered-port.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { RequestMetrics } from "./metrics/request-metrics.ts";
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
  readonly onFault: (error: unknown) => void;
  readonly warn: (warning: string) => void;
}

export interface DataPlane {
  readonly scheduler: Scheduler;
  readonly context: IngressContext;
}

/** @throws ConfigError when plugins refuse their parameters */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { clock, config, flags, metrics, onFault, pool, reader, recorder, warn } = options;
  const scheduler = buildScheduler(config, {
    pool,
    clock,
    random: new SeededRandom(randomInt(2 ** 32)),
    recorder,
    scalars: scalarAttributes(config).keys,
    tokenMac: createTokenMac,
    warn,
  });
  // The suite's requests are no inference requests; only their headers count.
  const parsers = flags.conformanceMode
    ? new ParserTable([passthroughParser])
    : buildParsers(config.parsers);
  for (const warning of parsers.warnings) warn(warning);
  const requestMetrics = new RequestMetrics(metrics);
  const inProcess = new InProcessSchedulerPort({
    scheduler,
    pool,
    refresh: () => reader.refresh(pool),
    onFault,
  });
  const { conformanceMode } = flags;
  const answers = answerPlanOf(config.responsePlugins, flags.tokenMetrics);
  const port = conformanceMode ? new ConformancePort(inProcess, scheduler) : inProcess;
  if (conformanceMode) warn(`--conformance-mode: clients choose endpoints by ${SELECTION_HEADER}`);
  const headersRead = [...scheduler.headersRead, ...(conformanceMode ? [SELECTION_HEADER] : [])];
  const context = new IngressContext({
    port: new MeteredPort({ port, pool, metrics, requestMetrics, now: () => performance.now() }),
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
    pluginHeaders: new PluginHeaders(headersRead, scheduler.fairnessHeaders),
    answers: conformanceMode ? { ...answers, verifiesServed: true } : answers,
    mediaEstimate: configuredEstimate(config),
    onFault,
  });
  return { scheduler, context };
}

/** Takes ext_proc exchanges, and leaves the rest to others. */
export function acceptExtProc(context: IngressContext, others: AcceptStream): AcceptStream {
  return (path, stream) =>
    path === EXT_PROC_METHOD ? new ExtProcStream(stream, context) : others(path, stream);
}
