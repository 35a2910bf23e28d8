/**
 * Configurations as the field has them (guides and charts of llm-d): each loads, and routes a request through the whole
 * scheduler. Written anew from their descriptions; what they name and this version lacks is not among them.
 */
import { describe, expect, test } from "vitest";
import { buildScheduler, EndpointPool, ManualClock, SeededRandom } from "../../scheduler/index.ts";
import { endpointMetadata, requestOf, START_MS } from "../../test/support/scheduler-setup.ts";
import { loadConfig } from "./load.ts";
import { scalarAttributes } from "./scalar-attributes.ts";

type Use = readonly [plugin: string, weight?: number];
type Plugin = readonly [type: string, parameters?: object];

interface Sample {
  readonly plugins: readonly Plugin[];
  readonly profiles: Readonly<Record<string, readonly Use[]>>;
  readonly dataLayer?: object;
  /** Headers that the model server must be sent. */
  readonly headers?: readonly string[];
}

const queue: Use = ["queue-scorer", 2];
const cache: Use = ["kv-cache-utilization-scorer", 2];
const prefix: Use = ["prefix-cache-scorer", 3];

const DISAGGREGATED: Sample["profiles"] = {
  prefill: [["prefill-filter"], ["prefix-cache-scorer", 2], ["queue-scorer", 1]],
  decode: [["decode-filter"], ["prefix-cache-scorer", 2], ["queue-scorer", 1]],
};

const SAMPLES: Readonly<Record<string, Sample>> = {
  "estimated prefix": {
    plugins: [
      ["decode-filter"],
      ["prefix-cache-scorer"],
      ["load-aware-scorer"],
      ["max-score-picker"],
    ],
    profiles: {
      default: [
        ["decode-filter"],
        ["prefix-cache-scorer", 1],
        ["load-aware-scorer", 1],
        ["max-score-picker"],
      ],
    },
  },
  "optimized baseline": {
    plugins: [
      ["queue-scorer"],
      ["kv-cache-utilization-scorer"],
      ["prefix-cache-scorer"],
      ["no-hit-lru-scorer"],
    ],
    profiles: { default: [queue, cache, prefix, ["no-hit-lru-scorer", 2]] },
  },
  "agentic serving": {
    plugins: [
      ["prefix-cache-affinity-filter", { peakPrefillThroughput: 16_444 }],
      ["token-load-scorer"],
      ["inflight-load-producer"],
      [
        "approx-prefix-cache-producer",
        {
          maxPrefixTokensToMatch: 262_144,
          autoTune: false,
          lruCapacityPerServer: 1_570_000,
          blockSizeTokens: 256,
        },
      ],
    ],
    profiles: { default: [["prefix-cache-affinity-filter"], ["token-load-scorer", 1]] },
  },
  "data-parallel ranks": {
    plugins: [
      ["data-parallel-profile-handler", { primaryPort: 8000 }],
      ["decode-filter"],
      ["prefix-cache-scorer"],
      ["max-score-picker"],
    ],
    profiles: {
      default: [["decode-filter"], ["prefix-cache-scorer", 2], ["max-score-picker"]],
    },
    headers: ["x-data-parallel-host-port"],
  },
  "prefill and decode, as far as it pays": {
    plugins: [
      ["disagg-profile-handler", { deciders: { prefill: "prefix-based-pd-decider" } }],
      ["prefix-based-pd-decider", { nonCachedTokens: 16 }],
      ["approx-prefix-cache-producer", { blockSizeTokens: 16, autoTune: false }],
      ["prefill-filter"],
      ["decode-filter"],
      ["prefix-cache-scorer"],
      ["queue-scorer"],
    ],
    profiles: DISAGGREGATED,
    headers: ["x-prefiller-host-port"],
  },
  "prefill and decode, always, in the flat form": {
    plugins: [
      ["disagg-headers-handler"],
      [
        "disagg-profile-handler",
        {
          decodeProfile: "decode",
          prefillProfile: "prefill",
          deciderPluginName: "always-disagg-pd-decider",
        },
      ],
      ["always-disagg-pd-decider"],
      ["prefill-filter"],
      ["decode-filter"],
      ["prefix-cache-scorer"],
      ["queue-scorer"],
      ["active-request-scorer"],
    ],
    profiles: {
      prefill: [["prefill-filter"], prefix, ["active-request-scorer", 2]],
      decode: [["decode-filter"], ["active-request-scorer", 2], prefix],
    },
    headers: ["x-prefiller-host-port"],
  },
  "encode, prefill and decode": {
    plugins: [
      [
        "disagg-profile-handler",
        {
          deciders: {
            encode: "always-disagg-multimodal-decider",
            prefill: "prefix-based-pd-decider",
          },
        },
      ],
      ["always-disagg-multimodal-decider"],
      ["prefix-based-pd-decider", { nonCachedTokens: 16 }],
      ["encode-filter"],
      ["prefill-filter"],
      ["decode-filter"],
      ["queue-scorer"],
    ],
    profiles: {
      encode: [["encode-filter"], ["queue-scorer", 1]],
      prefill: [["prefill-filter"], ["queue-scorer", 1]],
      decode: [["decode-filter"], ["queue-scorer", 1]],
    },
    headers: ["x-encoder-hosts-ports", "x-prefiller-host-port"],
  },
  "prefill near decode": {
    plugins: [
      ["endpoint-notification-source"],
      ["topology-extractor"],
      ["disagg-profile-handler", { deciders: { prefill: "prefix-based-pd-decider" } }],
      ["prefix-based-pd-decider", { nonCachedTokens: 16 }],
      ["prefill-filter"],
      ["decode-filter"],
      ["topology-affinity-filter", { minAffinity: "zone" }],
      ["topology-affinity-scorer"],
      ["prefix-cache-scorer"],
    ],
    profiles: {
      prefill: [
        ["prefill-filter"],
        ["topology-affinity-filter"],
        ["topology-affinity-scorer", 1],
        ["prefix-cache-scorer", 2],
      ],
      decode: [["decode-filter"], ["prefix-cache-scorer", 2]],
    },
    dataLayer: {
      sources: [
        {
          pluginRef: "endpoint-notification-source",
          extractors: [{ pluginRef: "topology-extractor" }],
        },
      ],
    },
    headers: ["x-prefiller-host-port"],
  },
  "any payload": {
    plugins: [["passthrough-parser"], ["active-request-scorer"], ["session-affinity-scorer"]],
    profiles: {
      default: [
        ["active-request-scorer", 1],
        ["session-affinity-scorer", 1],
      ],
    },
  },
  "long and short prompts apart": {
    plugins: [
      ["token-producer"],
      ["decode-filter"],
      ["context-length-aware", { enableFiltering: true }],
      ["max-score-picker"],
    ],
    profiles: { default: [["decode-filter"], ["context-length-aware", 1], ["max-score-picker"]] },
  },
  "one of the group": {
    plugins: [
      [
        "label-selector-filter",
        { matchLabels: { "leaderworkerset.sigs.k8s.io/worker-index": "0" } },
      ],
      ["queue-scorer"],
      ["kv-cache-utilization-scorer"],
      ["prefix-cache-scorer"],
    ],
    profiles: { default: [["label-selector-filter"], queue, cache, prefix] },
  },
  "busy processors spared": {
    plugins: [
      ["metrics-data-source"],
      [
        "core-metrics-extractor",
        {
          engineConfigs: [
            {
              name: "gpu",
              customMetrics: [{ attributeKey: "GPUUtilization", metricSpec: "gpu_util" }],
            },
          ],
        },
      ],
      [
        "endpoint-attribute-filter",
        {
          attribute: "GPUUtilization",
          fallbackOnEmpty: true,
          algorithm: { type: "threshold", threshold: { operator: "LessThanOrEqual", value: 0.9 } },
        },
      ],
      [
        "endpoint-attribute-scorer",
        { attributeKey: "GPUUtilization", algorithm: { type: "linear_lower_is_better" } },
      ],
    ],
    profiles: { default: [["endpoint-attribute-filter"], ["endpoint-attribute-scorer", 2]] },
  },
};

function documentOf({ dataLayer, plugins, profiles }: Sample): object {
  return {
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    ...(dataLayer === undefined ? {} : { dataLayer }),
    plugins: plugins.map(([type, parameters]) => ({ type, parameters })),
    schedulingProfiles: Object.entries(profiles).map(([name, uses]) => ({
      name,
      plugins: uses.map(([pluginRef, weight]) => ({
        pluginRef,
        ...(weight === undefined ? {} : { weight }),
      })),
    })),
  };
}

describe.each(Object.entries(SAMPLES))("%s", (_name, sample) => {
  test("loads, routes, and gives everything back", async () => {
    const text = JSON.stringify(documentOf(sample));
    const loaded = await loadConfig({ text, allowExperimental: true });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    const pool = new EndpointPool();
    const scheduler = buildScheduler(loaded.config, {
      pool,
      clock: new ManualClock(START_MS),
      random: new SeededRandom(1),
      scalars: scalarAttributes(loaded.config).keys,
    });
    const worker = { "leaderworkerset.sigs.k8s.io/worker-index": "0" };
    const range = { "llm-d.ai/context-length-range": "0-100000" };
    ["decode", "prefill", "encode", "decode"].forEach((role, i) => {
      pool.upsert(endpointMetadata(i, { "llm-d.ai/role": role, ...worker, ...range }));
    });
    const prompt = Array.from({ length: 512 }, (_, i) => i);
    for (let i = 0; i < 3; i++) {
      const tokens = prompt.map((token) => token + i * 1000);
      const outcome = scheduler.schedule(requestOf(scheduler, tokens, { mediaItems: 1 }), null);
      if (outcome.kind === "rejected") throw new Error(outcome.reason);
      const names = outcome.headers.filter((_, at) => at % 2 === 0);
      expect(names.sort()).toEqual(sample.headers ?? []);
      scheduler.firstToken(outcome);
      scheduler.complete(outcome, "natural");
    }
    expect([...pool.columns.inflight.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    expect(scheduler.stats().accountingRepairs).toBe(0);
  });
});
