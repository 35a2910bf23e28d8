/**
 * Prefers endpoints with fewer waiting requests.
 * @module
 */
import { Known } from "../endpoints.ts";
import { defineScorer } from "../plugin.ts";
import { createMinMaxScorer, minMaxParameters } from "./min-max.ts";

export const queueScorer = defineScorer({
  type: "queue-scorer",
  stability: "beta",
  category: "Distribution",
  summary: "Fewer waiting requests is better; min-max over the candidates.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/queuedepth",
  parameters: minMaxParameters,
  ignoresParameters: true,
  create: (parameters, handle) =>
    createMinMaxScorer(parameters, handle, (columns) => columns.waiting, Known.waiting),
});
