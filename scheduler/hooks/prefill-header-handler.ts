/**
 * The oldest spelling of disagg-headers-handler, for pd-profile-handler, which sets no headers.
 * @module
 */
import { defineHook } from "../plugin.ts";
import { stageHeaderParameters, stageHeadersHook } from "./stage-headers.ts";

export const prefillHeaderHandler = defineHook({
  type: "prefill-header-handler",
  stability: "deprecated",
  summary:
    "Sets the headers that say where prompt and media are computed; use disagg-profile-handler.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/disagg",
  parameters: stageHeaderParameters,
  create: stageHeadersHook,
});
