import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SCRAPE_INTERVAL_MS_MAX } from "../../scrapers/index.ts";
import { type FlagDefinition, flagTable } from "./flag-table.ts";
import { type Flags, flagHelp, parseFlags } from "./flags.ts";

const table: readonly FlagDefinition[] = flagTable;
const POOL = "--pool-name=pool";

function flagsOf(argv: readonly string[], env: Record<string, string> = {}): Flags {
  const result = parseFlags([POOL, ...argv], env);
  if (result.kind !== "flags") throw new Error(JSON.stringify(result));
  return result.flags;
}

function noticesOf(...argv: string[]): readonly string[] {
  const result = parseFlags([POOL, ...argv], {});
  return result.kind === "flags" ? result.notices : [`not parsed: ${JSON.stringify(result)}`];
}

function problemsOf(...argv: string[]): readonly string[] {
  const result = parseFlags([POOL, ...argv], {});
  return result.kind === "problems" ? result.problems : [];
}

test("the defaults are those of the table", () => {
  expect(flagsOf([])).toEqual({
    grpcPort: 9002,
    grpcHealthPort: 9003,
    metricsPort: 9090,
    grpcMaxRecvMsgBytes: 64 * 2 ** 20,
    poolName: "pool",
    poolNamespace: "default",
    disableEndpointSubsetFilter: false,
    emitEndpointScores: false,
    conformanceMode: false,
    errorFormat: "auto",
    poolGroup: "inference.networking.k8s.io",
    refreshMetricsIntervalMs: 50,
    metricsStalenessThresholdMs: 2000,
    verbosity: 2,
    tokenMetrics: true,
    warmUp: true,
    logLevel: "",
    healthChecking: false,
    certPath: "",
    enableCertReload: false,
    secureServing: true,
    tlsMinVersion: "",
    tlsCipherSuites: [],
    drainGraceMs: 5000,
    drainHandOver: false,
    drainTimeoutMs: 30_000,
    configFile: "",
    configText: "",
    allowExperimentalPlugins: false,
    maxRequestBodyBytes: 64 * 2 ** 20,
    maxInflightBodyBytes: 2 ** 30,
    threads: 1,
  });
});

describe("spelling", () => {
  test.each([["--grpc-port=1"], ["--grpc-port", "1"], ["-grpc-port=1"], ["-grpc-port", "1"]])(
    "a value stands behind = or in the next argument, behind one dash or two: %j %j",
    (...argv) => {
      expect(flagsOf(argv).grpcPort).toBe(1);
    },
  );

  test.each([["-v=4"], ["-v", "4"], ["--v=4"], ["--v", "4"], ["-v4"]])(
    "verbosity is written %j %j",
    (...argv) => {
      expect(flagsOf(argv).verbosity).toBe(4);
    },
  );

  test.each(["1", "t", "T", "true", "TRUE", "True"])("a boolean is on with =%s", (value) => {
    expect(flagsOf([`--health-checking=${value}`]).healthChecking).toBe(true);
  });

  test.each(["0", "f", "F", "false", "FALSE", "False"])("a boolean is off with =%s", (value) => {
    expect(flagsOf([`--secure-serving=${value}`]).secureServing).toBe(false);
  });

  test("a boolean is on by its name", () => {
    expect(flagsOf(["--health-checking", "--emit-endpoint-scores"])).toMatchObject({
      healthChecking: true,
      emitEndpointScores: true,
    });
  });

  test("a boolean does not take the next argument, and says so where Go says nothing", () => {
    expect(problemsOf("--secure-serving", "false")).toEqual([
      'unexpected argument "false"; a boolean takes its value so: --secure-serving=false',
    ]);
  });

  test("a value may look like a flag, be empty, or have = and newlines in it", () => {
    expect(flagsOf(["--config-text", "--x"]).configText).toBe("--x");
    expect(flagsOf(["--config-text", "a=b\nc: d"]).configText).toBe("a=b\nc: d");
    expect(flagsOf(["--config-text=a=b\nc: d"]).configText).toBe("a=b\nc: d");
    expect(flagsOf(["--config-text="]).configText).toBe("");
  });

  test("of a repeated flag the last one counts, of a list all do", () => {
    expect(flagsOf(["--grpc-port=1", "--grpc-port=2"]).grpcPort).toBe(2);
    const [a, b] = [
      "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
      "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    ];
    const twice = flagsOf([`--tls-cipher-suites=${a}`, "--tls-cipher-suites", b]);
    expect(twice.tlsCipherSuites).toEqual(
      flagsOf([`--tls-cipher-suites=${a}, ${b}`]).tlsCipherSuites,
    );
  });

  test("flags end at --", () => {
    expect(flagsOf(["--grpc-port=1", "--"]).grpcPort).toBe(1);
    expect(problemsOf("--", "--grpc-port=1")).toEqual(['unexpected argument "--grpc-port=1"']);
  });

  test.each(["serve", "-", "=x", "--=x", "---x"])("%j is no flag", (argument) => {
    expect(problemsOf(argument)).toEqual([`unexpected argument "${argument}"`]);
  });

  test("an unknown flag is told with the nearest known one, and its value is passed over", () => {
    expect(problemsOf("--grpc-prot=1", "--grpc_port", "2", "--no-such-thing-at-all")).toEqual([
      'unknown flag --grpc-prot; did you mean "grpc-port"?',
      'unknown flag --grpc_port; did you mean "grpc-port"?',
      "unknown flag --no-such-thing-at-all",
    ]);
    expect(problemsOf("--constructor=1")).toEqual(["unknown flag --constructor"]);
  });

  test("a flag without its value is told", () => {
    expect(problemsOf("--config-file")).toEqual(["--config-file needs a value"]);
  });

  test("all problems are told at once", () => {
    expect(
      problemsOf("--grpc-port=x", "--nowhere", "--drain-timeout=5", "--lora-info-metric=m"),
    ).toHaveLength(4);
  });

  test.each([["--help"], ["-h"], ["-help"], ["--help=true"], ["--grpc-port=x", "--help"]])(
    "help is asked for with %j",
    (...argv) => {
      expect(parseFlags(argv, {}).kind).toBe("help");
    },
  );

  test("help in a value is no call for help", () => {
    expect(flagsOf(["--config-text", "--help"]).configText).toBe("--help");
    expect(flagsOf(["--help=false"]).poolName).toBe("pool");
  });

  test("no argument list makes it throw", () => {
    const word = fc.oneof(
      fc.constantFrom(...table.map(({ name }) => `--${name}`)),
      fc.constantFrom(...table.map(({ name }) => `--${name}=`)),
      fc
        .tuple(fc.constantFrom(...table.map(({ name }) => name)), fc.string())
        .map(([name, value]) => `--${name}=${value}`),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        expect(["flags", "help", "problems"]).toContain(parseFlags(argv, {}).kind);
      }),
    );
  });
});

describe("values", () => {
  test.each([
    ["--grpc-port=65536", "--grpc-port: must be 0 to 65535, got 65536"],
    ["--grpc-port=-1", "--grpc-port: must be 0 to 65535, got -1"],
    ["--grpc-port=1.5", '--grpc-port: must be an integer, got "1.5"'],
    ["--grpc-port=", '--grpc-port: must be an integer, got ""'],
    ["--threads=17", "--threads: must be 0 to 16, got 17"],
    ["--secure-serving=yes", '--secure-serving: must be true or false, got "yes"'],
    ["--secure-serving=", '--secure-serving: must be true or false, got ""'],
    ["--drain-timeout=30", '--drain-timeout: must be a duration like "30s" or "1m30s", got "30"'],
    ["--drain-grace=-1s", '--drain-grace: must be a duration like "30s" or "1m30s", got "-1s"'],
    ["--drain-timeout=1000h", "--drain-timeout: must be at most 24h, got 1000h"],
    ["--drain-grace=25h", "--drain-grace: must be at most 24h, got 25h"],
    ["--refresh-metrics-interval=2h", "--refresh-metrics-interval: must be at most 1h, got 2h"],
    [
      "--grpc-max-recv-msg-size=-1",
      '--grpc-max-recv-msg-size: must be a quantity like "64Mi", got "-1"',
    ],
    ["--grpc-max-recv-msg-size=0", "--grpc-max-recv-msg-size: must be at least 1, got 0"],
    ["--max-request-body-size=0", "--max-request-body-size: must be at least 1, got 0"],
    ["--max-inflight-body-bytes=0", "--max-inflight-body-bytes: must be at least 1, got 0"],
    [
      "--grpc-max-send-msg-size=x",
      '--grpc-max-send-msg-size: must be a quantity like "64Mi", got "x"',
    ],
    [
      "--pool-group=inference.networking.x-k8s.io",
      '--pool-group: must be "inference.networking.k8s.io", got "inference.networking.x-k8s.io"',
    ],
    [
      "--tls-min-version=1.2",
      '--tls-min-version: must be one of "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13", got "1.2"',
    ],
    ["--zap-encoder=xml", '--zap-encoder: must be one of "json", "console", got "xml"'],
    [
      "--zap-log-level=0",
      '--zap-log-level: must be debug, info, error, panic or an integer above 0, got "0"',
    ],
    [
      "--zap-log-level=constructor",
      '--zap-log-level: must be debug, info, error, panic or an integer above 0, got "constructor"',
    ],
    [
      "--log-level=verbose",
      '--log-level: must be one of "trace", "debug", "info", "warn", "error", "fatal", got "verbose"',
    ],
  ])("%s is refused with the value and the bound", (argument, problem) => {
    expect(problemsOf(argument)).toEqual([problem]);
  });

  test("sizes are Kubernetes quantities; empty means the default", () => {
    expect(flagsOf(["--grpc-max-recv-msg-size=10MiB"]).grpcMaxRecvMsgBytes).toBe(10_485_760);
    expect(flagsOf(["--grpc-max-recv-msg-size=25MB"]).grpcMaxRecvMsgBytes).toBe(25_000_000);
    expect(flagsOf(["--grpc-max-recv-msg-size="]).grpcMaxRecvMsgBytes).toBe(67_108_864);
    expect(flagsOf(["--grpc-max-send-msg-size="]).poolName).toBe("pool");
  });

  test("integers may have a sign", () => {
    expect(flagsOf(["--grpc-port=+1"]).grpcPort).toBe(1);
    expect(flagsOf(["-v=-3"]).verbosity).toBe(2);
  });

  test("a scrape interval below 50 ms is raised, with a notice", () => {
    expect(flagsOf(["--refresh-metrics-interval=1ms"]).refreshMetricsIntervalMs).toBe(50);
    expect(noticesOf("--refresh-metrics-interval=1ms")).toEqual([
      "--refresh-metrics-interval is raised to 50ms",
    ]);
    expect(flagsOf(["--refresh-metrics-interval=1h"]).refreshMetricsIntervalMs).toBe(
      SCRAPE_INTERVAL_MS_MAX,
    );
  });

  test.each([
    [["--zap-log-level=debug"], { verbosity: 2, logLevel: "debug" }],
    [["--zap-log-level=PANIC"], { verbosity: 2, logLevel: "fatal" }],
    [["-v=5", "--zap-log-level=3"], { verbosity: 3, logLevel: "" }],
    [["--log-level=warn", "--zap-log-level=debug"], { logLevel: "warn" }],
  ])("%j sets the level", (argv, level) => {
    expect(flagsOf(argv)).toMatchObject(level);
  });

  test("the namespace comes from the flag, else from NAMESPACE, else it is default", () => {
    const env = { NAMESPACE: "from-env" };
    expect(flagsOf(["--pool-namespace=mine"], env).poolNamespace).toBe("mine");
    expect(flagsOf([], env).poolNamespace).toBe("from-env");
    expect(flagsOf(["--pool-namespace="], env).poolNamespace).toBe("from-env");
    expect(flagsOf([], { NAMESPACE: "" }).poolNamespace).toBe("default");
  });
});

describe("TLS", () => {
  test.each([
    ["VersionTLS12", "TLSv1.2"],
    ["VersionTLS13", "TLSv1.3"],
  ])("%s is %s", (go, node) => {
    expect(flagsOf([`--tls-min-version=${go}`]).tlsMinVersion).toBe(node);
  });

  test("a list of older suites leaves those of TLS 1.3 on, as Go does", () => {
    expect(
      flagsOf(["--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]).tlsCipherSuites,
    ).toEqual([
      "TLS_AES_128_GCM_SHA256",
      "TLS_AES_256_GCM_SHA384",
      "TLS_CHACHA20_POLY1305_SHA256",
      "ECDHE-RSA-AES128-GCM-SHA256",
    ]);
  });

  test("suites of TLS 1.3 can be named", () => {
    expect(problemsOf("--tls-cipher-suites=TLS_AES_128_GCM_SHA256")).toEqual([]);
  });

  test("unknown suites, and insecure ones that OpenSSL has dropped, are told by name", () => {
    expect(
      problemsOf("--tls-cipher-suites=TLS_AES_128_GCM_SHA257,constructor,TLS_RSA_WITH_RC4_128_SHA"),
    ).toEqual([
      '--tls-cipher-suites: "TLS_AES_128_GCM_SHA257" is not known; did you mean "TLS_AES_128_GCM_SHA256"?',
      '--tls-cipher-suites: "constructor" is not known',
      '--tls-cipher-suites: "TLS_RSA_WITH_RC4_128_SHA" is not offered by this version of OpenSSL',
    ]);
  });
});

describe("flags that depend on each other", () => {
  test("file and text of the configuration exclude each other", () => {
    expect(problemsOf("--config-file=a", "--config-text=b")).toEqual([
      "--config-file and --config-text can not be given together",
    ]);
  });

  test("a pool must be named", () => {
    const result = parseFlags([], {});
    expect(result).toEqual({ kind: "problems", problems: ["--pool-name must be given"] });
  });

  test("services need ports of their own, unless the system chooses", () => {
    expect(problemsOf("--grpc-port=9003", "--metrics-port=9003")).toEqual([
      "--grpc-port and --grpc-health-port are both 9003",
      "--grpc-port and --metrics-port are both 9003",
    ]);
    expect(problemsOf("--grpc-port=0", "--metrics-port=0", "--grpc-health-port=0")).toEqual([]);
  });

  test("a certificate that nobody reads is told", () => {
    expect(noticesOf("--enable-cert-reload")).toEqual([
      "--enable-cert-reload has no effect without --cert-path",
    ]);
    expect(noticesOf("--cert-path=/x", "--secure-serving=false")).toEqual([
      "--cert-path has no effect with --secure-serving=false",
    ]);
  });
});

describe("features that are not here", () => {
  const ASKING: Readonly<Record<string, string>> = {
    "endpoint-selector": "app=x",
    "endpoint-target-ports": "8000",
    "metrics-endpoint-auth": "true",
    "metrics-client-ca-file": "/ca",
    "metrics-cert-dir": "/certs",
    "enable-grpc-stream-metrics": "1",
    "ha-enable-leader-election": "T",
  };

  test.each(Object.entries(ASKING))("--%s=%s is refused, saying why", (name, value) => {
    const { doc } = table.find((flag) => flag.name === name)!;
    expect(problemsOf(`--${name}=${value}`)).toEqual([
      `--${name}=${value} is not supported by this version: ${doc}`,
    ]);
  });

  test("they can be turned off in any spelling without a word", () => {
    for (const off of ["0", "f", "False"]) {
      expect(noticesOf(`--ha-enable-leader-election=${off}`, `--tracing=${off}`)).toEqual([]);
    }
    expect(noticesOf("--endpoint-selector=", "--endpoint-target-ports=")).toEqual([]);
  });

  test("asking for what decides no request is accepted with a notice", () => {
    expect(noticesOf("--tracing", "--enable-pprof=1", "--zap-encoder=console")).toEqual([
      "--zap-encoder has no effect: logs are JSON lines",
      "--tracing has no effect in this version: OpenTelemetry traces; none are made",
      "--enable-pprof has no effect in this version: Go profiles; there are none to serve",
    ]);
  });

  test.each(table.filter(({ absent }) => absent !== undefined).map(({ name }) => name))(
    "--%s is off by default",
    (name) => {
      const { absent, default: usual } = table.find((flag) => flag.name === name)!;
      expect(absent).toContain(usual);
    },
  );

  test.each([
    "total-queued-requests-metric",
    "total-running-requests-metric",
    "kv-cache-usage-percentage-metric",
    "lora-info-metric",
    "cache-info-metric",
  ])("--%s is fatal at any value and points to engineConfigs", (name) => {
    for (const value of ["", "vllm:num_requests_waiting"]) {
      expect(problemsOf(`--${name}=${value}`)).toEqual([
        `--${name} is no longer supported; describe the metric in engineConfigs of core-metrics-extractor`,
      ]);
    }
  });
});

test("the help has a row for every flag", () => {
  const help = flagHelp();
  for (const { doc, name } of table) {
    expect(help).toContain(`  --${name} `);
    expect(help).toContain(doc.replaceAll("*", ""));
  }
  expect(help).toContain(
    "leader election; every replica serves (default false) [not available: only false]",
  );
});
