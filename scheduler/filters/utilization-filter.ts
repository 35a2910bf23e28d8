/**
 * Keeps endpoints whose load is within all of some bounds.
 * @module
 */
import { z } from "zod";
import type { InflightLoad } from "../data.ts";
import type { EndpointColumns } from "../endpoints.ts";
import { defineFilter } from "../plugin.ts";

const METRICS = [
  "active-requests",
  "running-requests",
  "waiting-queue",
  "kv-cache-utilization",
] as const;
type Metric = (typeof METRICS)[number];

const Condition = z
  .strictObject({
    metric: z.enum(METRICS).meta({ description: "What is bounded." }),
    maxValue: z.number().min(0).meta({ description: "Largest value that passes." }),
  })
  .superRefine(({ maxValue, metric }, context) => {
    if (metric !== "kv-cache-utilization" || maxValue <= 1) return;
    context.addIssue({
      code: "custom",
      path: ["maxValue"],
      message: `must be <= 1 for kv-cache-utilization, got ${maxValue}`,
    });
  });

const Parameters = z.strictObject({
  conditions: z.array(Condition).min(1).meta({ description: "Bounds; all of them must hold." }),
  fallbackOnEmpty: z.boolean().default(false).meta({
    description: "Keep all when nobody is within the bounds.",
  }),
  inFlightLoadProducerName: z.string().default("inflight-load-producer").meta({
    description: "Producer of the load, for active-requests.",
  }),
});

/** Value of a metric on an endpoint; what is not known is 0. */
function loadOn(
  metric: Metric,
  columns: EndpointColumns,
  load: InflightLoad | undefined,
  slot: number,
): number {
  switch (metric) {
    case "active-requests":
      return load?.requests[slot] ?? 0;
    case "running-requests":
      return columns.running[slot]!;
    case "waiting-queue":
      return columns.waiting[slot]!;
    case "kv-cache-utilization":
      return columns.kvUtilization[slot]!;
  }
}

export const utilizationFilter = defineFilter({
  type: "utilization-filter",
  stability: "alpha",
  summary: "Keeps endpoints whose load is within all of some bounds.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/utilization",
  parameters: Parameters,
  consumes: ({ conditions, inFlightLoadProducerName: producer }) =>
    conditions.some(({ metric }) => metric === "active-requests")
      ? [{ type: "inflight-load", producer, required: true }]
      : [],
  create({ conditions, fallbackOnEmpty, inFlightLoadProducerName }, handle) {
    const load = handle.consume("inflight-load", inFlightLoadProducerName);
    const isWithin = (columns: EndpointColumns, slot: number): boolean => {
      for (let i = 0; i < conditions.length; i++) {
        const { maxValue, metric } = conditions[i]!;
        if (loadOn(metric, columns, load, slot) > maxValue) return false;
      }
      return true;
    };
    return {
      rejects: "filtered-by-load",
      filter(_request, candidates) {
        const { columns, count, slots } = candidates;
        let passing = 0;
        for (let i = 0; i < count; i++) if (isWithin(columns, slots[i]!)) passing++;
        if (passing === count || (passing === 0 && fallbackOnEmpty)) return;
        let kept = 0;
        for (let i = 0; i < count; i++) {
          const slot = slots[i]!;
          if (isWithin(columns, slot)) slots[kept++] = slot;
        }
        candidates.count = kept;
      },
    };
  },
});
