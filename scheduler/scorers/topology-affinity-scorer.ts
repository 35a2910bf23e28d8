/**
 * Prefers endpoints near the one that an earlier stage has picked.
 * @module
 */
import { z } from "zod";
import { defineScorer } from "../plugin.ts";
import { sharedLevel } from "../topology-level.ts";

const Parameters = z.strictObject({
  topologyProducerName: z.string().default("topology-extractor").meta({
    description: "Producer of the topology.",
  }),
});

/** Same host, rack, zone, region, nothing. */
const SCORES = [1, 0.2, 0.05, 0.02, 0] as const;

export const topologyAffinityScorer = defineScorer({
  type: "topology-affinity-scorer",
  stability: "alpha",
  category: "Affinity",
  summary: "Endpoints near the one that an earlier stage has picked are better.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/scorer/topologyaffinity",
  parameters: Parameters,
  consumes: ({ topologyProducerName: producer }) => [
    { type: "topology", producer, required: true },
  ],
  create({ topologyProducerName }, handle) {
    const topology = handle.consume("topology", topologyProducerName)!;
    return {
      score(_request, candidates, scores) {
        const { count, peerSlot, slots } = candidates;
        for (let i = 0; i < count; i++) {
          scores[i] = peerSlot < 0 ? 0 : SCORES[sharedLevel(topology, peerSlot, slots[i]!)]!;
        }
      },
    };
  },
});
