import { describe, expect, test } from "vitest";
import { z } from "zod";
import { flowDefaults } from "../flow/settings.ts";
import { pluginRegistry } from "../plugins.ts";
import type { OuterDefinition, OuterRegistry } from "./registries.ts";
import { resolveConfig } from "./resolve.ts";
import type { ResolvedConfig } from "./resolved.ts";

const OUTER: readonly OuterDefinition[] = [
  { type: "metrics-data-source", kind: "source", parameters: z.object({}) },
  { type: "core-metrics-extractor", kind: "extractor", parameters: z.object({}) },
];
const outer: OuterRegistry = {
  get: (type) => OUTER.find((definition) => definition.type === type),
  types: () => OUTER.map(({ type }) => type),
  defaultParsers: [],
};

interface Part {
  readonly plugins?: readonly object[];
  readonly featureGates?: readonly string[];
  readonly flowControl?: unknown;
  readonly saturationDetector?: unknown;
  readonly schedulingProfiles?: readonly object[];
  readonly dataLayer?: object;
  /** All plugins, without the usual one. */
  readonly bare?: readonly object[];
}

const QUEUE_ONLY = [{ name: "default", plugins: [{ pluginRef: "queue-scorer" }] }];

function resolve({ bare, plugins = [], ...rest }: Part) {
  const document = {
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins: bare ?? [{ type: "queue-scorer" }, ...plugins],
    schedulingProfiles: QUEUE_ONLY,
    ...rest,
  };
  return resolveConfig(
    document,
    { scheduling: pluginRegistry, outer },
    { allowExperimental: true },
  );
}

function configOf(part: Part): ResolvedConfig {
  const result = resolve(part);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

function problemsOf(part: Part): string[] {
  const result = resolve(part);
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

const ON = { featureGates: ["flowControl"] };
const sectionOf = (flowControl: object, plugins: readonly object[] = []) =>
  configOf({ ...ON, flowControl, plugins }).flowControl!;
const namesOf = ({ plugins }: ResolvedConfig) => plugins.map(({ name }) => name);

const DEFAULT_BAND = {
  maxBytes: 1_000_000_000,
  maxRequests: 5000,
  maxRequestsPerFlow: 0,
  requestTtlMs: null,
  ordering: "fcfs-ordering-policy",
  fairness: "global-strict-fairness-policy",
};

describe("the gate", () => {
  test.each(["flowControl", "flowControl=true", " flowControl = TRUE ", "flowControl=t"])(
    "%j is on",
    (gate) => {
      expect(configOf({ featureGates: [gate] }).flowControl).not.toBeNull();
    },
  );

  test.each([[], ["flowControl=false"], ["flowControl", "flowControl=F"]].map((g) => [g]))(
    "%j is off",
    (featureGates) => {
      expect(configOf({ featureGates }).flowControl).toBeNull();
    },
  );

  test("with another value, or another name, is a problem", () => {
    expect(problemsOf({ featureGates: ["flowControl=on"] })).toHaveLength(1);
    expect(problemsOf({ featureGates: ["flowcontrol"] })[0]).toContain(
      'did you mean "flowControl"',
    );
  });
});

describe("with the gate on and nothing said", () => {
  test("everything has its default, and nothing can be changed any more", () => {
    const { flowControl, saturationDetector } = configOf(ON);
    expect(saturationDetector).toBe("utilization-detector");
    expect(flowControl).toEqual({
      maxBytes: 0,
      maxRequests: 0,
      requestTtlMs: 60_000,
      noEndpointTtlMs: 60_000,
      bands: [],
      defaultBand: { priority: 0, ...DEFAULT_BAND },
      negativeBand: { priority: 0, ...DEFAULT_BAND },
      usageLimits: "static-usage-limit-policy",
      maxFlows: flowDefaults.maxFlows,
      maxBypass: flowDefaults.maxBypass,
      displaceLowerPriority: false,
      activeBandsOnly: false,
      agingMs: 0,
      eviction: false,
    });
    expect(Object.isFrozen(flowControl)).toBe(true);
    expect(Object.isFrozen(flowControl!.defaultBand)).toBe(true);
  });

  test("default policies and detector are created; declared ones of these names are taken instead", () => {
    const added = [
      "utilization-detector",
      "fcfs-ordering-policy",
      "global-strict-fairness-policy",
      "static-usage-limit-policy",
    ];
    expect(namesOf(configOf(ON)).filter((name) => added.includes(name))).toHaveLength(4);
    const declared = { type: "static-usage-limit-policy", parameters: { threshold: 0.5 } };
    const config = configOf({ ...ON, plugins: [declared] });
    const policies = config.plugins.filter(({ name }) => name === "static-usage-limit-policy");
    expect(policies.map(({ parameters }) => parameters)).toEqual([{ threshold: 0.5 }]);
    expect(config.warnings).toEqual([]);
  });

  test("the detector that was added is in no profile", () => {
    const { profiles } = configOf({ ...ON, schedulingProfiles: [] });
    expect(profiles[0]!.filters).toEqual([]);
    const declared = configOf({
      ...ON,
      plugins: [{ type: "utilization-detector" }],
      schedulingProfiles: [],
    });
    expect(declared.profiles[0]!.filters).toEqual(["utilization-detector"]);
  });
});

describe("quantities", () => {
  test("are read as Kubernetes writes them", () => {
    const { maxBytes, maxRequests } = sectionOf({ maxBytes: "1Gi", maxRequests: "1k" });
    expect([maxBytes, maxRequests]).toEqual([1024 ** 3, 1000]);
    expect(sectionOf({ maxBytes: "500M", maxRequests: 7 })).toMatchObject({
      maxBytes: 500_000_000,
      maxRequests: 7,
    });
  });

  test("0 is no bound for all, and unset in a band", () => {
    const { bands, maxBytes, maxRequests } = sectionOf({
      maxBytes: "0",
      maxRequests: 0,
      priorityBands: [{ priority: 1, maxBytes: 0, maxRequests: "0" }],
    });
    expect([maxBytes, maxRequests]).toEqual([0, 0]);
    expect(bands[0]).toEqual({ priority: 1, ...DEFAULT_BAND });
  });

  test.each(["-1", "1.5.5", "many", "1e400"])("%j is a problem", (quantity) => {
    expect(problemsOf({ ...ON, flowControl: { maxBytes: quantity } })).toEqual([
      `flowControl.maxBytes: expected quantity >= 0 like "1Gi" or "500", got "${quantity}"`,
    ]);
    expect(
      problemsOf({
        ...ON,
        flowControl: { priorityBands: [{ priority: 1, maxRequests: quantity }] },
      })[0],
    ).toContain("flowControl.priorityBands[0].maxRequests: expected quantity");
  });

  test("a negative number is one too", () => {
    expect(problemsOf({ ...ON, flowControl: { maxRequests: -5 } })).toHaveLength(1);
  });
});

describe("budgets", () => {
  test.each<[object, number, number]>([
    [{}, 60_000, 60_000],
    [{ defaultRequestTTL: "5s" }, 5000, 5000],
    [{ noEndpointRequestTTL: "5s" }, 60_000, 5000],
    [{ defaultRequestTTL: "1m", noEndpointRequestTTL: "10m" }, 60_000, 600_000],
    [{ defaultRequestTTL: "0s" }, 0, 0],
    [{ defaultRequestTTL: "0", noEndpointRequestTTL: "1s" }, 0, 1000],
    [{ defaultRequestTTL: "1s", noEndpointRequestTTL: "0s" }, 1000, 0],
  ])("%j", (section, requestTtlMs, noEndpointTtlMs) => {
    expect(sectionOf(section)).toMatchObject({ requestTtlMs, noEndpointTtlMs });
  });

  test("negative ones and such that are no durations are problems", () => {
    for (const field of ["defaultRequestTTL", "noEndpointRequestTTL"]) {
      for (const text of ["-1s", "soon", "5", ""]) {
        expect(problemsOf({ ...ON, flowControl: { [field]: text } })).toEqual([
          `flowControl.${field}: expected duration >= 0 like "60s", got "${text}"`,
        ]);
      }
    }
  });

  test("a band may have its own", () => {
    const { bands } = sectionOf({
      priorityBands: [
        { priority: 1, requestTTL: "3s" },
        { priority: 2, requestTTL: "0s" },
      ],
    });
    expect(bands.map(({ requestTtlMs }) => requestTtlMs)).toEqual([3000, 0]);
  });
});

test("what is ours is taken as it is, and refused when it can not be", () => {
  const ours = {
    maxFlows: 5,
    maxBypass: 0,
    displaceLowerPriority: true,
    activeBandsOnly: true,
    agingMs: 1500,
  };
  expect(sectionOf({ ...ours, enableEviction: true })).toMatchObject({ ...ours, eviction: true });
  for (const wrong of [{ maxFlows: 0 }, { maxBypass: -1 }, { agingMs: -1 }, { agingMs: "1s" }]) {
    expect(problemsOf({ ...ON, flowControl: wrong })).toHaveLength(1);
  }
});

describe("bands", () => {
  test("take what they say, and the rest by default", () => {
    const { bands } = sectionOf(
      {
        priorityBands: [
          { priority: 100, maxRequests: "500", fairnessPolicyRef: "round-robin-fairness-policy" },
          { priority: -10, maxBytes: "1Mi", orderingPolicyRef: "mine", maxRequestsPerFlow: 9 },
        ],
      },
      [{ type: "round-robin-fairness-policy" }, { name: "mine", type: "edf-ordering-policy" }],
    );
    expect(bands).toEqual([
      {
        ...DEFAULT_BAND,
        priority: 100,
        maxRequests: 500,
        fairness: "round-robin-fairness-policy",
      },
      {
        ...DEFAULT_BAND,
        priority: -10,
        maxBytes: 1024 ** 2,
        ordering: "mine",
        maxRequestsPerFlow: 9,
      },
    ]);
  });

  test("templates: the one for negative priorities is the other one unless it is given", () => {
    const one = sectionOf({ defaultPriorityBand: { maxRequests: 7 } });
    expect([one.defaultBand.maxRequests, one.negativeBand.maxRequests]).toEqual([7, 7]);
    const two = sectionOf({
      defaultPriorityBand: { maxRequests: 7 },
      defaultNegativePriorityBand: { maxRequests: 3 },
    });
    expect([two.defaultBand.maxRequests, two.negativeBand.maxRequests]).toEqual([7, 3]);
  });

  test("two of one priority, and one without, are problems", () => {
    expect(
      problemsOf({
        ...ON,
        flowControl: { priorityBands: [{ priority: 1 }, {}, { priority: 0 }, { priority: 1 }] },
      }),
    ).toEqual([
      "flowControl.priorityBands[1].priority: expected integer, got nothing",
      "flowControl.priorityBands[3].priority: duplicate priority 1, which flowControl.priorityBands[0] has",
    ]);
  });
});

describe("references", () => {
  const REFS: readonly [string, (ref: string) => object, string][] = [
    [
      "flowControl.saturationDetector.pluginRef",
      (pluginRef) => ({ saturationDetector: { pluginRef } }),
      "a saturation detector",
    ],
    [
      "flowControl.usageLimitPolicyPluginRef",
      (usageLimitPolicyPluginRef) => ({ usageLimitPolicyPluginRef }),
      "a usage limit policy",
    ],
    [
      "flowControl.priorityBands[0].fairnessPolicyRef",
      (fairnessPolicyRef) => ({ priorityBands: [{ priority: 1, fairnessPolicyRef }] }),
      "a fairness policy",
    ],
    [
      "flowControl.defaultPriorityBand.orderingPolicyRef",
      (orderingPolicyRef) => ({ defaultPriorityBand: { orderingPolicyRef } }),
      "an ordering policy",
    ],
  ];

  test.each(REFS)("%s to nothing is a problem", (path, section) => {
    expect(problemsOf({ ...ON, flowControl: section("nowhere") })[0]).toContain(
      `${path}: references undefined plugin "nowhere"`,
    );
  });

  test.each(REFS)("%s to another kind is a problem", (path, section, kind) => {
    expect(problemsOf({ ...ON, flowControl: section("queue-scorer") })).toEqual([
      `${path}: plugin "queue-scorer" is not ${kind}`,
    ]);
  });

  test.each(REFS)("%s that is empty is the default", (_, section) => {
    expect(problemsOf({ ...ON, flowControl: section("") })).toEqual([]);
  });

  test("only the defaults need no declaration", () => {
    const saturationDetector = { pluginRef: "concurrency-detector" };
    expect(problemsOf({ ...ON, flowControl: { saturationDetector } })).toHaveLength(1);
    const plugins = [{ type: "concurrency-detector" }];
    const config = configOf({ ...ON, plugins, flowControl: { saturationDetector } });
    expect(config.saturationDetector).toBe("concurrency-detector");
    expect(namesOf(config)).not.toContain("utilization-detector");
    // Its data comes with it.
    expect(namesOf(config)).toContain("inflight-load-producer");
  });
});

test("a detector that reads engine metrics which nobody scrapes is remarked on", () => {
  const blind = {
    ...ON,
    dataLayer: { injectDefaults: false },
    schedulingProfiles: [{ name: "default", plugins: [{ pluginRef: "random-picker" }] }],
  };
  const remark = /every endpoint counts as full/;
  const remarksOf = (part: Part) => configOf(part).warnings.filter((each) => remark.test(each));
  const bare = [{ type: "random-picker" }, { type: "concurrency-detector" }];
  expect(remarksOf({ ...blind, bare })).toHaveLength(1);
  expect(remarksOf({ ...blind, bare, featureGates: [] })).toHaveLength(0);
  const saturationDetector = { pluginRef: "concurrency-detector" };
  expect(remarksOf({ ...blind, bare, flowControl: { saturationDetector } })).toHaveLength(0);
  expect(remarksOf(ON)).toHaveLength(0);
});

describe("the detector at the top level", () => {
  const plugins = [
    { type: "concurrency-detector" },
    { name: "mine", type: "utilization-detector" },
  ];
  const old = { pluginRef: "concurrency-detector" };

  test("is deprecated, and counts, gate on or off", () => {
    for (const featureGates of [[], ON.featureGates]) {
      const config = configOf({ plugins, featureGates, saturationDetector: old });
      expect(config.saturationDetector).toBe("concurrency-detector");
      expect(config.warnings).toContain(
        "saturationDetector: is deprecated, use flowControl.saturationDetector",
      );
    }
  });

  test("gives way to the new field", () => {
    const config = configOf({
      plugins,
      saturationDetector: old,
      flowControl: { saturationDetector: { pluginRef: "mine" } },
    });
    expect(config.saturationDetector).toBe("mine");
    expect(config.warnings[0]).toContain("has no effect beside flowControl.saturationDetector");
  });

  test("that leads nowhere is a problem", () => {
    expect(problemsOf({ saturationDetector: { pluginRef: "nowhere" } })[0]).toContain(
      'saturationDetector.pluginRef: references undefined plugin "nowhere"',
    );
  });
});

describe("with the gate off", () => {
  test("a section of more than the detector is remarked on, and nothing of it counts", () => {
    const config = configOf({
      flowControl: { maxRequests: 1, priorityBands: [{ priority: 1 }, { priority: 1 }] },
    });
    expect(config.flowControl).toBeNull();
    expect(config.warnings).toEqual([
      "flowControl: maxRequests, priorityBands without effect: the feature gate flowControl is off",
    ]);
  });

  test("a section of the detector alone counts, without a word", () => {
    const config = configOf({
      plugins: [{ name: "mine", type: "utilization-detector" }],
      flowControl: { saturationDetector: { pluginRef: "mine" } },
    });
    expect(config.saturationDetector).toBe("mine");
    expect(config.warnings).toEqual([]);
  });

  test("no policy is created, and the default detector keeps no book of dispatches", () => {
    const { plugins } = configOf({});
    expect(plugins.map(({ name }) => name)).not.toContain("fcfs-ordering-policy");
    const detector = plugins.find(({ name }) => name === "utilization-detector");
    expect(detector!.parameters).toMatchObject({ inFlightCredit: false });
    const on = configOf(ON).plugins.find(({ name }) => name === "utilization-detector");
    expect(on!.parameters).toMatchObject({ inFlightCredit: true });
  });

  test("unknown fields are problems all the same", () => {
    expect(problemsOf({ flowControl: { maxByte: 1 } })[0]).toBe(
      'flowControl.maxByte: unknown field; did you mean "maxBytes"?',
    );
  });
});
