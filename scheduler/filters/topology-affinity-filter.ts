/**
 * Keeps endpoints near the one that an earlier stage has picked.
 * @module
 */
import { z } from "zod";
import { defineFilter } from "../plugin.ts";
import { sharedLevel, TOPOLOGY_LEVELS } from "../topology-level.ts";

const Parameters = z.strictObject({
  minAffinity: z.enum(TOPOLOGY_LEVELS).default("host").meta({
    description: "What must be shared at least.",
  }),
  topologyProducerName: z.string().default("topology-extractor").meta({
    description: "Producer of the topology.",
  }),
});

export const topologyAffinityFilter = defineFilter({
  type: "topology-affinity-filter",
  stability: "alpha",
  category: "Affinity",
  summary:
    "Keeps endpoints near the one that an earlier stage has picked; all when there are none.",
  source: "llm-d-router: pkg/epp/framework/plugins/scheduling/filter/topologyaffinity",
  parameters: Parameters,
  consumes: ({ topologyProducerName: producer }) => [
    { type: "topology", producer, required: true },
  ],
  create({ minAffinity, topologyProducerName }, handle) {
    const topology = handle.consume("topology", topologyProducerName)!;
    const farthest = TOPOLOGY_LEVELS.indexOf(minAffinity);
    return {
      rejects: "filtered-by-labels", // in name only: it never empties the list
      filter(_request, candidates) {
        const { count, peerSlot, slots } = candidates;
        if (peerSlot < 0) return;
        let near = 0;
        for (let i = 0; i < count; i++) {
          if (sharedLevel(topology, peerSlot, slots[i]!) <= farthest) near++;
        }
        if (near === 0 || near === count) return;
        let kept = 0;
        for (let i = 0; i < count; i++) {
          const slot = slots[i]!;
          if (sharedLevel(topology, peerSlot, slot) <= farthest) slots[kept++] = slot;
        }
        candidates.count = kept;
      },
    };
  },
});
