/**
 * Practice before the first request goes through, whatever is configured, and is limited.
 * @module
 */
import { expect, test, vi } from "vitest";
import type { Clock, ResolvedConfig } from "../scheduler/index.ts";
import { type Flags, parseFlags } from "./cli/flags.ts";
import { loadConfig } from "./config/load.ts";
import { warmUp, warmUpLimits } from "./warm-up.ts";

function flags(): Flags {
  const parsed = parseFlags(["--pool-name=pool"], {});
  if (parsed.kind !== "flags") throw new Error("the flags are wrong");
  return parsed.flags;
}

async function config(
  plugins: readonly object[],
  ...featureGates: string[]
): Promise<ResolvedConfig> {
  const text = JSON.stringify({
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins,
    featureGates,
  });
  const loaded = await loadConfig({ file: "", text, allowExperimental: false });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

const ALL = warmUpLimits.rounds * warmUpLimits.exchangesMax;

/** A clock that stands still lets practice end by its count alone. */
const frozen: Clock = { nowMs: () => 1 };

test("all exchanges are played, and no connection or listener is left", async () => {
  const before = process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length;
  const practiced = await warmUp({
    config: await config([{ type: "queue-scorer" }, { type: "prefix-cache-scorer" }]),
    flags: flags(),
    clock: frozen,
  });
  expect(practiced).toBe(ALL);
  await vi.waitFor(() => {
    const after = process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length;
    expect(after).toBeLessThanOrEqual(before);
  });
});

test("a profile that rejects every practiced request is practiced too", async () => {
  const practiced = await warmUp({
    config: await config([{ type: "prefill-filter" }, { type: "random-picker" }]),
    flags: flags(),
    clock: frozen,
  });
  expect(practiced).toBe(ALL);
});

test("flow control is practiced too, and leaves no timer", async () => {
  const practiced = await warmUp({
    config: await config([{ type: "queue-scorer" }], "flowControl"),
    flags: flags(),
    clock: frozen,
  });
  expect(practiced).toBe(ALL);
  await vi.waitFor(() => {
    expect(process.getActiveResourcesInfo()).not.toContain("Immediate");
  });
});

test("time ends it", async () => {
  let nowMs = 0;
  const practiced = await warmUp({
    config: await config([{ type: "queue-scorer" }]),
    flags: flags(),
    clock: { nowMs: () => nowMs++ },
  });
  expect(practiced).toBeLessThan(ALL);
});
