/**
 * The one table of metrics: name, type, labels, buckets and deprecated twin of every family this process exposes. Names,
 * labels and buckets of the `llm_d_epp_` families are upstream's, so that dashboards keep working
 * (llm-d-router: pkg/epp/metrics); what upstream lacks is prefixed `endpoint_picker_`.
 * @module
 */

export interface FamilyDefinition {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One sentence; the stability tag is added when it is rendered. */
  readonly help: string;
  readonly labels: readonly string[];
  /** Without labels: absent until it is set; else it is there from the start. */
  readonly isAbsentUntilSet?: boolean;
  /** Upper bounds, ascending, without +Inf. */
  readonly buckets?: readonly number[];
  /** Deprecated name of the same series; its labels are a subset, values are summed over the rest. */
  readonly twin?: {
    readonly name: string;
    readonly labels: readonly string[];
    /** Names on the twin, where they differ from those of the family. */
    readonly labelNames?: readonly string[];
  };
}

const M = ["model_name", "target_model_name"] as const;
const MFP = [...M, "fairness_id", "priority"] as const;
const ENDPOINT = ["endpoint_name", "namespace", "port"] as const;

const TTFT_BUCKETS = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45,
  60, 120,
];
const LATENCY_BUCKETS = [
  ...TTFT_BUCKETS,
  180,
  240,
  300,
  360,
  480,
  600,
  900,
  1200,
  1800,
  2700,
  3600,
];
const REQUEST_SIZE_BUCKETS = Array.from({ length: 25 }, (_, k) => 64 * 2 ** k);
/** 32778 is upstream's spelling, kept for the continuity of series. */
const RESPONSE_SIZE_BUCKETS = [
  1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32778, 65536,
];
const PROCESSING_BUCKETS = [
  0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const FAST_BUCKETS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
/** A pick takes microseconds: upstream's buckets begin where ours end. */
const PICK_BUCKETS = [
  1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2,
];

const QUEUE_BUCKETS = [
  0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
const REVOCATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const FLOW = ["fairness_id", "priority", "inference_pool", ...M] as const;

export const catalog = {
  requestTotal: {
    name: "llm_d_epp_request_total",
    type: "counter",
    help: "Requests for which an endpoint was picked.",
    labels: MFP,
    twin: { name: "inference_objective_request_total", labels: [...M, "priority"] },
  },
  requestErrorTotal: {
    name: "llm_d_epp_request_error_total",
    type: "counter",
    help: "Requests that ended with an error, by class.",
    labels: [...MFP, "error_code"],
    twin: { name: "inference_objective_request_error_total", labels: [...M, "error_code"] },
  },
  requestDuration: {
    name: "llm_d_epp_request_duration_seconds",
    type: "histogram",
    help: "From receipt of the request to the end of its response.",
    labels: MFP,
    buckets: LATENCY_BUCKETS,
    twin: { name: "inference_objective_request_duration_seconds", labels: M },
  },
  requestSize: {
    name: "llm_d_epp_request_size_bytes",
    type: "histogram",
    help: "Request body size.",
    labels: MFP,
    buckets: REQUEST_SIZE_BUCKETS,
    twin: { name: "inference_objective_request_sizes", labels: M },
  },
  responseSize: {
    name: "llm_d_epp_response_size_bytes",
    type: "histogram",
    help: "Response body size.",
    labels: MFP,
    buckets: RESPONSE_SIZE_BUCKETS,
    twin: { name: "inference_objective_response_sizes", labels: M },
  },
  requestRunning: {
    name: "llm_d_epp_request_running",
    type: "gauge",
    help: "Requests sent to an endpoint and not ended.",
    labels: MFP,
    twin: { name: "inference_objective_running_requests", labels: ["model_name"] },
  },
  requestTtft: {
    name: "llm_d_epp_request_ttft_seconds",
    type: "histogram",
    help: "From receipt of the request to the first byte of its response body.",
    labels: [...MFP, "streaming"],
    buckets: TTFT_BUCKETS,
  },
  requestProcessing: {
    name: "llm_d_epp_request_processing_duration_seconds",
    type: "histogram",
    help: "From receipt of the request headers to the answer, waiting included.",
    labels: [],
    buckets: PROCESSING_BUCKETS,
  },
  schedulerDuration: {
    name: "llm_d_epp_scheduler_e2e_duration_seconds",
    type: "histogram",
    help: "Duration of a pick.",
    labels: [],
    buckets: FAST_BUCKETS,
    twin: { name: "inference_extension_scheduler_e2e_duration_seconds", labels: [] },
  },
  schedulerAttempts: {
    name: "llm_d_epp_scheduler_attempts_total",
    type: "counter",
    help: "Picks by outcome and endpoint.",
    labels: ["status", "target_model_name", ...ENDPOINT],
    twin: {
      name: "inference_extension_scheduler_attempts_total",
      labels: ["status", "target_model_name", ...ENDPOINT],
      labelNames: ["status", "target_model_name", "pod_name", "namespace", "port"],
    },
  },
  modelRewrites: {
    name: "llm_d_epp_model_rewrite_decisions_total",
    type: "counter",
    help: "Requests whose model an InferenceModelRewrite decided on.",
    labels: ["model_rewrite_name", "model_name", "target_model"],
    twin: {
      name: "inference_extension_model_rewrite_decisions_total",
      labels: ["model_rewrite_name", "model_name", "target_model"],
    },
  },
  readyEndpoints: {
    name: "llm_d_epp_ready_endpoints",
    type: "gauge",
    help: "Endpoints whose metrics are fresh.",
    labels: ["name"],
    twin: { name: "inference_pool_ready_pods", labels: ["name"] },
  },
  averageKvCacheUtilization: {
    name: "llm_d_epp_average_kv_cache_utilization",
    type: "gauge",
    help: "Mean KV-cache utilization over fresh endpoints, ratio.",
    labels: ["name"],
    twin: { name: "inference_pool_average_kv_cache_utilization", labels: ["name"] },
  },
  averageQueueSize: {
    name: "llm_d_epp_average_queue_size",
    type: "gauge",
    help: "Mean number of requests waiting in the engines, over fresh endpoints.",
    labels: ["name"],
    twin: { name: "inference_pool_average_queue_size", labels: ["name"] },
  },
  stdDevKvCacheUtilization: {
    name: "llm_d_epp_std_dev_kv_cache_utilization",
    type: "gauge",
    help: "Sample standard deviation of the KV-cache utilization of fresh endpoints, ratio.",
    labels: ["name"],
  },
  stdDevQueueSize: {
    name: "llm_d_epp_std_dev_queue_size",
    type: "gauge",
    help: "Sample standard deviation of the requests waiting in the engines of fresh endpoints.",
    labels: ["name"],
  },
  stdDevRunningRequests: {
    name: "llm_d_epp_std_dev_running_requests",
    type: "gauge",
    help: "Sample standard deviation of the requests running in the engines of fresh endpoints.",
    labels: ["name"],
  },
  averageRunningRequests: {
    name: "llm_d_epp_average_running_requests",
    type: "gauge",
    help: "Mean number of requests running in the engines, over fresh endpoints.",
    labels: ["name"],
    twin: { name: "inference_pool_average_running_requests", labels: ["name"] },
  },
  perEndpointQueueSize: {
    name: "llm_d_epp_per_endpoint_queue_size",
    type: "gauge",
    help: "Requests waiting in the engine of each endpoint.",
    labels: ["name", "model_server_endpoint"],
    twin: {
      name: "inference_pool_per_pod_queue_size",
      labels: ["name", "model_server_endpoint"],
      labelNames: ["name", "model_server_pod"],
    },
  },
  pollErrors: {
    name: "llm_d_epp_datalayer_poll_errors_total",
    type: "counter",
    help: "Failed scrapes of model servers.",
    labels: ["source_type"],
    twin: {
      name: "llm_d_inference_scheduler_datalayer_poll_errors_total",
      labels: ["source_type"],
    },
  },
  prefixIndexerSize: {
    name: "llm_d_epp_prefix_indexer_size",
    type: "gauge",
    help: "Entries of the prefix index.",
    labels: ["plugin_name", "plugin_type"],
    twin: { name: "inference_extension_prefix_indexer_size", labels: [] },
  },
  flowQueueDuration: {
    name: "llm_d_epp_flow_control_request_queue_duration_seconds",
    type: "histogram",
    help: "From the arrival at flow control to the end of the wait, by outcome.",
    labels: ["fairness_id", "priority", "outcome", "inference_pool", ...M],
    buckets: QUEUE_BUCKETS,
    twin: {
      name: "inference_extension_flow_control_request_queue_duration_seconds",
      labels: ["fairness_id", "priority", "outcome", "inference_pool", ...M],
    },
  },
  flowCycleDuration: {
    name: "llm_d_epp_flow_control_dispatch_cycle_duration_seconds",
    type: "histogram",
    help: "Duration of a look at what is queued.",
    labels: [],
    buckets: FAST_BUCKETS,
    twin: { name: "inference_extension_flow_control_dispatch_cycle_duration_seconds", labels: [] },
  },
  flowEnqueueDuration: {
    name: "llm_d_epp_flow_control_request_enqueue_duration_seconds",
    type: "histogram",
    help: "Time to take a request in or to refuse it.",
    labels: ["fairness_id", "priority", "outcome"],
    buckets: FAST_BUCKETS,
    twin: {
      name: "inference_extension_flow_control_request_enqueue_duration_seconds",
      labels: ["fairness_id", "priority", "outcome"],
    },
  },
  flowQueueSize: {
    name: "llm_d_epp_flow_control_queue_size",
    type: "gauge",
    help: "Requests that wait in flow control.",
    labels: FLOW,
    twin: { name: "inference_extension_flow_control_queue_size", labels: FLOW },
  },
  flowQueueBytes: {
    name: "llm_d_epp_flow_control_queue_bytes",
    type: "gauge",
    help: "Bytes of the requests that wait in flow control.",
    labels: FLOW,
    twin: { name: "inference_extension_flow_control_queue_bytes", labels: FLOW },
  },
  flowPoolSaturation: {
    name: "llm_d_epp_flow_control_pool_saturation",
    type: "gauge",
    help: "Saturation of the pool when flow control last looked, by stage; 1 = full.",
    labels: ["inference_pool", "stage"],
    twin: {
      name: "inference_extension_flow_control_pool_saturation",
      labels: ["inference_pool", "stage"],
    },
  },
  flowStaleEndpoints: {
    name: "llm_d_epp_flow_control_stale_endpoints",
    type: "gauge",
    help: "Endpoints whose metrics are too old for the saturation detector.",
    labels: ["detector"],
  },
  flowCapacityRequests: {
    name: "llm_d_epp_flow_control_capacity_utilization_requests",
    type: "gauge",
    help: "Waiting requests of a priority band as a share of its bound.",
    labels: ["priority", "inference_pool"],
  },
  flowCapacityBytes: {
    name: "llm_d_epp_flow_control_capacity_utilization_bytes",
    type: "gauge",
    help: "Waiting bytes of a priority band as a share of its bound.",
    labels: ["priority", "inference_pool"],
  },
  flowGlobalCapacityRequests: {
    name: "llm_d_epp_flow_control_global_capacity_utilization_requests",
    type: "gauge",
    help: "Waiting requests as a share of the bound over all bands; absent without one.",
    labels: ["inference_pool"],
  },
  flowGlobalCapacityBytes: {
    name: "llm_d_epp_flow_control_global_capacity_utilization_bytes",
    type: "gauge",
    help: "Waiting bytes as a share of the bound over all bands; absent without one.",
    labels: ["inference_pool"],
  },
  flowRequests: {
    name: "llm_d_epp_flow_control_requests_total",
    type: "counter",
    help: "Requests whose wait is over, by outcome.",
    labels: ["outcome", "priority", "inference_pool"],
  },
  flowRevocationsIssued: {
    name: "llm_d_epp_flow_control_revocations_issued_total",
    type: "counter",
    help: "Running requests that were asked to end, by the priority that needed the room.",
    labels: ["priority", "inference_pool"],
  },
  flowRevocations: {
    name: "llm_d_epp_flow_control_revocations_total",
    type: "counter",
    help: "Running requests that were asked to end, by whether they did in time.",
    labels: ["outcome", "inference_pool"],
  },
  flowFairnessIndex: {
    name: "llm_d_epp_program_aware_jains_fairness_index",
    type: "gauge",
    help: "How evenly programs have waited under program-aware-fairness, Jain's index; 1 = all the same.",
    labels: [],
    isAbsentUntilSet: true,
  },
  flowReclaimTarget: {
    name: "llm_d_epp_flow_control_reclaim_target",
    type: "gauge",
    help: "Saturation that the last decision to end running requests wanted to free.",
    labels: ["inference_pool"],
  },
  flowPendingReclaim: {
    name: "llm_d_epp_flow_control_pending_reclaim",
    type: "gauge",
    help: "Saturation that requests which are asked to end are still to free.",
    labels: ["inference_pool"],
  },
  flowRevocationConfirmation: {
    name: "llm_d_epp_flow_control_revocation_confirmation_seconds",
    type: "histogram",
    help: "From asking a running request to end until it has.",
    labels: ["inference_pool"],
    buckets: REVOCATION_BUCKETS,
  },
  pickDuration: {
    name: "endpoint_picker_pick_duration_seconds",
    type: "histogram",
    help: "Duration of a pick, in buckets that resolve it.",
    labels: [],
    buckets: PICK_BUCKETS,
  },
  openStreams: {
    name: "endpoint_picker_open_streams",
    type: "gauge",
    help: "Exchanges open now.",
    labels: [],
  },
  openFlights: {
    name: "endpoint_picker_open_flights",
    type: "gauge",
    help: "Dispatched requests whose reservation has not been given back.",
    labels: [],
  },
  connections: {
    name: "endpoint_picker_connections",
    type: "gauge",
    help: "Gateway connections open now.",
    labels: [],
  },
  exceededLimits: {
    name: "endpoint_picker_h2_limits_exceeded_total",
    type: "counter",
    help: "Times that a gateway connection went beyond a limit of the HTTP/2 server, by limit.",
    labels: ["limit"],
  },
  unsentBytes: {
    name: "endpoint_picker_unsent_bytes",
    type: "gauge",
    help: "Bytes of replies that wait for gateways to take them.",
    labels: [],
  },
  bodyBytesInFlight: {
    name: "endpoint_picker_body_bytes_in_flight",
    type: "gauge",
    help: "Bytes of request bodies held now.",
    labels: [],
  },
  failedStreams: {
    name: "endpoint_picker_failed_streams_total",
    type: "counter",
    help: "Exchanges that were ended with a gRPC error.",
    labels: [],
  },
  internalFaults: {
    name: "endpoint_picker_internal_faults_total",
    type: "counter",
    help: "Faults of ours while requests were handled; each request went on as far as it could.",
    labels: [],
  },
  accountingRepairs: {
    name: "endpoint_picker_accounting_repairs_total",
    type: "counter",
    help: "In-flight counters found wrong by the recount, and repaired.",
    labels: [],
  },
  scrapes: {
    name: "endpoint_picker_scrapes_total",
    type: "counter",
    help: "Scrapes of model servers by result.",
    labels: ["result"],
  },
  scraperRestarts: {
    name: "endpoint_picker_scraper_thread_restarts_total",
    type: "counter",
    help: "Scraper threads that died and were started anew.",
    labels: [],
  },
  discoveryReloads: {
    name: "endpoint_picker_discovery_reloads_total",
    type: "counter",
    help: "Reloads of the endpoints file by result.",
    labels: ["result"],
  },
  discoveryLastSuccess: {
    name: "endpoint_picker_discovery_last_success_timestamp_seconds",
    type: "gauge",
    help: "Unix time of the last good load of the endpoints file.",
    labels: [],
  },
  manifestReloads: {
    name: "endpoint_picker_manifest_reloads_total",
    type: "counter",
    help: "Reloads of manifests by result; failed = something in them was wrong.",
    labels: ["result"],
  },
  manifestProblems: {
    name: "endpoint_picker_manifest_problems",
    type: "gauge",
    help: "Things wrong in the manifests now.",
    labels: [],
  },
  inferenceResources: {
    name: "endpoint_picker_inference_resources",
    type: "gauge",
    help: "Resources of the pool in force, by kind.",
    labels: ["kind"],
  },
  upstreamResponses: {
    name: "endpoint_picker_upstream_responses_total",
    type: "counter",
    help: "Responses of model servers by status class.",
    labels: ["status"],
  },
} as const satisfies Record<string, FamilyDefinition>;

export type FamilyName = keyof typeof catalog;
