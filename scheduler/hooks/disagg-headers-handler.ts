/**
 * Sets the headers of disaggregated serving, which disagg-profile-handler sets by itself.
 * @module
 */
import { defineHook } from "../plugin.ts";
import { stageHeaderParameters, stageHeadersHook } from "./stage-headers.ts";

export const disaggHeadersHandler = defineHook({
  type: "disagg-headers-handler",
  stability: "deprecated",
  summary:
    "Sets the headers that say where prompt and media are computed; disagg-profile-handler does it too.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/profilehandler/disagg",
  parameters: stageHeaderParameters,
  create: stageHeadersHook,
});
