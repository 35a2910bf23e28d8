/**
 * Lets every prompt be computed by a prefill endpoint.
 * @module
 */
import { z } from "zod";
import { defineDecider } from "../plugin.ts";

export const alwaysDisaggPdDecider = defineDecider({
  type: "always-disagg-pd-decider",
  stability: "beta",
  summary: "Every prompt is worth a prefill endpoint.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/disagg",
  parameters: z.object({}),
  ignoresParameters: true,
  create: () => ({ disaggregate: () => true }),
});
