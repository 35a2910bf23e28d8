import { describe, expect, test } from "vitest";
import type { ResolveResult } from "../../scheduler/index.ts";
import { parserTypes } from "../request/parsers/registry.ts";
import { loadConfig } from "./load.ts";
import { outerRegistry } from "./outer-plugins.ts";

/** Loads a document with one more plugin in it. */
function load(plugin: object): Promise<ResolveResult> {
  return loadConfig({
    text: JSON.stringify({
      apiVersion: "llm-d.ai/v1alpha1",
      kind: "EndpointPickerConfig",
      plugins: [plugin, { type: "random-picker" }],
    }),
    allowExperimental: false,
  });
}

async function problemsOf(type: string, parameters: object): Promise<string[]> {
  const result = await load({ name: "x", type, parameters });
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

async function warningsOf(type: string, parameters: object): Promise<readonly string[]> {
  const result = await load({ name: "x", type, parameters });
  return result.ok ? result.config.warnings : result.problems.map(({ message }) => message);
}

const parse = (type: string, parameters: object): unknown =>
  outerRegistry.get(type)!.parameters.parse(parameters);

test("every parser of the request layer can be named, and no other", () => {
  const types = outerRegistry.types().filter((type) => outerRegistry.get(type)!.kind === "parser");
  expect(types.sort()).toEqual([...parserTypes].sort());
  expect(outerRegistry.defaultParsers).toEqual([
    "openai-parser",
    "anthropic-parser",
    "vllmhttp-parser",
    "passthrough-parser",
  ]);
});

test("names that objects inherit are no types", () => {
  expect(outerRegistry.get("constructor")).toBeUndefined();
  expect(outerRegistry.get("__proto__")).toBeUndefined();
});

describe("metrics-data-source", () => {
  test("has upstream's defaults", () => {
    expect(parse("metrics-data-source", {})).toEqual({ scheme: "http" });
  });

  test("takes all of its parameters", () => {
    const parameters = {
      scheme: "https",
      path: "/prometheus/metrics?x=1",
      port: 8002,
      interval: "1m30s",
      insecureSkipVerify: false,
      caCertPath: "/ca",
      clientCertPath: "/cert",
      clientKeyPath: "/key",
    };
    expect(parse("metrics-data-source", parameters)).toEqual({ ...parameters, interval: 90_000 });
  });

  test.each([
    [{ scheme: "ftp" }, 'scheme: expected "http" or "https", got "ftp"'],
    [{ path: "metrics" }, 'path: must begin with / and have no blanks, got "metrics"'],
    [{ path: "/a b" }, 'path: must begin with / and have no blanks, got "/a b"'],
    [{ port: 0 }, "port: expected integer from 1 to 65535, got 0"],
    [{ port: 65_536 }, "port: expected integer from 1 to 65535, got 65536"],
    [{ interval: "5" }, 'interval: expected a positive duration like "50ms" or "1m30s", got "5"'],
    [{ interval: "0s" }, 'interval: expected a positive duration like "50ms" or "1m30s", got "0s"'],
    [{ interval: "2h" }, 'interval: must be at most 1h, got "2h"'],
    [{ interval: 50 }, "interval: expected string, got 50"],
    [{ intervall: "1s" }, 'intervall: unknown field; did you mean "interval"?'],
  ])("refuses %j", async (parameters, problem) => {
    expect(await problemsOf("metrics-data-source", parameters)).toEqual([
      `plugins[0].parameters.${problem}`,
    ]);
  });

  test.each([{ clientCertPath: "/cert" }, { clientKeyPath: "/key" }])(
    "wants certificate and key together: %j",
    async (parameters) => {
      expect(await problemsOf("metrics-data-source", { scheme: "https", ...parameters })).toEqual([
        "plugins[0].parameters: clientCertPath and clientKeyPath go together",
      ]);
    },
  );

  test("says which parameters do nothing", async () => {
    expect(await warningsOf("metrics-data-source", { caCertPath: "/ca" })).toContain(
      "plugins[0].parameters.caCertPath: has no effect with scheme http",
    );
    expect(await warningsOf("metrics-data-source", { interval: "10ms" })).toContain(
      "plugins[0].parameters.interval: is raised to 50ms",
    );
    const skipped = { scheme: "https", caCertPath: "/ca", insecureSkipVerify: true };
    expect(await warningsOf("metrics-data-source", skipped)).toContain(
      "plugins[0].parameters.caCertPath: has no effect with insecureSkipVerify: true",
    );
  });
});

describe("core-metrics-extractor", () => {
  test("parses selectors; an empty one is not read", () => {
    const engineConfigs = [
      { name: "mine", queuedRequestsSpec: "q{a=b}", kvUsageSpec: "", cacheBlockSizeLabelName: "s" },
    ];
    expect(parse("core-metrics-extractor", { engineConfigs })).toEqual({
      engineConfigs: [
        {
          name: "mine",
          queuedRequestsSpec: { name: "q", labels: [["a", "b"]] },
          cacheBlockSizeLabelName: "s",
        },
      ],
    });
  });

  test("tells all that is wrong, each with its place", async () => {
    const engineConfigs = [
      { name: "default", loraSpec: "m{" },
      { name: "a" },
      { name: "a", queuedSpec: "m" },
    ];
    expect(await problemsOf("core-metrics-extractor", { engineConfigs })).toEqual([
      'plugins[0].parameters.engineConfigs[0].name: must not be "default"',
      'plugins[0].parameters.engineConfigs[0].loraSpec: "m{": the label list is not closed',
      "plugins[0].parameters.engineConfigs[2].queuedSpec: unknown field",
    ]);
    expect(
      await problemsOf("core-metrics-extractor", { engineConfigs: [{ name: "a" }, { name: "a" }] }),
    ).toEqual(['plugins[0].parameters.engineConfigs[1].name: "a" stands twice']);
  });

  test("takes attributes of the page, and tells which are wrong", async () => {
    const problemsWith = (customMetrics: readonly object[]) =>
      problemsOf("core-metrics-extractor", { engineConfigs: [{ name: "a", customMetrics }] });
    expect(await problemsWith([{ attributeKey: "k", metricSpec: "m" }])).toEqual([]);
    const at = "plugins[0].parameters.engineConfigs[0].customMetrics";
    expect(await problemsWith([{ attributeKey: "a/b", metricSpec: "m{" }])).toEqual([
      `${at}[0].attributeKey: must not have a / in it`,
      `${at}[0].metricSpec: "m{": the label list is not closed`,
    ]);
  });
});

describe("file-discovery", () => {
  test("reads keys in any case, as upstream's decoder does", async () => {
    const warnings = await warningsOf("file-discovery", { Path: "/x", watchfile: true });
    expect(warnings).toContain("plugins[0].parameters.Path: is read as path; spell it so");
  });

  test("needs a path", async () => {
    expect(await problemsOf("file-discovery", {})).toEqual([
      "plugins[0].parameters.path: expected non-empty string, got nothing",
    ]);
  });

  test("refuses manifestsPath instead of routing without the objectives in it", async () => {
    expect(await problemsOf("file-discovery", { path: "/x", manifestsPath: "/m" })).toEqual([
      "plugins[0].parameters.manifestsPath: is not supported by this version: " +
        "InferenceObjective and InferenceModelRewrite are not read",
    ]);
  });
});

describe("request-attribute-reporter", () => {
  const attribute = {
    key: { name: "x-cost" },
    expression: "usage.total_tokens",
    condition: "usage.total_tokens > 0",
  };

  test("works by being declared", async () => {
    const parameters = { attributes: [attribute] };
    const result = await load({ type: "request-attribute-reporter", parameters });
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    expect(result.config.warnings).toEqual([]);
    expect(result.config.responsePlugins.map(({ type }) => type)).toEqual([
      "request-attribute-reporter",
    ]);
  });

  test.each([
    [{}, "plugins[0].parameters.attributes: "],
    [{ attributes: [attribute, attribute] }, "plugins[0].parameters.attributes: expected exactly"],
    [
      { attributes: [{ ...attribute, expression: "usage." }] },
      "plugins[0].parameters.attributes[0].expression: is not an expression of CEL",
    ],
    [
      { attributes: [{ ...attribute, condition: "1" }] },
      "plugins[0].parameters.attributes[0].condition: must be true or false",
    ],
  ])("%j is refused with the path of the field", async (parameters, start) => {
    const [problem] = await problemsOf("request-attribute-reporter", parameters);
    expect(problem).toContain(start);
  });
});
