/**
 * What the two spellings of the headers' hook have in common.
 * @module
 */
import { z } from "zod";
import type { FlightHooks } from "../plugin.ts";
import { setStageHeaders } from "../profile-handlers/disagg-stages.ts";

export const stageHeaderParameters = z.strictObject({
  prefillProfile: z.string().min(1).default("prefill").meta({
    description: "Profile of the endpoint that computes the prompt.",
  }),
  encodeProfile: z.string().min(1).default("encode").meta({
    description: "Profile of the endpoints that encode media.",
  }),
});

export function stageHeadersHook({
  encodeProfile,
  prefillProfile,
}: z.output<typeof stageHeaderParameters>): FlightHooks {
  const profiles = { encode: encodeProfile, prefill: prefillProfile };
  return { account: (flight, results) => setStageHeaders(flight, results, profiles) };
}
