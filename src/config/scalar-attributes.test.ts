import { expect, test } from "vitest";
import type { ResolvedConfig } from "../../scheduler/index.ts";
import { loadConfig } from "./load.ts";
import { scalarAttributes } from "./scalar-attributes.ts";
import { scraperOptions } from "./scraper-options.ts";

async function configOf(text: string, allowExperimental = true): Promise<ResolvedConfig> {
  const loaded = await loadConfig({
    text: `apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n${text}`,
    allowExperimental,
  });
  if (loaded.ok) return loaded.config;
  throw new Error(loaded.problems.map(({ message, path }) => `${path}: ${message}`).join("\n"));
}

const CUSTOM = `
plugins:
- {type: random-picker}
- {type: metrics-data-source}
- type: core-metrics-extractor
  parameters:
    engineConfigs:
    - name: mine
      queuedRequestsSpec: my_waiting
      customMetrics:
      - {attributeKey: heat, metricSpec: 'my_heat{unit="celsius"}'}
      - {attributeKey: nothing, metricSpec: ''}
    - name: other
      customMetrics:
      - {attributeKey: heat, metricSpec: other_heat}
      - {attributeKey: noise, metricSpec: other_noise}
- {type: multicluster-metrics-extractor}
dataLayer:
  sources:
  - pluginRef: metrics-data-source
    extractors: [{pluginRef: core-metrics-extractor}, {pluginRef: multicluster-metrics-extractor}]
`;

test("each attribute has one number, whichever engines supply it", async () => {
  const { byEngine, common, keys } = scalarAttributes(await configOf(CUSTOM));
  expect(keys).toEqual([
    "heat/core-metrics-extractor",
    "noise/core-metrics-extractor",
    "llm-d.ai/multicluster-queue-size/",
    "llm-d.ai/multicluster-kv-cache-utilization/",
  ]);
  expect(byEngine.get("mine")).toEqual([
    { index: 0, metric: { name: "my_heat", labels: [["unit", "celsius"]] } },
  ]);
  expect(byEngine.get("other")!.map(({ index, metric }) => [index, metric.name])).toEqual([
    [0, "other_heat"],
    [1, "other_noise"],
  ]);
  expect(common.map(({ index, metric }) => [index, metric.name])).toEqual([
    [2, "llm_d_epp_average_queue_size"],
    [3, "llm_d_epp_average_kv_cache_utilization"],
  ]);
});

test("both extractors of the source reach the scrapers", async () => {
  const flags = { refreshMetricsIntervalMs: 50, threads: 0 };
  const options = scraperOptions(await configOf(CUSTOM), flags)!;
  expect(options.engineConfigs!.map(({ scalars }) => scalars!.length)).toEqual([1, 2]);
  expect(options.scalars).toHaveLength(2);
});

test("the second extractor alone is enough to scrape", async () => {
  const alone = `
plugins: [{type: random-picker}, {type: metrics-data-source}, {type: multicluster-metrics-extractor}]
dataLayer:
  sources:
  - {pluginRef: metrics-data-source, extractors: [{pluginRef: multicluster-metrics-extractor}]}
`;
  const flags = { refreshMetricsIntervalMs: 50, threads: 0 };
  expect(scraperOptions(await configOf(alone), flags)!.scalars).toHaveLength(2);
});

test("a renamed extractor is the producer under its name", async () => {
  const renamed = CUSTOM.replace(
    "type: core-metrics-extractor\n",
    "type: core-metrics-extractor\n  name: cme\n",
  ).replace("{pluginRef: core-metrics-extractor}", "{pluginRef: cme}");
  expect(scalarAttributes(await configOf(renamed)).keys[0]).toBe("heat/cme");
});

test("there is room for so many, and the error says where they are too many", async () => {
  const metrics = Array.from(
    { length: 8 },
    (_, i) => `      - {attributeKey: a${i}, metricSpec: m${i}}`,
  ).join("\n");
  const many = `
plugins:
- {type: random-picker}
- {type: metrics-data-source}
- type: core-metrics-extractor
  parameters:
    engineConfigs:
    - name: mine
      customMetrics:
${metrics}
dataLayer:
  sources: [{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]
`;
  const config = await configOf(many);
  expect(() => scalarAttributes(config)).toThrow(
    "plugins[2]: more than 7 attributes are read from metrics pages",
  );
});

test("keys are not empty, stand once and have no slash; the second extractor is experimental", async () => {
  const withMetrics = (metrics: string) =>
    configOf(CUSTOM.replace(/customMetrics:\n(?: {6}- .*\n)+/, `customMetrics: ${metrics}\n`));
  await expect(withMetrics("[{attributeKey: '', metricSpec: m}]")).rejects.toThrow("attributeKey");
  await expect(withMetrics("[{attributeKey: a/b, metricSpec: m}]")).rejects.toThrow(
    "must not have a / in it",
  );
  await expect(
    withMetrics("[{attributeKey: a, metricSpec: m}, {attributeKey: a, metricSpec: n}]"),
  ).rejects.toThrow('"a" stands twice');
  await expect(configOf(CUSTOM, false)).rejects.toThrow(
    'plugin "multicluster-metrics-extractor" of type multicluster-metrics-extractor is experimental',
  );
});
