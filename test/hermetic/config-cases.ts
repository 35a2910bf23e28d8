/**
 * Cases of level config: the document goes through the loader of the real process, and the expected instances must
 * come out of it.
 * @module
 */
import { loadConfig } from "../../src/config/load.ts";
import { ConfigCaseSchema } from "./case-file.ts";
import { missingPlugins, withoutMockSource } from "./picker-under-test.ts";
import type { Results } from "./results.ts";

/** Types that upstream's role filters go by; here each has the name that the configuration has for it. */
const REPORTED_TYPES: Readonly<Record<string, string>> = {
  "decode-filter": "by-label",
  "encode-filter": "by-label",
  "prefill-filter": "by-label",
};

/** Reads the case strictly, loads its document, and settles it. */
export async function playConfigCase(raw: unknown, id: string, results: Results): Promise<void> {
  const parsed = ConfigCaseSchema.safeParse(raw);
  if (!parsed.success) {
    results.fail(
      id,
      parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`),
    );
    return;
  }
  const { configYaml, expect } = parsed.data;
  const missing = await missingPlugins(withoutMockSource(configYaml));
  if (missing !== null) {
    results.skip(id, missing);
    return;
  }
  const loaded = await loadConfig({ file: "", text: configYaml, allowExperimental: true });
  if (!loaded.ok) {
    results.fail(
      id,
      loaded.problems.map(({ path, message }) => `${path}: ${message}`),
    );
    return;
  }
  const { plugins, parsers, dataLayer } = loaded.config;
  const instances = new Map<string, string>([
    ...plugins.map((plugin): [string, string] => [plugin.name, plugin.definition.type]),
    ...parsers.map((parser): [string, string] => [parser.name, parser.type]),
    ...dataLayer.sources.flatMap(({ source, extractors }) =>
      [source, ...extractors].map((outer): [string, string] => [outer.name, outer.type]),
    ),
  ]);
  const wanted = "instances" in expect ? expect.instances : [];
  const differences = wanted
    .filter(({ name, type }) => {
      const found = instances.get(name) ?? "";
      return found !== type && REPORTED_TYPES[found] !== type;
    })
    .map(({ name, type }) => `instance ${name} has type ${instances.get(name)}, expected ${type}`);
  results.settle(id, differences);
}
