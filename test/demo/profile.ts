/**
 * What the demo runs with: the scheduling profile of the picker, the model servers, and the traffic.
 * @module
 */
import { defaultDocument } from "../../scheduler/index.ts";
import type { TrafficOptions } from "./traffic.ts";

/** The document that the process uses when it is given none; the rig adds where its endpoints are. */
export const DEMO_CONFIG = defaultDocument;

/** The scorers of a profile with their weights, in one line. */
export function describeScorers(
  scorers: readonly { readonly name: string; readonly weight: number }[],
): string {
  return scorers.map(({ name, weight }) => `${name} ${weight}`).join(", ");
}

/** The default profile as the document has it. */
export function describeProfile(): string {
  const { plugins } = DEMO_CONFIG.schedulingProfiles[0];
  return describeScorers(plugins.map(({ pluginRef, weight }) => ({ name: pluginRef, weight })));
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
