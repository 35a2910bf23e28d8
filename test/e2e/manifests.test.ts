/**
 * What is shipped to be copied must work: the standalone files in a real Envoy and in our own loader.
 * @module
 */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { findEnvoy, NO_ENVOY_REASON } from "../support/envoy.ts";
import { inPackage } from "../support/paths.ts";

const envoy = findEnvoy();
if (envoy === null) console.log(`Envoy's own check is skipped: ${NO_ENVOY_REASON}`);

describe("manifests/standalone", () => {
  test.skipIf(envoy === null)("envoy.yaml is a bootstrap that Envoy accepts", () => {
    const file = inPackage("manifests", "standalone", "envoy.yaml");
    const output = execFileSync(envoy!, ["--mode", "validate", "-c", file], { encoding: "utf8" });
    expect(output).toContain("OK");
  });

  test("config.yaml loads without a warning", async () => {
    const file = inPackage("manifests", "standalone", "config.yaml");
    const loaded = await loadConfig({ file, text: "", allowExperimental: false });
    expect(loaded).toMatchObject({ ok: true, config: { warnings: [] } });
  });
});
