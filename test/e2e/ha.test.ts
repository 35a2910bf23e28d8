/**
 * What may be lost when a replica goes, in short runs of the cases that `npm run e2e:ha` measures at length.
 * @module
 */
import { describe, expect, test } from "vitest";
import { findEnvoy, NO_ENVOY_REASON } from "../support/envoy.ts";
import { CASES } from "./ha/cases.ts";

const envoy = findEnvoy();
if (envoy === null) console.log(`losing a replica behind Envoy is skipped: ${NO_ENVOY_REASON}`);

const HERE = ["drain", "rolling", "kill9", "kill9-queue", "hang", "handover"];

describe.skipIf(envoy === null)("a replica goes", () => {
  test.each(HERE)("%s", async (name) => {
    const report = await CASES.get(name)!({ isShort: true });
    // A miss shows every figure of its run.
    expect(report.ok, JSON.stringify(report)).toBe(true);
  });
});
