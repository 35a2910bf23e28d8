/**
 * The one table of flags: upstream's names, types and defaults (llm-d-router: pkg/epp/server/options.go), then ours. Where
 * upstream has a feature that this version lacks, the flag says so: what would change behavior is refused, what changes
 * nothing is accepted with a remark. docs/flags.md follows this table.
 * @module
 */

export type FlagType = "string" | "boolean" | "integer" | "duration" | "quantity" | "list";

export interface FlagDefinition {
  readonly name: string;
  readonly type: FlagType;
  /** As it would be written on the command line. */
  readonly default: string;
  readonly doc: string;
  /** Environment variable that gives the default. */
  readonly env?: string;
  /** Least value of an integer, a quantity (bytes) or a duration (ms). */
  readonly min?: number;
  /** Greatest value, likewise. */
  readonly max?: number;
  readonly choices?: readonly string[];
  /** The feature is not in this version: these values mean that it is off, or decide nothing; others are refused. */
  readonly absent?: readonly string[];
  /** Any valid value is accepted and decides nothing here. */
  readonly noEffect?: true;
  /** Setting it at all is an error with this text. */
  readonly removed?: string;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const port = { type: "integer", min: 0, max: 65_535 } as const;
const USE_ENGINE_CONFIGS =
  "is no longer supported; describe the metric in engineConfigs of core-metrics-extractor";

export const flagTable = [
  { name: "grpc-port", ...port, default: "9002", doc: "port of the ext_proc service" },
  { name: "grpc-health-port", ...port, default: "9003", doc: "port of the gRPC health service" },
  { name: "metrics-port", ...port, default: "9090", doc: "port of metrics and debug pages" },
  {
    name: "grpc-max-recv-msg-size",
    type: "quantity",
    default: "64Mi",
    min: 1,
    doc: "largest gRPC message received",
  },
  {
    name: "grpc-max-send-msg-size",
    type: "quantity",
    default: "",
    noEffect: true,
    doc: "messages sent are at most 62,000 body bytes and framing",
  },
  { name: "pool-name", type: "string", default: "", doc: "name of the InferencePool" },
  {
    name: "pool-namespace",
    type: "string",
    default: "default",
    env: "NAMESPACE",
    doc: "namespace of the pool",
  },
  {
    name: "pool-group",
    type: "string",
    default: "inference.networking.k8s.io",
    choices: ["inference.networking.k8s.io"],
    doc: "API group of the pool",
  },
  {
    name: "endpoint-selector",
    type: "string",
    default: "",
    absent: [""],
    doc: "Kubernetes label selector, instead of a pool; endpoints come from a file here (dataLayer.discovery)",
  },
  {
    name: "endpoint-target-ports",
    type: "list",
    default: "",
    absent: [""],
    doc: "target ports of --endpoint-selector; endpoints come from a file here (dataLayer.discovery)",
  },
  {
    name: "disable-endpoint-subset-filter",
    type: "boolean",
    default: "false",
    doc: "ignore the gateway's subset hint",
  },
  {
    name: "emit-endpoint-scores",
    type: "boolean",
    default: "false",
    doc: "add the scores of all candidates to the dynamic metadata",
  },
  {
    name: "refresh-metrics-interval",
    type: "duration",
    default: "50ms",
    max: HOUR_MS,
    doc: "time between two scrapes of an endpoint; less than 50ms is raised to it",
  },
  {
    name: "refresh-prometheus-metrics-interval",
    type: "duration",
    default: "5s",
    noEffect: true,
    doc: "pool gauges are computed at each exposition",
  },
  {
    name: "metrics-staleness-threshold",
    type: "duration",
    default: "2s",
    doc: "age of its newest good scrape at which an endpoint no longer counts as ready in metrics",
  },
  {
    name: "total-queued-requests-metric",
    type: "string",
    default: "",
    removed: USE_ENGINE_CONFIGS,
    doc: "described in engineConfigs of core-metrics-extractor now",
  },
  {
    name: "total-running-requests-metric",
    type: "string",
    default: "",
    removed: USE_ENGINE_CONFIGS,
    doc: "described in engineConfigs of core-metrics-extractor now",
  },
  {
    name: "kv-cache-usage-percentage-metric",
    type: "string",
    default: "",
    removed: USE_ENGINE_CONFIGS,
    doc: "described in engineConfigs of core-metrics-extractor now",
  },
  {
    name: "lora-info-metric",
    type: "string",
    default: "",
    removed: USE_ENGINE_CONFIGS,
    doc: "described in engineConfigs of core-metrics-extractor now",
  },
  {
    name: "cache-info-metric",
    type: "string",
    default: "",
    removed: USE_ENGINE_CONFIGS,
    doc: "described in engineConfigs of core-metrics-extractor now",
  },
  {
    name: "v",
    type: "integer",
    default: "2",
    doc: "verbosity: 2 default, 4 debug, 5 trace; below 0 is 2",
  },
  {
    name: "zap-devel",
    type: "boolean",
    default: "true",
    noEffect: true,
    doc: "logs are JSON lines in either mode",
  },
  {
    name: "zap-encoder",
    type: "string",
    default: "json",
    choices: ["json", "console"],
    noEffect: true,
    doc: "logs are JSON lines",
  },
  {
    name: "zap-log-level",
    type: "string",
    default: "",
    doc: "debug, info, error, panic or a verbosity above 0; overrides -v",
  },
  {
    name: "zap-stacktrace-level",
    type: "string",
    default: "",
    choices: ["", "info", "error", "panic"],
    noEffect: true,
    doc: "errors carry their stack at any level",
  },
  {
    name: "zap-time-encoding",
    type: "string",
    default: "",
    choices: ["", "epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano"],
    noEffect: true,
    doc: "times are ISO 8601",
  },
  {
    name: "tracing",
    type: "boolean",
    default: "false",
    absent: ["true", "false"],
    doc: "OpenTelemetry traces; none are made",
  },
  {
    name: "health-checking",
    type: "boolean",
    default: "false",
    doc: "serve gRPC health on the ext_proc port too",
  },
  {
    name: "enable-pprof",
    type: "boolean",
    default: "false",
    absent: ["true", "false"],
    doc: "Go profiles; there are none to serve",
  },
  {
    name: "cert-path",
    type: "string",
    default: "",
    doc: "directory with tls.crt and tls.key; empty = self-signed",
  },
  {
    name: "enable-cert-reload",
    type: "boolean",
    default: "false",
    doc: "take new certificates from --cert-path when they change",
  },
  { name: "secure-serving", type: "boolean", default: "true", doc: "TLS on the ext_proc port" },
  {
    name: "tls-min-version",
    type: "string",
    default: "",
    choices: ["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"],
    doc: "lowest TLS version; empty = 1.2",
  },
  {
    name: "tls-cipher-suites",
    type: "list",
    default: "",
    doc: "cipher suites for TLS 1.2 and below, IANA names",
  },
  {
    name: "metrics-endpoint-auth",
    type: "boolean",
    default: "false",
    absent: ["false"],
    doc: "authentication of the metrics port by Kubernetes; the port is open to whoever reaches it",
  },
  {
    name: "metrics-client-ca-file",
    type: "string",
    default: "",
    absent: [""],
    doc: "mTLS on the metrics port, which is plain HTTP here",
  },
  {
    name: "metrics-cert-dir",
    type: "string",
    default: "",
    absent: [""],
    doc: "TLS on the metrics port, which is plain HTTP here",
  },
  {
    name: "enable-grpc-stream-metrics",
    type: "boolean",
    default: "false",
    absent: ["false"],
    doc: "metric families of ext_proc streams; endpoint_picker_open_streams is always there",
  },
  {
    name: "ha-enable-leader-election",
    type: "boolean",
    default: "false",
    absent: ["false"],
    doc: "leader election; every replica serves",
  },
  {
    name: "drain-timeout",
    type: "duration",
    default: "30s",
    max: DAY_MS,
    doc: "time that open streams have to finish after --drain-grace",
  },
  {
    name: "config-file",
    type: "string",
    default: "",
    doc: "EndpointPickerConfig, YAML or JSON; not with --config-text",
  },
  { name: "config-text", type: "string", default: "", doc: "the same as text" },
  {
    name: "allow-experimental-plugins",
    type: "boolean",
    default: "false",
    doc: "accept plugins of stability alpha",
  },
  {
    name: "drain-grace",
    type: "duration",
    default: "5s",
    max: DAY_MS,
    doc: "**ours**: time as NOT_SERVING in which everything is still served",
  },
  {
    name: "drain-hand-over",
    type: "boolean",
    default: "false",
    doc: "**ours**: after --drain-grace, refuse what has had no answer, for the gateway to retry elsewhere",
  },
  {
    name: "max-request-body-size",
    type: "quantity",
    default: "64Mi",
    min: 1,
    doc: "**ours**: larger request bodies are answered with 413",
  },
  {
    name: "max-inflight-body-bytes",
    type: "quantity",
    default: "1Gi",
    min: 1,
    doc: "**ours**: request bodies held at one time; 503 above",
  },
  {
    name: "error-format",
    type: "string",
    default: "auto",
    choices: ["auto", "text", "json"],
    doc: "**ours**: body of refusals; auto = JSON for clients that accept application/json by name, else text",
  },
  {
    name: "threads",
    type: "integer",
    default: "1",
    min: 0,
    max: 16,
    doc: "**ours**: scraper threads; 0 = scrape on the main thread",
  },
  {
    name: "token-metrics",
    type: "boolean",
    default: "true",
    doc: "**ours**: token usage is read from answers; with `false` their bodies are looked at only where a plugin needs it",
  },
  {
    name: "warm-up",
    type: "boolean",
    default: "true",
    doc: "**ours**: practice with exchanges and scrapes of its own before serving, a second or so",
  },
  {
    name: "conformance-mode",
    type: "boolean",
    default: "false",
    doc: "**ours**: for conformance tests only: endpoints in turn, among those that the request's header test-epp-endpoint-selection names",
  },
  {
    name: "log-level",
    type: "string",
    default: "",
    choices: ["", "trace", "debug", "info", "warn", "error", "fatal"],
    doc: "**ours**: overrides -v and --zap-log-level",
  },
  { name: "help", type: "boolean", default: "false", doc: "print the flags and exit; also -h" },
] as const satisfies readonly FlagDefinition[];

export type FlagName = (typeof flagTable)[number]["name"];
