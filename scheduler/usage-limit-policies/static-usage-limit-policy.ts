/**
 * One ceiling for all bands: nothing is dispatched while the pool's saturation is at it or above.
 * @module
 */
import { z } from "zod";
import { defineUsageLimitPolicy } from "../plugin.ts";

const Parameters = z.strictObject({
  threshold: z.number().gt(0).max(1).default(1).meta({
    description: "Saturation from which nothing is dispatched.",
    unit: "ratio",
  }),
});

export const staticUsageLimitPolicy = defineUsageLimitPolicy({
  type: "static-usage-limit-policy",
  stability: "beta",
  summary: "The same ceiling of saturation for every priority.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/usagelimits",
  parameters: Parameters,
  create: ({ threshold }) => ({
    limits: (_saturation, priorities, ceilings) => {
      ceilings.fill(threshold, 0, priorities.length);
    },
  }),
});
