/**
 * What the demo runs with: the scheduling profile of the picker, the model servers, and the traffic.
 * @module
 */
import type { TrafficOptions } from "./traffic.ts";

/** The default profile of the picker with LoRA affinity added, since the traffic uses adapters. */
export const DEMO_CONFIG = {
  apiVersion: "llm-d.ai/v1alpha1",
  kind: "EndpointPickerConfig",
  plugins: [
    { type: "queue-scorer" },
    { type: "kv-cache-utilization-scorer" },
    { type: "prefix-cache-scorer" },
    { type: "lora-affinity-scorer" },
  ],
  schedulingProfiles: [
    {
      name: "default",
      plugins: [
        { pluginRef: "queue-scorer", weight: 2 },
        { pluginRef: "kv-cache-utilization-scorer", weight: 2 },
        { pluginRef: "prefix-cache-scorer", weight: 3 },
        { pluginRef: "lora-affinity-scorer", weight: 1 },
      ],
    },
  ],
} as const;

/** The profile in one line, from the document itself. */
export function describeProfile(): string {
  return DEMO_CONFIG.schedulingProfiles[0].plugins
    .map(({ pluginRef, weight }) => `${pluginRef} ${weight}`)
    .join(", ");
}

export const SERVER_COUNT = 6;

export const ADAPTERS = ["sql", "summary", "legal", "support", "code", "translate"] as const;
export const BASE_MODEL = "base";

/** Traffic of both arms; the seed and the time come from the command line. */
export function trafficOptions(seed: number, seconds: number): TrafficOptions {
  return {
    seed,
    seconds,
    conversationsPerSecond: 8,
    adapters: ADAPTERS,
    baseModel: BASE_MODEL,
    adapterShare: 0.6,
    systemPrompts: 12,
    systemPromptChars: 8_000,
    turnsMax: 6,
    userChars: 800,
    answerTokens: 48,
    thinkMs: 1_500,
  };
}
