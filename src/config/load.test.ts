import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ResolvedConfig } from "../../scheduler/index.ts";
import { CONFIG_BYTES_MAX, loadConfig, parseConfigText } from "./load.ts";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "endpoint-picker-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string, content: string | Buffer): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

async function load(text: string, allowExperimental = false): Promise<ResolvedConfig> {
  const result = await loadConfig({ text, allowExperimental });
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 1));
  return result.config;
}

async function problemsOf(options: { file?: string; text?: string }): Promise<string[]> {
  const result = await loadConfig({ ...options, allowExperimental: false });
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

const HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n";
const LEGACY_HEAD = HEAD.replace("llm-d.ai/", "inference.networking.x-k8s.io/");

/** What the profile came to: filters, scorers with weights, picker. */
function shapeOf({ profiles, profileHandler }: ResolvedConfig): unknown {
  return {
    handler: profileHandler,
    profiles: profiles.map(({ filters, picker, scorers }) => [
      ...filters,
      ...scorers.map(({ plugin, weight }) => `${plugin}[${weight}]`),
      picker,
    ]),
  };
}

/** Shipped example configurations whose plugins are all here. */
const SAMPLES: Readonly<Record<string, { yaml: string; profile: readonly string[] }>> = {
  "epp-config": {
    yaml: `${HEAD}plugins:
- type: prefix-cache-scorer
- type: decode-filter
- type: max-score-picker
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: decode-filter
  - pluginRef: max-score-picker
  - pluginRef: prefix-cache-scorer
    weight: 2
`,
    profile: ["decode-filter", "prefix-cache-scorer[2]", "max-score-picker"],
  },
  "sim-epp-config": {
    yaml: `${HEAD}plugins:
- type: approx-prefix-cache-producer
  parameters:
    maxPrefixTokensToMatch: 16384
    lruCapacityPerServer: 31250
- type: prefix-cache-scorer
- type: decode-filter
- type: max-score-picker
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: decode-filter
  - pluginRef: max-score-picker
  - pluginRef: prefix-cache-scorer
    weight: 2
`,
    profile: ["decode-filter", "prefix-cache-scorer[2]", "max-score-picker"],
  },
  "chart default-plugins": {
    yaml: `${HEAD}plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: metrics-data-source
  parameters:
    scheme: "http"
    path: "/metrics"
    insecureSkipVerify: true
- type: core-metrics-extractor
  parameters:
    defaultEngine: sglang
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: kv-cache-utilization-scorer
    weight: 2
  - pluginRef: prefix-cache-scorer
    weight: 3
dataLayer:
  sources:
  - pluginRef: metrics-data-source
    extractors:
    - pluginRef: core-metrics-extractor
`,
    profile: [
      "queue-scorer[2]",
      "kv-cache-utilization-scorer[2]",
      "prefix-cache-scorer[3]",
      "max-score-picker",
    ],
  },
  "chart default-plugins for triton": {
    yaml: `${HEAD}plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: passthrough-parser
- type: core-metrics-extractor
  parameters: {defaultEngine: triton-tensorrt-llm}
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
requestHandler:
  parsers:
  - pluginRef: passthrough-parser
`,
    profile: ["queue-scorer[2]", "kv-cache-utilization-scorer[2]", "max-score-picker"],
  },
  "agentic-serving": {
    yaml: `${HEAD}plugins:
- type: prefix-cache-affinity-filter
  parameters:
    peakPrefillThroughput: 16444
- type: token-load-scorer
- type: inflight-load-producer
- type: approx-prefix-cache-producer
  parameters:
    maxPrefixTokensToMatch: 262144
    autoTune: false
    lruCapacityPerServer: 1570000
    blockSizeTokens: 256
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: prefix-cache-affinity-filter
  - pluginRef: token-load-scorer
    weight: 1
`,
    profile: ["prefix-cache-affinity-filter", "token-load-scorer[1]", "max-score-picker"],
  },
  "multimodal-aggregation": {
    yaml: `${HEAD}plugins:
- type: token-producer
  parameters:
    estimate:
      image:
        defaultResolution: {width: 1280, height: 720}
- type: prefix-cache-affinity-filter
  parameters:
    affinityThreshold: 0.6
    maxTTFTPenaltyMs: 36000
    peakPrefillThroughput: 15751
- type: token-load-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: prefix-cache-affinity-filter
  - pluginRef: token-load-scorer
`,
    profile: ["prefix-cache-affinity-filter", "token-load-scorer[1]", "max-score-picker"],
  },
  "kimi-k3": {
    yaml: `${HEAD}plugins:
- type: label-selector-filter
  parameters:
    matchLabels:
      leaderworkerset.sigs.k8s.io/worker-index: "0"
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: label-selector-filter
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
`,
    profile: [
      "label-selector-filter",
      "queue-scorer[2]",
      "kv-cache-utilization-scorer[2]",
      "prefix-cache-scorer[3]",
      "max-score-picker",
    ],
  },
  "without Kubernetes": {
    yaml: `${HEAD}plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: metrics-data-source
- name: engine-metrics
  type: core-metrics-extractor
- name: endpoints
  type: file-discovery
  parameters: {path: /etc/epp/endpoints.yaml, watchFile: true}
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
dataLayer:
  injectDefaults: false
  discovery: {pluginRef: endpoints}
  sources:
  - pluginRef: metrics-data-source
    extractors:
    - pluginRef: engine-metrics
`,
    profile: [
      "queue-scorer[2]",
      "kv-cache-utilization-scorer[2]",
      "prefix-cache-scorer[3]",
      "max-score-picker",
    ],
  },
};

describe("shipped example configurations", () => {
  for (const [name, { profile, yaml }] of Object.entries(SAMPLES)) {
    test(`${name} loads unchanged`, async () => {
      const config = await load(yaml);
      expect(shapeOf(config)).toEqual({ handler: "single-profile-handler", profiles: [profile] });
      expect(config.warnings).toEqual([]);
    });

    test(`${name} means the same as JSON and under the legacy group`, async () => {
      const parsed = parseConfigText(yaml, "sample");
      if ("problems" in parsed) throw new Error("the sample is no YAML");
      const json = await load(JSON.stringify(parsed.document));
      expect(shapeOf(json)).toEqual(shapeOf(await load(yaml)));
      const legacy = await load(yaml.replace(HEAD, LEGACY_HEAD));
      expect(shapeOf(legacy)).toEqual(shapeOf(json));
      expect(legacy.warnings).toEqual([
        "apiVersion: inference.networking.x-k8s.io/v1alpha1 is deprecated, use llm-d.ai/v1alpha1",
      ]);
    });
  }
});

describe("the built-in configuration", () => {
  const profile = [
    "queue-scorer[2]",
    "kv-cache-utilization-scorer[2]",
    "prefix-cache-scorer[3]",
    "max-score-picker",
  ];

  test("is used without file and text", async () => {
    const config = await load("");
    expect(shapeOf(config)).toEqual({ handler: "single-profile-handler", profiles: [profile] });
    expect(config.warnings).toEqual([]);
  });

  test("is used for an empty file, with a warning", async () => {
    const file = written("empty.yaml", "");
    const result = await loadConfig({ file, allowExperimental: false });
    expect(result.ok && shapeOf(result.config)).toEqual({
      handler: "single-profile-handler",
      profiles: [profile],
    });
    expect(result.ok && result.config.warnings).toEqual([
      `${file}: is empty, the built-in configuration is used`,
    ]);
  });

  test("is not used for a file of comments only", async () => {
    expect(await problemsOf({ file: written("comments.yaml", "# nothing\n") })).toEqual([
      "(document): expected object, got null",
    ]);
  });
});

describe("a file", () => {
  test("is read whole", async () => {
    const file = written("good.yaml", SAMPLES["kimi-k3"]!.yaml);
    const result = await loadConfig({ file, allowExperimental: false });
    expect(result.ok).toBe(true);
  });

  test("can not be combined with a text", async () => {
    expect(await problemsOf({ file: "/x", text: HEAD })).toEqual([
      "--config-file: can not be combined with --config-text",
    ]);
  });

  test("that is missing, or a folder, is named", async () => {
    const missing = join(folder, "missing.yaml");
    expect(await problemsOf({ file: missing })).toEqual([
      expect.stringContaining(`${missing}: can not be read: ENOENT`),
    ]);
    const sub = join(folder, "sub");
    mkdirSync(sub);
    expect(await problemsOf({ file: sub })).toEqual([
      expect.stringContaining(`${sub}: can not be read: EISDIR`),
    ]);
  });

  test("may have 1 MiB and not a byte more", async () => {
    const body = `${HEAD}plugins: [{type: random-picker}]\n#`;
    const exact = written("exact.yaml", body.padEnd(CONFIG_BYTES_MAX, "#"));
    expect(await problemsOf({ file: exact })).toEqual([]);
    const above = written("above.yaml", body.padEnd(CONFIG_BYTES_MAX + 1, "#"));
    expect(await problemsOf({ file: above })).toEqual([
      `${above}: is larger than 1048576 bytes (1048577)`,
    ]);
    expect(await problemsOf({ text: body.padEnd(CONFIG_BYTES_MAX + 1, "#") })).toEqual([
      "--config-text: is larger than 1048576 bytes",
    ]);
  });

  test("must be UTF-8", async () => {
    const file = written("latin1.yaml", Buffer.from(`${HEAD}# \xe9\n`, "latin1"));
    expect(await problemsOf({ file })).toEqual([
      expect.stringContaining(`${file}: can not be read: The encoded data was not valid`),
    ]);
  });

  test("may begin with a byte order mark", async () => {
    expect(await problemsOf({ file: written("bom.yaml", `\uFEFF${HEAD}`) })).toEqual([]);
  });
});

describe("a document that is wrong", () => {
  test("is told with line and column when it is no YAML", async () => {
    const file = written("broken.yaml", `${HEAD}plugins: [\n- x: {\n`);
    const [first] = await problemsOf({ file });
    expect(first).toMatch(/broken\.yaml:\d+:\d+: failed to decode configuration: /);
  });

  test("is told with line and column when keys are duplicate, at any depth", async () => {
    const text = `${HEAD}kind: EndpointPickerConfig\nplugins:\n- type: a\n  type: b\n`;
    expect(await problemsOf({ text })).toEqual([
      "--config-text:3:1: failed to decode configuration: Map keys must be unique",
      "--config-text:6:3: failed to decode configuration: Map keys must be unique",
    ]);
  });

  test("is told of all its problems, each with its path", async () => {
    const text = `
apiVersion: llm-d.ai/v2
kind: Pod
pluginz: []
featureGates: [flowControl]
plugins:
- type: queue-scorrer
- type: prefix-cache-scorer
  parameters: {matchLengthWeight: x, unknownOne: 1}
- type: max-score-picker
- type: max-score-picker
- name: no-type
schedulingProfiles:
- plugins:
  - pluginRef: nowhere
  - weight: 1
dataLayer:
  discovery: {pluginRef: max-score-picker}
  crossReplicaSyncerPluginRef: x
`;
    const problems = await problemsOf({ text });
    const paths = problems.map((problem) => problem.slice(0, problem.indexOf(": ")));
    expect(paths).toEqual([
      "pluginz",
      "apiVersion",
      "kind",
      "plugins[0].type",
      "plugins[1].parameters.matchLengthWeight",
      "plugins[1].parameters.unknownOne",
      "plugins[3]",
      "plugins[4].type",
      "schedulingProfiles[0].name",
      "schedulingProfiles[0].plugins[0].pluginRef",
      "schedulingProfiles[0].plugins[1].pluginRef",
      "dataLayer.crossReplicaSyncerPluginRef",
      "dataLayer.discovery.pluginRef",
    ]);
    expect(problems[0]).toBe('pluginz: unknown field; did you mean "plugins"?');
    expect(problems[3]).toContain('did you mean "queue-scorer"?');
  });

  test.each([
    ["list", "[]"],
    ["text", '"x"'],
    ["number", "1"],
  ])("is refused when it is a %s", async (_kind, text) => {
    expect((await problemsOf({ text }))[0]).toMatch(/^\(document\): expected object, got /);
  });

  test("is refused for fields that objects inherit", async () => {
    const text = JSON.stringify({ apiVersion: "llm-d.ai/v1alpha1", kind: "EndpointPickerConfig" });
    const polluted = text.replace("{", '{"__proto__": {"plugins": []}, "constructor": 1,');
    expect(await problemsOf({ text: polluted })).toEqual([
      "__proto__: unknown field",
      "constructor: unknown field",
    ]);
  });

  test("is refused for every part whose feature is not here", async () => {
    const problem = async (part: string) => (await problemsOf({ text: `${HEAD}${part}\n` }))[0];
    expect(await problem("dataLayer: {peerDiscovery: {pluginRef: x}}")).toContain(
      "dataLayer.peerDiscovery: is not supported by this version",
    );
    expect(await problem("plugins: [{type: disagg-profile-handler}]")).toContain(
      'plugin type "disagg-profile-handler" is not registered',
    );
  });
});

test("keys in the envelope are case-sensitive, in parameters they are not", async () => {
  expect(await problemsOf({ text: `${HEAD}Plugins: []\n` })).toEqual([
    'Plugins: unknown field; did you mean "plugins"?',
  ]);
  const text = `${HEAD}plugins: [{type: max-score-picker, parameters: {MaxNumOfEndpoints: 2}}]\n`;
  const { plugins, warnings } = await load(text);
  expect(plugins[0]?.parameters).toMatchObject({ maxNumOfEndpoints: 2 });
  expect(warnings.some((warning) => warning.includes("spell it so"))).toBe(true);
});

test("the example of docs/configuration.md loads as it stands", async () => {
  const page = readFileSync(
    fileURLToPath(new URL("../../docs/configuration.md", import.meta.url)),
    "utf8",
  );
  const [example] = [...page.matchAll(/```yaml\n(apiVersion[\s\S]*?)```/g)].map(
    (match) => match[1]!,
  );
  const { dataLayer, warnings } = await load(example!);
  expect(warnings).toEqual([]);
  expect(dataLayer.discovery?.type).toBe("file-discovery");
});
