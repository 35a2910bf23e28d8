import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { catalog, type FamilyDefinition } from "./catalog.ts";

const families: readonly FamilyDefinition[] = Object.values(catalog);
const named = new Map(families.map((family) => [family.name, family]));

const M = ["model_name", "target_model_name"];
const MFP = [...M, "fairness_id", "priority"];
const B_TTFT = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45,
  60, 120,
];
const B_LAT = [...B_TTFT, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600];
const B_FAST = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
const B_PROC = [
  0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
// 32778 is what upstream has.
const B_RESP = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_778, 65_536];
const B_QUEUE = [
  0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
const B_REVOKE = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const FLOW = ["fairness_id", "priority", "inference_pool", ...M];
const OF_OUTCOME = ["fairness_id", "priority", "outcome", "inference_pool", ...M];
const B_REQ = Array.from({ length: 25 }, (_, k) => 64 * 2 ** k);

type Upstream = readonly [
  name: string,
  type: string,
  labels: readonly string[],
  buckets: readonly number[] | null,
  twin: string,
  twinLabels: readonly string[],
];

/** Name, labels and buckets of upstream's families that this process has, and of their deprecated twins. */
const UPSTREAM: readonly Upstream[] = [
  ["request_total", "counter", MFP, null, "inference_objective_request_total", [...M, "priority"]],
  [
    "request_error_total",
    "counter",
    [...MFP, "error_code"],
    null,
    "inference_objective_request_error_total",
    [...M, "error_code"],
  ],
  [
    "request_duration_seconds",
    "histogram",
    MFP,
    B_LAT,
    "inference_objective_request_duration_seconds",
    M,
  ],
  ["request_size_bytes", "histogram", MFP, B_REQ, "inference_objective_request_sizes", M],
  ["response_size_bytes", "histogram", MFP, B_RESP, "inference_objective_response_sizes", M],
  ["request_running", "gauge", MFP, null, "inference_objective_running_requests", ["model_name"]],
  ["request_ttft_seconds", "histogram", [...MFP, "streaming"], B_TTFT, "", []],
  ["request_processing_duration_seconds", "histogram", [], B_PROC, "", []],
  [
    "scheduler_e2e_duration_seconds",
    "histogram",
    [],
    B_FAST,
    "inference_extension_scheduler_e2e_duration_seconds",
    [],
  ],
  [
    "scheduler_attempts_total",
    "counter",
    ["status", "target_model_name", "endpoint_name", "namespace", "port"],
    null,
    "inference_extension_scheduler_attempts_total",
    ["status", "target_model_name", "pod_name", "namespace", "port"],
  ],
  [
    "model_rewrite_decisions_total",
    "counter",
    ["model_rewrite_name", "model_name", "target_model"],
    null,
    "inference_extension_model_rewrite_decisions_total",
    ["model_rewrite_name", "model_name", "target_model"],
  ],
  ["ready_endpoints", "gauge", ["name"], null, "inference_pool_ready_pods", ["name"]],
  ...["kv_cache_utilization", "queue_size", "running_requests"].flatMap((what): Upstream[] => [
    [`average_${what}`, "gauge", ["name"], null, `inference_pool_average_${what}`, ["name"]],
    [`std_dev_${what}`, "gauge", ["name"], null, "", []],
  ]),
  [
    "per_endpoint_queue_size",
    "gauge",
    ["name", "model_server_endpoint"],
    null,
    "inference_pool_per_pod_queue_size",
    ["name", "model_server_pod"],
  ],
  [
    "datalayer_poll_errors_total",
    "counter",
    ["source_type"],
    null,
    "llm_d_inference_scheduler_datalayer_poll_errors_total",
    ["source_type"],
  ],
  [
    "prefix_indexer_size",
    "gauge",
    ["plugin_name", "plugin_type"],
    null,
    "inference_extension_prefix_indexer_size",
    [],
  ],
  // 03-flow-control.md, section 17.
  ["program_aware_jains_fairness_index", "gauge", [], null, "", []],
  ...(
    [
      ["request_queue_duration_seconds", "histogram", OF_OUTCOME, B_QUEUE],
      ["dispatch_cycle_duration_seconds", "histogram", [], B_FAST],
      [
        "request_enqueue_duration_seconds",
        "histogram",
        ["fairness_id", "priority", "outcome"],
        B_FAST,
      ],
      ["queue_size", "gauge", FLOW, null],
      ["queue_bytes", "gauge", FLOW, null],
      ["pool_saturation", "gauge", ["inference_pool", "stage"], null],
    ] as const
  ).map(
    ([name, type, labels, buckets]): Upstream => [
      `flow_control_${name}`,
      type,
      labels,
      buckets,
      `inference_extension_flow_control_${name}`,
      labels,
    ],
  ),
  ...(
    [
      ["stale_endpoints", "gauge", ["detector"], null],
      ["capacity_utilization_requests", "gauge", ["priority", "inference_pool"], null],
      ["capacity_utilization_bytes", "gauge", ["priority", "inference_pool"], null],
      ["global_capacity_utilization_requests", "gauge", ["inference_pool"], null],
      ["global_capacity_utilization_bytes", "gauge", ["inference_pool"], null],
      ["requests_total", "counter", ["outcome", "priority", "inference_pool"], null],
      ["revocations_issued_total", "counter", ["priority", "inference_pool"], null],
      ["revocations_total", "counter", ["outcome", "inference_pool"], null],
      ["reclaim_target", "gauge", ["inference_pool"], null],
      ["pending_reclaim", "gauge", ["inference_pool"], null],
      ["revocation_confirmation_seconds", "histogram", ["inference_pool"], B_REVOKE],
    ] as const
  ).map(
    ([name, type, labels, buckets]): Upstream => [
      `flow_control_${name}`,
      type,
      labels,
      buckets,
      "",
      [],
    ],
  ),
];

describe("upstream's families", () => {
  test.each(UPSTREAM)(
    "%s is exactly upstream's",
    (name, type, labels, buckets, twin, twinLabels) => {
      const family = named.get(`llm_d_epp_${name}`)!;
      expect(family.type).toBe(type);
      expect(family.labels).toEqual(labels);
      expect(family.buckets ?? null).toEqual(buckets);
      expect(family.twin?.name ?? "").toBe(twin);
      expect(family.twin?.labelNames ?? family.twin?.labels ?? []).toEqual(twinLabels);
    },
  );

  test("are all there is under upstream's prefix; what is ours has our own", () => {
    const others = families.filter(({ name }) => !name.startsWith("endpoint_picker_"));
    expect(others.map(({ name }) => name).sort()).toEqual(
      UPSTREAM.map(([name]) => `llm_d_epp_${name}`).sort(),
    );
  });
});

describe("the table", () => {
  test("has no name twice, twins included", () => {
    const names = families.flatMap(({ name, twin }) => (twin ? [name, twin.name] : [name]));
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(families)("$name is well formed", ({ buckets, help, labels, name, twin, type }) => {
    expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
    if (type === "counter") expect(name).toMatch(/_total$/);
    expect(help).toMatch(/^[A-Z].*\.$/);
    expect(type === "histogram").toBe(buckets !== undefined);
    expect([...(buckets ?? [])].sort((a, b) => a - b)).toEqual(buckets ?? []);
    for (const label of twin?.labels ?? []) expect(labels).toContain(label);
    if (twin?.labelNames !== undefined) expect(twin.labelNames.length).toBe(twin.labels.length);
  });
});

describe("docs/metrics.md", () => {
  const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
  const rows = page
    .split("\n")
    .filter((line) => /^\| `(llm_d_epp|endpoint_picker|inference|llm_d_inference)_/.test(line));

  const list = (labels: readonly string[]): string =>
    labels.length === 0 ? "–" : labels.map((label) => `\`${label}\``).join(", ");

  /** The row of a family as the page has to have it. */
  function rowOf({ help, labels, name, twin, type }: FamilyDefinition): string {
    const names = twin?.labelNames ?? twin?.labels ?? [];
    const old = twin === undefined ? "" : `\`${twin.name}\` (${list(names)})`;
    return `| \`${name}\` | ${type} | ${list(labels)} | ${help} | ${old} |`;
  }

  test("has the row of every family, in the order of the table, and no other", () => {
    expect(rows).toEqual(families.map(rowOf));
  });
});
