/**
 * First come, first served.
 * @module
 */
import { z } from "zod";
import { defineOrderingPolicy } from "../plugin.ts";

export const fcfsOrderingPolicy = defineOrderingPolicy({
  type: "fcfs-ordering-policy",
  stability: "beta",
  summary: "Within a flow requests go in the order in which they came.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/ordering/fcfs",
  parameters: z.object({}),
  ignoresParameters: true,
  create: () => ({ key: ({ enqueuedAtMs }) => enqueuedAtMs }),
});
