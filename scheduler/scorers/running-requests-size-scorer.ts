/**
 * Prefers endpoints with fewer running requests.
 * @module
 */
import { Known } from "../endpoints.ts";
import { defineScorer } from "../plugin.ts";
import { createMinMaxScorer, minMaxParameters } from "./min-max.ts";

export const runningRequestsSizeScorer = defineScorer({
  type: "running-requests-size-scorer",
  stability: "beta",
  category: "Distribution",
  summary: "Fewer running requests is better; min-max over the candidates.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/runningrequests",
  parameters: minMaxParameters,
  ignoresParameters: true,
  create: (parameters, handle) =>
    createMinMaxScorer(parameters, handle, (columns) => columns.running, Known.running),
});
