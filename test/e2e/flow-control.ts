/**
 * Flow control end to end: Envoy, the picker and emulated model servers at twice their capacity, with requests of three
 * priorities and five tenants; the same load without flow control beside it.
 *
 *   capacity (closed loop) ─▶ high alone ─▶ all of it, with flow control ─▶ all of it, without ─▶ judgement
 *
 * What is hoped for: whoever waits for a first token waits hardly longer than with nobody else there; what is too much is
 * refused, the least important first; tenants of one band get equal shares however much they ask for; and nothing is left
 * behind.
 * @module
 */

import { until } from "../support/deadline.ts";
import { type ServerAddress, startEmulatedServers } from "../support/emulated-servers.ts";
import { type RunningEndpointPicker, startEndpointPicker } from "../support/endpoint-picker.ts";
import { findEnvoy, NO_ENVOY_REASON, type RunningEnvoy, startEnvoy } from "../support/envoy.ts";
import { parseExposition, sumOf } from "../support/exposition.ts";
import {
  BANDS,
  type Band,
  type FlowOutcome,
  MODEL,
  measureCapacity,
  planRequests,
  playRequests,
  type Rates,
  TENANTS,
} from "./flow-traffic.ts";

const SERVERS = 2;
/** Requests that an emulated server has in its batch at most; what is beyond waits in it. */
const BATCH = 32;
/** How long the capacity is measured, the time until it is steady included. */
const CAPACITY_SECONDS = 20;
/** Of the capacity, by band: together twice of it. */
const DEMAND: Rates = { high: 0.1, mid: 1.4, low: 0.5 };
const PRIORITIES: Readonly<Record<Band, number>> = { high: 10, mid: 0, low: -10 };
const POOL = "pool";
/** Twice the time in the queue: until then the first ones that found the servers empty have left them. */
const ALL_QUEUE_AFTER_MS = 10_000;
/** All must have been given back so long after the last answer. */
const GIVEN_BACK_WITHIN_MS = 15_000;

/** What is required. */
export interface FlowBounds {
  /** TTFT p95 of the high band against that of the high band alone. */
  readonly ttftRatioMax: number;
  /** Distance of a tenant's share from the fair one, ratio of the fair one. */
  readonly unfairnessMax: number;
}

const PLUGINS = [
  { type: "token-load-scorer" },
  { type: "active-request-scorer" },
  { type: "max-score-picker" },
];
const PROFILE = {
  name: "default",
  plugins: [
    { pluginRef: "token-load-scorer", weight: 2 },
    { pluginRef: "active-request-scorer", weight: 1 },
    { pluginRef: "max-score-picker" },
  ],
};
const DOCUMENT = { apiVersion: "llm-d.ai/v1alpha1", kind: "EndpointPickerConfig" };

const PLAIN_CONFIG = { ...DOCUMENT, plugins: PLUGINS, schedulingProfiles: [PROFILE] };

/** Lower bands leave room in the batches for higher ones; the queue of the lowest is short. */
const FLOW_CONFIG = {
  ...PLAIN_CONFIG,
  featureGates: ["flowControl"],
  plugins: [
    ...PLUGINS,
    {
      type: "concurrency-detector",
      parameters: { maxConcurrency: BATCH, concurrencyMode: "requests" },
    },
    { type: "round-robin-fairness-policy" },
    { type: "priority-holdback-policy", parameters: { minCeiling: 0.7 } },
  ],
  flowControl: {
    defaultRequestTTL: "5s",
    saturationDetector: { pluginRef: "concurrency-detector" },
    usageLimitPolicyPluginRef: "priority-holdback-policy",
    priorityBands: [
      { priority: PRIORITIES.high },
      { priority: PRIORITIES.mid, fairnessPolicyRef: "round-robin-fairness-policy" },
      { priority: PRIORITIES.low, maxRequests: 20 },
    ],
  },
};

const OBJECTIVES = BANDS.map((band) => ({
  apiVersion: "llm-d.ai/v1alpha2",
  kind: "InferenceObjective",
  metadata: { name: band },
  spec: { priority: PRIORITIES[band], poolRef: { name: POOL } },
}));

interface FlowRig {
  readonly url: string;
  readonly servers: readonly ServerAddress[];
  readonly picker: RunningEndpointPicker;
  readonly envoy: RunningEnvoy;
  stop(): Promise<void>;
}

async function startFlowRig(hasFlowControl: boolean): Promise<FlowRig> {
  const binary = findEnvoy();
  if (binary === null) throw new Error(NO_ENVOY_REASON);
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const group = await startEmulatedServers(SERVERS, MODEL, [], "h100-32b");
    stops.push(() => group.stop());
    const picker = await startEndpointPicker({
      config: hasFlowControl ? FLOW_CONFIG : PLAIN_CONFIG,
      endpoints: group.servers.map(({ name, host, port }) => ({ name, address: host, port })),
      manifests: OBJECTIVES,
      poolName: POOL,
      flags: ["--allow-experimental-plugins"],
      waitForScrapes: true,
    });
    stops.push(() => picker.kill());
    const envoy = await startEnvoy(binary, {
      extProcPort: picker.ports.grpc,
      route: { kind: "original-dst" },
    });
    stops.push(() => envoy.stop());
    return { url: envoy.url, servers: group.servers, picker, envoy, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What is held somewhere on the way; all 0 when nothing is under way. */
async function held({ envoy, picker, servers }: FlowRig): Promise<Record<string, number>> {
  const page = parseExposition(await picker.metrics());
  const figures: Record<string, number> = {};
  for (const name of [
    "endpoint_picker_open_streams",
    "endpoint_picker_open_flights",
    "endpoint_picker_body_bytes_in_flight",
    "llm_d_epp_request_running",
    "llm_d_epp_flow_control_queue_size",
    "llm_d_epp_flow_control_queue_bytes",
  ]) {
    figures[name] = sumOf(page, name) ?? 0;
  }
  for (const [name, value] of await envoy.stats(/^http\.inference\.downstream_rq_active$/)) {
    figures[name] = value;
  }
  for (const { address, name } of servers) {
    const metrics = parseExposition(await (await fetch(`http://${address}/metrics`)).text());
    for (const family of ["vllm:num_requests_running", "vllm:num_requests_waiting"]) {
      figures[`${name} ${family}`] = sumOf(metrics, family) ?? 0;
    }
  }
  return figures;
}

/** Waits until nothing is held. @returns what still is after the time for it */
async function leftBehind(rig: FlowRig): Promise<Record<string, number>> {
  let last: Record<string, number> = {};
  await until(
    async () => {
      last = await held(rig);
      return Object.values(last).every((value) => value === 0) ? true : null;
    },
    GIVEN_BACK_WITHIN_MS,
    "nothing held",
  ).catch(() => {});
  return Object.fromEntries(Object.entries(last).filter(([, value]) => value !== 0));
}

/** One arm's outcomes, and what it left behind. */
export interface FlowArm {
  /** Arrivals were planned for this long. */
  readonly seconds: number;
  readonly outcomes: readonly FlowOutcome[];
  readonly left: Readonly<Record<string, number>>;
}

export interface FlowResult {
  /** Requests a second of the middle band that the servers finish. */
  readonly capacity: number;
  readonly alone: FlowArm;
  readonly withFlow: FlowArm;
  readonly withoutFlow: FlowArm;
}

export interface FlowOptions {
  readonly seconds: number;
  readonly seed?: number;
  readonly report?: (line: string) => void;
}

export async function runFlowControl(options: FlowOptions): Promise<FlowResult> {
  const { report = () => {}, seconds, seed = 1 } = options;
  const rig = await startFlowRig(true);
  let capacity: number;
  let alone: FlowArm;
  let withFlow: FlowArm;
  const play = async (on: FlowRig, rates: Rates): Promise<FlowArm> => {
    const outcomes = await playRequests(on.url, planRequests(seed, seconds, rates));
    return { seconds, outcomes, left: await leftBehind(on) };
  };
  const rates = (): Rates => ({
    high: DEMAND.high * capacity,
    mid: DEMAND.mid * capacity,
    low: DEMAND.low * capacity,
  });
  try {
    const plain = await startFlowRig(false);
    try {
      capacity = await measureCapacity(plain.url, SERVERS * BATCH, CAPACITY_SECONDS);
    } finally {
      await plain.stop();
    }
    report(`capacity ${capacity.toFixed(1)} requests/s`);
    alone = await play(rig, { ...rates(), mid: 0, low: 0 });
    report(describeArm("high alone", alone));
    withFlow = await play(rig, rates());
    report(describeArm("flow control", withFlow));
  } finally {
    await rig.stop();
  }
  const plain = await startFlowRig(false);
  try {
    const withoutFlow = await play(plain, rates());
    report(describeArm("without", withoutFlow));
    return { capacity, alone, withFlow, withoutFlow };
  } finally {
    await plain.stop();
  }
}

const served = ({ outcomes }: FlowArm, band: Band): readonly FlowOutcome[] =>
  outcomes.filter((one) => one.band === band && one.status === 200);

/** The value below which a share of the figures lies; NaN without figures. */
function percentile(figures: readonly number[], share: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function ttftP95(arm: FlowArm): number {
  return percentile(
    served(arm, "high").map(({ ttftMs }) => ttftMs),
    0.95,
  );
}

/**
 * Served requests of each tenant against the mean over all of them, while everybody has something queued: empty servers
 * take whoever comes, most of them of the tenant that asks for most, and at the end its queue is the last.
 */
export function sharesOf(arm: FlowArm): Readonly<Record<string, number>> {
  const inLine = served(arm, "mid").filter(
    ({ endedAtMs }) => endedAtMs > ALL_QUEUE_AFTER_MS && endedAtMs <= arm.seconds * 1000,
  );
  const counts = TENANTS.map((tenant) => inLine.filter((one) => one.tenant === tenant).length);
  const fair = counts.reduce((a, b) => a + b) / TENANTS.length;
  return Object.fromEntries(TENANTS.map((tenant, i) => [tenant, counts[i]! / fair]));
}

/** Requests of a band by how they ended, as `429 rejected-saturated`. */
export function endsOf({ outcomes }: FlowArm, band: Band): Readonly<Record<string, number>> {
  const ends: Record<string, number> = {};
  for (const { band: own, reason, status } of outcomes) {
    if (own !== band) continue;
    const end = reason === "" ? String(status) : `${status} ${reason}`;
    ends[end] = (ends[end] ?? 0) + 1;
  }
  return ends;
}

export function describeArm(name: string, arm: FlowArm): string {
  const ttft = served(arm, "high").map(({ ttftMs }) => ttftMs);
  const bands = BANDS.filter((band) => arm.outcomes.some((one) => one.band === band)).map(
    (band) =>
      `${band} ${Object.entries(endsOf(arm, band))
        .map(([end, count]) => `${count} × ${end}`)
        .join(", ")}`,
  );
  const shares = Object.values(sharesOf(arm));
  return [
    `${name}: TTFT of high p50 ${percentile(ttft, 0.5).toFixed(0)} ms, p95 ${ttftP95(arm).toFixed(0)} ms`,
    ...bands,
    ...(shares.some(Number.isFinite)
      ? [`shares of the tenants ${shares.map((share) => share.toFixed(2)).join(" ")}`]
      : []),
    ...Object.entries(arm.left).map(([what, value]) => `left behind: ${what} ${value}`),
  ].join("\n  ");
}

/** Everything that is not as it should be; empty = all is well. */
export function judge(result: FlowResult, bounds: FlowBounds): string[] {
  const { alone, withFlow } = result;
  const faults: string[] = [];
  const ratio = ttftP95(withFlow) / ttftP95(alone);
  if (!(ratio <= bounds.ttftRatioMax)) {
    faults.push(`TTFT p95 of high is ${ratio.toFixed(2)} of its value alone`);
  }
  const highEnds = Object.keys(endsOf(withFlow, "high"));
  if (highEnds.join() !== "200") faults.push(`high ends with ${highEnds.join(", ")}`);
  for (const [tenant, share] of Object.entries(sharesOf(withFlow))) {
    if (!(Math.abs(share - 1) <= bounds.unfairnessMax)) {
      faults.push(`${tenant} gets ${share.toFixed(2)} of a fair share`);
    }
  }
  const low = endsOf(withFlow, "low");
  const shed = Object.entries(low).filter(([end]) => /^429 rejected-/.test(end));
  if (shed.length === 0) faults.push("nothing of low was shed with 429 and a reason");
  for (const band of BANDS) {
    for (const end of Object.keys(endsOf(withFlow, band))) {
      if (!/^(200|429 rejected-.+)$/.test(end)) faults.push(`${band}: ended with ${end}`);
    }
  }
  for (const [name, arm] of Object.entries({ alone, withFlow })) {
    for (const what of Object.keys(arm.left)) faults.push(`${name} left ${what} behind`);
  }
  return faults;
}
