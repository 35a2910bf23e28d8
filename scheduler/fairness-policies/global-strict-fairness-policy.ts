/**
 * No borders between flows: whoever the band's ordering policy puts first goes first.
 * @module
 */
import { z } from "zod";
import type { BandFairness, FlowView } from "../flow/contracts.ts";
import { IndexedHeap } from "../flow/indexed-heap.ts";
import { defineFairnessPolicy } from "../plugin.ts";

/** Flows by their heads. */
export function globalStrict(): BandFairness {
  const flows = new IndexedHeap<FlowView>({
    indexOf: (flow) => flow.position,
    setIndex(flow, index) {
      flow.position = index;
    },
  });
  return {
    activate: (flow) => flows.add(flow, flow.head!.key, flow.head!.sequence),
    headChanged: (flow) => flows.update(flow, flow.head!.key, flow.head!.sequence),
    deactivate(flow) {
      flows.remove(flow);
    },
    next: () => flows.first,
    charge: () => 1,
    settle() {},
    forget() {},
  };
}

export const globalStrictFairnessPolicy = defineFairnessPolicy({
  type: "global-strict-fairness-policy",
  stability: "beta",
  summary: "The band's ordering policy decides over all flows at once.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/fairness/globalstrict",
  parameters: z.object({}),
  ignoresParameters: true,
  create: () => ({ band: globalStrict }),
});
