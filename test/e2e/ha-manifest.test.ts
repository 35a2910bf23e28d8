/**
 * manifests/envoy: the bootstrap is one that Envoy accepts, and each setting that docs/reliability.md names is in it, and
 * in what is shipped for gateways that write their bootstrap themselves.
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { findEnvoy, NO_ENVOY_REASON } from "../support/envoy.ts";
import { inPackage } from "../support/paths.ts";
import { type HaManifest, haManifest } from "./ha/manifest.ts";
import { describeSettings, haBootstrap, parseSettings, SHIPPED } from "./ha/settings.ts";

const envoy = findEnvoy();
if (envoy === null) console.log(`Envoy's own check is skipped: ${NO_ENVOY_REASON}`);

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const PREVIOUS_HOSTS = {
  name: "envoy.retry_host_predicates.previous_hosts",
  typed_config: {
    "@type":
      "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
  },
};
const RETRY_POLICY = {
  num_retries: 2,
  retry_on: "connect-failure,refused-stream,reset,reset-before-request,unavailable,cancelled",
  retry_back_off: { base_interval: "0.01s", max_interval: "0.1s" },
  retry_host_predicate: [PREVIOUS_HOSTS],
  host_selection_retry_max_attempts: 3,
};
const KEEPALIVE = { interval: "0.4s", timeout: "1s" };
const HEALTH_CHECKS = [
  {
    interval: "0.5s",
    timeout: "0.5s",
    unhealthy_threshold: 1,
    healthy_threshold: 1,
    no_traffic_interval: "0.5s",
    grpc_health_check: { service_name: "envoy.service.ext_proc.v3.ExternalProcessor" },
  },
];

describe("manifests/envoy/ha.yaml", () => {
  test.skipIf(envoy === null)("is a bootstrap that Envoy accepts", () => {
    const file = inPackage("manifests", "envoy", "ha.yaml");
    const output = execFileSync(envoy!, ["--mode", "validate", "-c", file], { encoding: "utf8" });
    expect(output).toContain("OK");
  });

  const settings: [string, (manifest: HaManifest) => unknown, unknown][] = [
    ["load by open requests", ({ pickers }) => pickers["lb_policy"], "LEAST_REQUEST"],
    ["a short time to connect", ({ pickers }) => pickers["connect_timeout"], "0.25s"],
    [
      "pings",
      ({ http2Options }) => http2Options,
      { connection_keepalive: KEEPALIVE }, // and no bound of streams that would be lower than the replica's own
    ],
    ["gRPC health checks", ({ pickers }) => pickers["health_checks"], HEALTH_CHECKS],
    [
      "outlier detection that never takes out all",
      ({ pickers }) => pickers["outlier_detection"],
      {
        consecutive_5xx: 3,
        interval: "0.25s",
        base_ejection_time: "2s",
        max_ejection_percent: 50,
      },
    ],
    [
      "room for retries",
      ({ pickers }) => pickers["circuit_breakers"],
      { thresholds: [{ max_retries: 1024 }] },
    ],
    [
      "no panic",
      ({ pickers }) => pickers["common_lb_config"],
      { healthy_panic_threshold: { value: 0 } },
    ],
    ["retries elsewhere", ({ grpcService }) => grpcService["retry_policy"], RETRY_POLICY],
    ["fail closed", ({ extProc }) => extProc["failure_mode_allow"], false],
  ];

  test.each(settings)("%s", (_name, read, expected) => {
    expect(read(haManifest())).toEqual(expected);
  });

  test("two replicas, each with its health port", () => {
    const endpoints = haManifest().endpoints.map(({ endpoint }) => [
      endpoint.address.socket_address.port_value,
      endpoint.health_check_config?.port_value,
    ]);
    expect(endpoints).toEqual([
      [9002, 9003],
      [9012, 9013],
    ]);
  });
});

describe("a run without a setting", () => {
  const ports = [{ grpc: 1, health: 2, metrics: 3 }];
  const bootstrapOf = (settings: string): string =>
    JSON.stringify(haBootstrap(parseSettings(settings), ports));

  test.each([
    ["health-checks", '"health_checks"'],
    ["outlier-detection", '"outlier_detection"'],
    ["retries", '"num_retries"'],
    ["previous-hosts", "previous_hosts"],
    ["pings", "connection_keepalive"],
    ["least-request", "LEAST_REQUEST"],
  ] as const)("%s has all but it", (setting, trace) => {
    const others = [...SHIPPED].filter((one) => one !== setting).join(",");
    expect(bootstrapOf("ha.yaml")).toContain(trace);
    expect(bootstrapOf(others)).not.toContain(trace);
    expect(describeSettings(parseSettings(others))).toBe(others);
  });

  test("a name that is none of them is refused", () => {
    expect(() => parseSettings("pings,pongs")).toThrow("unknown setting pongs");
  });
});

/** The documents of a file, by kind. */
function documents(name: string): Record<string, Record<string, unknown>> {
  const text = readFileSync(inPackage("manifests", "envoy", name), "utf8");
  return Object.fromEntries(
    parseAllDocuments(text).map((document) => {
      expect(document.errors, name).toEqual([]);
      const value = parse(String(document)) as { kind: string; spec: Record<string, unknown> };
      return [value.kind, value.spec];
    }),
  );
}

test("istio.yaml says the same", () => {
  const { DestinationRule, EnvoyFilter } = documents("istio.yaml");
  expect(DestinationRule).toMatchObject({
    trafficPolicy: {
      loadBalancer: { simple: "LEAST_REQUEST" },
      connectionPool: { tcp: { connectTimeout: "0.25s" }, http: { maxRetries: 1024 } },
      outlierDetection: { consecutive5xxErrors: 3, maxEjectionPercent: 50, baseEjectionTime: "2s" },
    },
  });
  const [cluster, route] = EnvoyFilter!["configPatches"] as { patch: { value: unknown } }[];
  expect(cluster!.patch.value).toMatchObject({
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        explicit_http_config: { http2_protocol_options: { connection_keepalive: KEEPALIVE } },
      },
    },
    health_checks: HEALTH_CHECKS,
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
  });
  expect(route!.patch.value).toMatchObject({
    typed_per_filter_config: {
      "envoy.filters.http.ext_proc": {
        overrides: { grpc_service: { retry_policy: RETRY_POLICY } },
      },
    },
  });
});

test.skipIf(envoy === null)("what istio.yaml patches in is what Envoy accepts", () => {
  const { EnvoyFilter } = documents("istio.yaml");
  const [cluster, route] = EnvoyFilter!["configPatches"] as { patch: { value: object } }[];
  const { bootstrap, grpcService, pickers, route: inferenceRoute } = haManifest();
  delete grpcService["retry_policy"];
  Object.assign(pickers, cluster!.patch.value);
  Object.assign(inferenceRoute, route!.patch.value);
  const folder = mkdtempSync(join(tmpdir(), "istio-patches-"));
  try {
    const file = join(folder, "envoy.json");
    writeFileSync(file, JSON.stringify(bootstrap));
    const output = execFileSync(envoy!, ["--mode", "validate", "-c", file], { encoding: "utf8" });
    expect(output).toContain("OK");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("envoy-gateway.yaml says the same, as far as its API can", () => {
  const { EnvoyExtensionPolicy, EnvoyPatchPolicy } = documents("envoy-gateway.yaml");
  const [extProc] = EnvoyExtensionPolicy!["extProc"] as Record<string, unknown>[];
  expect(extProc).toMatchObject({
    failOpen: false,
    backendSettings: {
      loadBalancer: { type: "LeastRequest" },
      timeout: { tcp: { connectTimeout: "250ms" } },
      retry: {
        numRetries: 2,
        // reset-before-request is a part of reset, and not among the triggers of this API
        retryOn: {
          triggers: RETRY_POLICY.retry_on.split(",").filter((on) => on !== "reset-before-request"),
        },
      },
      circuitBreaker: { maxParallelRetries: 1024 },
      healthCheck: {
        active: { type: "GRPC", interval: "500ms", timeout: "500ms", unhealthyThreshold: 1 },
        passive: { consecutive5XxErrors: 3, maxEjectionPercent: 50, baseEjectionTime: "2s" },
        panicThreshold: 0,
      },
    },
  });
  const patches = EnvoyPatchPolicy!["jsonPatches"] as {
    operation: { path: string; value: unknown };
  }[];
  const values = patches.map(({ operation }) => [
    operation.path.split("/").at(-1),
    operation.value,
  ]);
  expect(values).toEqual([
    ["connection_keepalive", KEEPALIVE],
    ["no_traffic_interval", "0.5s"],
  ]);
});
