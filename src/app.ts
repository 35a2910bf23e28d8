/**
 * Builds the whole application from flags and a resolved configuration, and takes it through its life:
 * start → serving → draining (NOT_SERVING, everything still served) → closing (streams finish) → stopped.
 * @module
 */
import {
  type Clock,
  DecisionRecorder,
  EndpointPool,
  type ResolvedConfig,
  type Scheduler,
} from "../scheduler/index.ts";
import {
  type ScraperHandle,
  type ScraperOptions,
  type ScrapeWarning,
  startScrapers,
} from "../scrapers/index.ts";
import { createAdminServer, listenEverywhere, type PluginState } from "./admin/server.ts";
import type { Flags } from "./cli/flags.ts";
import type { InheritedSockets } from "./cli/inherited-sockets.ts";
import type { FileDiscoveryParameters } from "./config/outer-plugins.ts";
import { scraperOptions } from "./config/scraper-options.ts";
import { FileDiscovery } from "./control/file-discovery.ts";
import { ManifestDiscovery } from "./control/manifest-discovery.ts";
import { PoolUpdater } from "./control/pool-updater.ts";
import { acceptExtProc, createDataPlane } from "./data-plane.ts";
import type { FlowPort } from "./ingress/flow-port.ts";
import { H2Transport } from "./ingress/h2/h2-transport.ts";
import { H2_LIMIT_NAMES } from "./ingress/h2/limits.ts";
import { HealthService } from "./ingress/health.ts";
import type { IngressContext } from "./ingress/ingress-context.ts";
import { createSelfSignedPair, KeyPairWatcher, readKeyPair } from "./ingress/tls.ts";
import type { Logger } from "./log.ts";
import { Metrics } from "./metrics/metrics.ts";
import { collectPoolMetrics } from "./metrics/pool-metrics.ts";
import { ResourceStore } from "./request/inference-resources.ts";

/** Decisions kept for /debug/decisions. */
const DECISIONS_KEPT = 256;
/** How often a share of the in-flight counters is recounted. */
const AUDIT_INTERVAL_MS = 1000;
/** A fault of ours is logged at most this often; all are counted. */
const FAULT_LOG_INTERVAL_MS = 1000;
/** The same for requests that wait for metrics. */
const STALE_LOG_INTERVAL_MS = 30_000;

/** Milliseconds of one origin that all threads share. */
export const systemClock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
};

export interface AppPorts {
  readonly grpc: number;
  readonly health: number;
  readonly metrics: number;
}

/** Stands in for the scrapers where the configuration wants none of what they read. */
const NO_SCRAPES: Pick<ScraperHandle, "add" | "remove"> = { add: () => {}, remove: () => {} };

export class App {
  readonly #flags: Flags;
  readonly #inherited: InheritedSockets;
  readonly #config: ResolvedConfig;
  readonly #log: Logger;
  readonly #pool = new EndpointPool();
  readonly #metrics = new Metrics();
  readonly #recorder = new DecisionRecorder(DECISIONS_KEPT);
  readonly #scheduler: Scheduler;
  readonly #scrapers: ScraperHandle;
  readonly #updater: PoolUpdater;
  readonly #discovery: FileDiscovery;
  readonly #resources: ResourceStore;
  readonly #manifests: ManifestDiscovery | null;
  readonly #health = new HealthService({ isReady: () => this.#isReady() });
  readonly #admin: ReturnType<typeof createAdminServer>;
  readonly #context: IngressContext;
  readonly #flow: FlowPort | null;
  #extProc: H2Transport | null = null;
  #healthServer: H2Transport | null = null;
  #keyPairs: KeyPairWatcher | null = null;
  #auditTimer: NodeJS.Timeout | undefined;
  #poolKnown = false;
  #isDraining = false;
  #skipGrace = () => {};
  #faults = 0;
  #faultLoggedAtMs = Number.NEGATIVE_INFINITY;
  #staleLoggedAtMs = Number.NEGATIVE_INFINITY;

  /** @throws ConfigError when plugins refuse their parameters; Error when the mode is not available */
  constructor(flags: Flags, config: ResolvedConfig, log: Logger, inherited: InheritedSockets = {}) {
    this.#inherited = inherited;
    this.#flags = flags;
    this.#config = config;
    this.#log = log;
    const discovery = config.dataLayer.discovery;
    if (discovery === null) {
      throw new Error(
        "dataLayer.discovery.pluginRef: this version discovers endpoints from a file only; declare a plugin of type " +
          "file-discovery and name it here",
      );
    }
    const options = scraperOptions(config, flags);
    this.#scrapers = this.#startScrapers(options ?? { threads: 0 });
    this.#updater = new PoolUpdater(
      this.#pool,
      options === null ? NO_SCRAPES : this.#scrapers,
      log,
    );
    const { manifestsPath, path, watchFile } = discovery.parameters as FileDiscoveryParameters;
    this.#discovery = new FileDiscovery({ path, watchFile, log });
    this.#resources = new ResourceStore({
      group: flags.poolGroup,
      namespace: flags.poolNamespace,
      name: flags.poolName,
    });
    this.#manifests =
      manifestsPath === undefined ? null : new ManifestDiscovery({ path: manifestsPath, log });
    const plane = createDataPlane({
      config,
      flags,
      clock: systemClock,
      pool: this.#pool,
      metrics: this.#metrics,
      recorder: this.#recorder,
      reader: this.#scrapers.reader,
      resources: this.#resources,
      scrapeIntervalMs: options?.intervalMs,
      onFault: (error) => this.#onFault(error),
      warn: (warning) => log.warn({ warning }, "configuration"),
      onAllStale: (endpoints) => this.#onAllStale(endpoints),
    });
    this.#scheduler = plane.scheduler;
    this.#context = plane.context;
    this.#flow = plane.flow;
    this.#admin = createAdminServer({
      metrics: this.#metrics,
      isReady: () => this.#isReady(),
      pluginsState: () => this.#pluginsState(),
      decisions: (limit) => this.#recorder.newest(limit),
    });
    this.#metrics.onCollect(() => this.#collect());
  }

  /** Loads the endpoints, then listens. @returns the ports in use */
  async start(): Promise<AppPorts> {
    const flags = this.#flags;
    // Before the endpoints: nobody is to be served by rules that are still to come.
    await this.#manifests?.start((resources) => this.#resources.replace(resources));
    await this.#discovery.start((endpoints) => {
      this.#updater.apply(endpoints);
      this.#poolKnown = true;
      this.#health.changed();
    });
    const onConnectionError = (error: Error) =>
      this.#log.debug({ err: error.message }, "gateway connection failed");
    this.#extProc = new H2Transport({
      accept: acceptExtProc(this.#context, flags.healthChecking ? this.#health.accept : () => null),
      onConnectionError,
      ...(flags.secureServing ? { tls: await this.#tls() } : {}),
    });
    this.#healthServer = new H2Transport({ accept: this.#health.accept, onConnectionError });
    const [grpc, health, metrics] = await Promise.all([
      listening(this.#extProc, "grpc-port", flags.grpcPort, this.#inherited.grpc),
      listening(
        this.#healthServer,
        "grpc-health-port",
        flags.grpcHealthPort,
        this.#inherited.health,
      ),
      named("metrics-port", listenEverywhere(this.#admin, flags.metricsPort)),
    ]);
    this.#auditTimer = setInterval(() => this.#scheduler.auditStep(), AUDIT_INTERVAL_MS);
    this.#auditTimer.unref();
    const pool = `${flags.poolNamespace}/${flags.poolName}`;
    const endpoints = this.#pool.liveCount;
    this.#log.info({ pool, grpc, health, metrics, endpoints }, "serving");
    return { grpc, health, metrics };
  }

  /** Reads endpoints file and manifests again, watched or not; what comes of it is logged and counted. */
  reload(): void {
    void this.#discovery.reload();
    void this.#manifests?.reload();
  }

  /** Takes the process out of service without losing a request; bounded by --drain-grace + --drain-timeout. */
  async drain(): Promise<void> {
    const { drainGraceMs, drainHandOver, drainTimeoutMs } = this.#flags;
    this.#isDraining = true;
    this.#health.changed();
    // The address outlives this process: the next one answers for it, and NOT_SERVING from here would take it out.
    if (this.#inherited.health !== undefined) void this.#healthServer?.drain(0);
    this.#log.info({ openStreams: this.#context.openStreams }, "draining");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, drainGraceMs);
      this.#skipGrace = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#log.info({ openStreams: this.#context.openStreams }, "closing");
    // At the deadline what is still queued is refused; set before the transport's own timer, it comes before it.
    const closing = setTimeout(() => this.#flow?.close(), drainTimeoutMs);
    await this.#extProc?.drain(drainTimeoutMs, { handOver: drainHandOver });
    clearTimeout(closing);
    this.#log.info({ openStreams: this.#context.openStreams }, "drained");
    await this.stop();
  }

  /** Ends the grace of a drain: whoever had to notice has noticed. */
  skipGrace(): void {
    this.#skipGrace();
  }

  /** Closes everything that is open. */
  async stop(): Promise<void> {
    this.#flow?.close();
    clearInterval(this.#auditTimer);
    this.#keyPairs?.close();
    this.#discovery.stop();
    this.#manifests?.stop();
    await Promise.all([
      this.#extProc?.drain(0),
      this.#healthServer?.drain(0),
      this.#scrapers.stop(),
      this.#admin.close(),
    ]);
  }

  #isReady(): boolean {
    return this.#poolKnown && !this.#isDraining;
  }

  #startScrapers(options: ScraperOptions): ScraperHandle {
    try {
      return startScrapers({
        ...options,
        practices: this.#flags.warmUp,
        onWarning: (warning) => this.#onScrapeWarning(warning),
        onThreadDied: (index, cause, restartMs) =>
          this.#log.error({ index, cause, restartMs }, "scraper thread died and is started anew"),
      });
    } catch (cause) {
      throw new Error(`metrics-data-source: ${(cause as Error).message}`, { cause });
    }
  }

  #onScrapeWarning({ detail, generation, kind, slot }: ScrapeWarning): void {
    if (this.#pool.columns.generation[slot] !== generation) return; // of an endpoint that is gone
    const endpoint = this.#pool.metadata(slot).id;
    this.#log.warn({ endpoint, reason: kind, detail }, "metrics page of an endpoint");
  }

  /** Every plugin of the configuration: its state, or that it has none. */
  #pluginsState(): Record<string, PluginState> {
    const { dataLayer, parsers, plugins } = this.#config;
    const discovery = dataLayer.discovery!;
    const sources = dataLayer.sources.flatMap(({ source, extractors }) => [source, ...extractors]);
    const all = [
      ...plugins.map(({ definition, name }) => ({ name, type: definition.type })),
      ...[discovery, ...parsers, ...sources].map(({ name, type }) => ({ name, type })),
    ];
    const known = new Map<string, PluginState>(Object.entries(this.#scheduler.pluginsState()));
    const state = { endpoints: this.#pool.liveCount, ...this.#discovery.stats };
    known.set(discovery.name, { name: discovery.name, type: discovery.type, state });
    return Object.fromEntries(
      all.map((plugin) => [
        plugin.name,
        known.get(plugin.name) ?? { ...plugin, message: "has no state to show" },
      ]),
    );
  }

  async #tls() {
    const { certPath, enableCertReload, tlsMinVersion, tlsCipherSuites } = this.#flags;
    const pair =
      certPath === "" ? await createSelfSignedPair(Date.now()) : await readKeyPair(certPath);
    if (certPath !== "" && enableCertReload) {
      this.#keyPairs = new KeyPairWatcher(
        certPath,
        ({ cert, key }) => {
          this.#extProc?.setKeyPair(cert, key);
          this.#log.info({ certPath }, "certificate reloaded");
        },
        (error) => this.#log.warn({ err: error.message }, "certificate not reloaded"),
      );
    }
    return {
      ...pair,
      ...(tlsMinVersion === "" ? {} : { minVersion: tlsMinVersion }),
      ...(tlsCipherSuites.length === 0 ? {} : { ciphers: tlsCipherSuites.join(":") }),
    };
  }

  #onAllStale(endpoints: number): void {
    const nowMs = systemClock.nowMs();
    if (nowMs - this.#staleLoggedAtMs < STALE_LOG_INTERVAL_MS) return;
    this.#staleLoggedAtMs = nowMs;
    this.#log.warn(
      { endpoints, queued: this.#flow?.queued },
      "requests wait, and the metrics of all endpoints are stale",
    );
  }

  #onFault(error: unknown): void {
    this.#faults++;
    const nowMs = systemClock.nowMs();
    if (nowMs - this.#faultLoggedAtMs < FAULT_LOG_INTERVAL_MS) return;
    this.#faultLoggedAtMs = nowMs;
    this.#log.error(
      { err: error, faults: this.#faults },
      "a fault of ours; the request went on as far as it could",
    );
  }

  #collect(): void {
    const { families } = this.#metrics;
    const transport = this.#extProc?.stats;
    families.openStreams.set(0, this.#context.openStreams);
    families.openFlights.set(0, this.#scheduler.openFlights);
    families.connections.set(0, transport?.connections ?? 0);
    families.unsentBytes.set(0, transport?.unsentBytes ?? 0);
    for (const limit of H2_LIMIT_NAMES) {
      const ofHealth = this.#healthServer?.stats.exceeded[limit] ?? 0;
      families.exceededLimits.set(
        families.exceededLimits.row(limit),
        (transport?.exceeded[limit] ?? 0) + ofHealth,
      );
    }
    families.bodyBytesInFlight.set(0, this.#context.bodyBudget.bytes);
    families.internalFaults.set(0, this.#faults);
    this.#collectResources();
    collectPoolMetrics(this.#metrics, {
      poolName: this.#flags.poolName,
      pool: this.#pool,
      stalenessMs: this.#flags.metricsStalenessThresholdMs,
      nowMs: systemClock.nowMs(),
      refresh: () => this.#scrapers.reader.refresh(this.#pool),
      scrapers: this.#scrapers.stats(),
      scheduler: this.#scheduler,
      discovery: this.#discovery.stats,
    });
  }

  #collectResources(): void {
    const { inferenceResources, manifestProblems, manifestReloads } = this.#metrics.families;
    const { objectiveCount, rewriteCount } = this.#resources.current;
    inferenceResources.set(inferenceResources.row("InferenceObjective"), objectiveCount);
    inferenceResources.set(inferenceResources.row("InferenceModelRewrite"), rewriteCount);
    if (this.#manifests === null) return;
    const { problems, reloadsFailed, reloadsOk } = this.#manifests.stats;
    manifestProblems.set(0, problems);
    manifestReloads.set(manifestReloads.row("ok"), reloadsOk);
    manifestReloads.set(manifestReloads.row("failed"), reloadsFailed);
  }
}

/** Listens on a port, or on the socket that stands for it. */
function listening(
  transport: H2Transport,
  flag: string,
  port: number,
  fd: number | undefined,
): Promise<number> {
  if (fd === undefined) return named(flag, transport.listen(port));
  return transport.listenOn(fd).catch((cause: Error) => {
    throw new Error(`LISTEN_FDS: descriptor ${fd} for --${flag}: ${cause.message}`, { cause });
  });
}

/** The port, or an error that names the flag to change. */
function named(flag: string, port: Promise<number>): Promise<number> {
  return port.catch((cause: Error) => {
    throw new Error(`--${flag}: ${cause.message}`, { cause });
  });
}
